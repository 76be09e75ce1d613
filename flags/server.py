"""Flags of the local model server."""

from __future__ import annotations

from absl import flags

from tf_simclr.config import ServerConfig


def define(flag_values: flags.FlagValues) -> None:
    """Registers the flags of ServerConfig."""
    _define_address(flag_values)
    _define_limits(flag_values)


def _define_address(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "host",
        ServerConfig.host,
        "Address on which --mode=serve answers. The default is reachable from this machine alone; the server "
        "has no passwords and no encryption.",
        flag_values=flag_values,
    )
    for name, kind in (("grpc_port", "gRPC"), ("rest_port", "REST")):
        flags.DEFINE_integer(
            name,
            getattr(ServerConfig, name),
            f"Port of the {kind} interface of --mode=serve; 0 takes any free one and prints it.",
            flag_values=flag_values,
        )


def _define_limits(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "max_request_mb",
        ServerConfig.max_request_mb,
        "Largest request that --mode=serve takes, in MiB.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "max_queue",
        ServerConfig.max_queue,
        "Requests that wait in --mode=serve, beside those that run, one a core; the next ones are refused.",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "poll_seconds",
        ServerConfig.poll_seconds,
        "Seconds between two looks of --mode=serve for a new version of the servable; greater than 0.",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "drain_seconds",
        ServerConfig.drain_seconds,
        "Seconds that --mode=serve gives requests in flight after SIGTERM, 0 or more.",
        flag_values=flag_values,
    )
