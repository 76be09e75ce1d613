"""What of the log a user sees: this project's lines, and others' warnings."""

from __future__ import annotations

import logging
import pathlib

from absl import logging as absl_logging

PROJECT = str(pathlib.Path(__file__).parents[2])
LINE = logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")


def show_own_lines() -> None:
    """Sends this project's absl log to the terminal, a time and a sentence a line."""
    absl_logging.set_verbosity(absl_logging.INFO)
    handler = absl_logging.get_absl_handler()
    handler.setFormatter(LINE)
    handler.addFilter(_is_own_or_warning)


def _is_own_or_warning(record: logging.LogRecord) -> bool:
    """TensorFlow logs what it does to the same place, pages of it at every save."""
    return record.levelno >= logging.WARNING or record.pathname.startswith(PROJECT)
