"""Flags of predictions and features for image files."""

from __future__ import annotations

from absl import flags

from tf_simclr.config import ClientConfig


def define(flag_values: flags.FlagValues) -> None:
    """Registers the flags of ClientConfig."""
    flags.DEFINE_string(
        "images",
        ClientConfig.images,
        "Image files for --mode=predict and embed: a folder, with all below it, a file, or a quoted pattern "
        "such as 'in/**/*.jpg'.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "server",
        ClientConfig.server,
        "Model server that answers, TF Serving or --mode=serve: grpc://HOST:PORT, http://HOST:PORT or "
        "https://HOST:PORT. Left out: the network of --checkpoint on this machine.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "output",
        ClientConfig.output,
        "File to write. predict: .csv for the likeliest class an image, else JSON lines with the top k; left "
        "out, JSON lines on the standard output. embed: .npy, with the file names beside it, or .csv; left "
        "out, features.npy.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "request_batch_size",
        ClientConfig.request_batch_size,
        "Images that predict and embed send together, at least 1; a batch of large files is divided.",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "request_timeout",
        ClientConfig.request_timeout,
        "Seconds that predict and embed wait for a server's answer, each try; greater than 0.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "request_retries",
        ClientConfig.request_retries,
        "Times that predict and embed ask a server again that is unreachable, overloaded or late, 0 or more; "
        "pauses double from 0.1 to 10 seconds.",
        flag_values=flag_values,
    )
