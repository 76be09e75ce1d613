"""What of the log a user sees: this project's lines, and others' warnings."""

from __future__ import annotations

import logging
import pathlib

from absl import logging as absl_logging

PROJECT = pathlib.Path(__file__).resolve().parents[2]
OWN = ("run.py", "flags", "tf_simclr", "export", "benchmarks")  # PROJECT also holds the virtual environment.
LINE = logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")


def show_own_lines() -> None:
    """Sends this project's absl log to the terminal, a time and a sentence a line."""
    absl_logging.set_verbosity(absl_logging.INFO)
    handler = absl_logging.get_absl_handler()
    handler.setFormatter(LINE)
    handler.addFilter(is_own_or_warning)


def is_own_or_warning(record: logging.LogRecord) -> bool:
    """Whether a line is shown: TensorFlow logs what it does to the same place, pages of it at every save."""
    path = pathlib.Path(record.pathname).resolve()  # Python calls the main file as the command line did.
    is_own = path.is_relative_to(PROJECT) and path.relative_to(PROJECT).parts[0] in OWN
    return is_own or record.levelno >= logging.WARNING
