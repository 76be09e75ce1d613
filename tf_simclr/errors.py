"""Why a run ends before its end: each reason with the status that the process exits with.

What a user can avoid by other settings is a ``ConfigError`` instead. Nothing here imports TensorFlow.
"""

from __future__ import annotations

EXIT_SETTINGS = 2  # ConfigError
EXIT_INTERRUPTED = 130  # Ctrl-C where there is nothing to save


def first_line(error: Exception) -> str:
    """Returns the first line of what ``error`` says, or the name of its type where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


class RunError(Exception):
    """A run that ended early; its text is what the user reads."""

    exit_code: int = 1


class NonFiniteError(RunError, FloatingPointError):
    """A loss, a gradient or a weight is no number any more."""

    exit_code = 3


class StorageError(RunError):
    """A file cannot be written: the disk is full, read-only, gone, or not ours."""

    exit_code = 4


class InUseError(RunError):
    """Another process works in the run directory."""

    exit_code = 5


class WorkerLostError(RunError):
    """Another process that shares the run is gone."""

    exit_code = 75  # EX_TEMPFAIL, as for Stopped


class ServerError(RunError):
    """A model server does not answer, or refuses."""

    exit_code = 69  # EX_UNAVAILABLE


class Stopped(RunError):
    """A signal asked the run to stop; everything done so far is saved."""

    exit_code = 75  # EX_TEMPFAIL: start the same command again to go on
