"""The log of a run as a file beside its results."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import tensorflow as tf

from tf_simclr.files.storing import storing
from tf_simclr.report.log import is_own_or_warning

LINE = logging.Formatter("%(asctime)s %(levelname).1s %(message)s", "%Y-%m-%d %H:%M:%S")


@contextlib.contextmanager
def logged_to(path: str) -> Iterator[logging.Handler]:
    """Adds the lines that the terminal shows to the file ``path`` too, with their dates.

    Yields what writes to the file alone.
    """
    with storing(path):
        handler = _FileHandler(path)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        handler.close()


class _FileHandler(logging.Handler):
    """Appends to a file, local or remote; falls silent where the disk refuses."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.setFormatter(LINE)
        self.addFilter(is_own_or_warning)
        self._path = path
        self._write("")

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a line. What refuses it will refuse the next checkpoint too, which then ends the run."""
        with contextlib.suppress(OSError, tf.errors.OpError):
            self._write(self.format(record) + "\n")

    def _write(self, text: str) -> None:
        with tf.io.gfile.GFile(self._path, "a") as file:
            file.write(text)
