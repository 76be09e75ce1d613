"""One sentence for everything that a disk refuses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from tf_simclr.errors import StorageError


@contextlib.contextmanager
def storing(path: str) -> Iterator[None]:
    """Turns what goes wrong while ``path`` is written into a :class:`StorageError`.

    Only for blocks that write: TensorFlow reports a full disk and a full memory by the same class.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise StorageError(
            f"{path} cannot be written: {_reason(error)}. Everything written before it is whole. Make "
            "room or mend the disk, then start the same command again: it goes on from the last checkpoint."
        ) from error


def _reason(error: OSError | tf.errors.OpError) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    lines = text.strip().splitlines() or [type(error).__name__]
    return lines[0].split("; ")[-1].rstrip(".")
