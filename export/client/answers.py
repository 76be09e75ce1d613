"""Batches of image files through anything that answers: a server, or a network on this machine."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from absl import logging

from tf_simclr.config import ConfigError
from tf_simclr.data.folder import EXTENSIONS

# (name of a signature that takes image_bytes, encoded images [n]) → its outputs by name, each [n, ...].
Ask = Callable[[str, Sequence[bytes]], Mapping[str, np.ndarray]]

MAX_REQUEST_BYTES = 16 * 2**20  # a batch of large files is divided further

UNREADABLE = "the file cannot be read"
INVALID = "no image of a known format and size"


def find_images(pattern: str | None) -> list[str]:
    """Returns the files that ``--images`` means, sorted: of a folder all images in and below it.

    Raises:
        ConfigError: there is none.
    """
    if not pattern:
        raise ConfigError(
            "--images is missing. Name a folder, a file or a quoted pattern, such as --images='in/*.jpg'."
        )
    pattern = os.path.expanduser(pattern)
    if os.path.isdir(pattern):
        everything = glob.iglob(os.path.join(glob.escape(pattern), "**", "*"), recursive=True)
        files = [path for path in everything if path.lower().endswith(EXTENSIONS)]
    else:
        files = glob.glob(pattern, recursive=True)
    files = sorted(path for path in files if os.path.isfile(path))
    if not files:
        raise ConfigError(
            f"--images={pattern} matches no file. Name a folder of {', '.join(EXTENSIONS)} files, or quote a "
            "pattern, such as --images='in/**/*.jpg'."
        )
    return files


def answers(
    ask: Ask, signature: str, files: Sequence[str], batch_size: int
) -> Iterator[tuple[str, Mapping[str, np.ndarray] | str]]:
    """Yields each file, in order, with its outputs, or with what is wrong with it.

    Outputs are a signature's without ``valid`` and without the batch in front.
    """
    for batch in _batches(files, batch_size):
        readable = [data for _, data in batch if data is not None]
        outputs = dict(ask(signature, readable)) if readable else {}
        valid = iter(outputs.pop("valid", ()))
        rows = iter(range(len(readable)))
        for file, data in batch:
            if data is None:
                yield file, _report(file, UNREADABLE)
                continue
            row = next(rows)
            yield file, {k: v[row] for k, v in outputs.items()} if next(valid) else _report(file, INVALID)


def _batches(files: Sequence[str], size: int) -> Iterator[list[tuple[str, bytes | None]]]:
    batch: list[tuple[str, bytes | None]] = []
    held = 0
    for file in files:
        data = _read(file)
        if batch and (len(batch) == size or held + len(data or b"") > MAX_REQUEST_BYTES):
            yield batch
            batch, held = [], 0
        batch.append((file, data))
        held += len(data or b"")
    if batch:
        yield batch


def _read(file: str) -> bytes | None:
    try:
        with open(file, "rb") as stream:
            return stream.read()
    except OSError:
        return None


def _report(file: str, problem: str) -> str:
    logging.warning("%s is skipped: %s.", file, problem)
    return problem
