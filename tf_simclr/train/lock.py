"""One process at a time in a run directory.

On a local file system the kernel keeps the lock: it ends with its process, however that
dies, so a stale one needs no guess. The file's content only tells others who holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from typing import IO

from absl import logging

from tf_simclr.errors import InUseError
from tf_simclr.files.storing import storing
from tf_simclr.files.whole import is_local

LOCK_FILE = ".lock"


class Lock:
    """The right to write into ``directory``; see :meth:`take`."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._path = os.path.join(directory, LOCK_FILE)
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Takes the lock; makes the directory if it isn't there.

        Raises:
            InUseError: another process holds it; its host and process id are named.
            StorageError: the disk refuses.
        """
        if not is_local(self._path):
            logging.info("%s is remote: two runs in it at once would not be noticed.", self._directory)
            return
        while self._file is None:
            with storing(self._path):
                os.makedirs(self._directory, exist_ok=True)
                file = open(self._path, "a+", encoding="utf-8")  # noqa: SIM115
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._refusal(file) from None
            except OSError as error:  # a file system without locks
                logging.warning("%s cannot be locked (%s): start no second run in it.", self._path, error)
            if _is_same_file(file, self._path):
                self._file = file
            else:  # Its holder let go and removed it between our two calls.
                file.close()
        self._sign()

    def release(self) -> None:
        """Lets the next process in."""
        if self._file is not None:
            if _is_same_file(self._file, self._path):
                os.remove(self._path)
            self._file.close()
            self._file = None

    def follow(self, directory: str) -> None:
        """Tells that the directory, this lock in it, was moved."""
        self._directory, self._path = directory, os.path.join(directory, LOCK_FILE)

    def _sign(self) -> None:
        if self._file is None:
            return
        self._file.seek(0)
        earlier = _read(self._file)
        if earlier:
            logging.warning(
                "The run of process %s on %s ended without letting go of %s; taking over.",
                earlier.get("pid"),
                earlier.get("host"),
                self._directory,
            )
        with storing(self._path):
            self._file.truncate(0)
            self._file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
            self._file.flush()

    def _refusal(self, file: IO[str]) -> InUseError:
        file.seek(0)
        holder = _read(file)
        file.close()
        return InUseError(
            f"--model_dir={self._directory} is in use by process {holder.get('pid', '?')} on host "
            f"{holder.get('host', '?')}. Wait for it or stop it (kill {holder.get('pid', '?')}), or give "
            "another --model_dir."
        )


def _read(file: IO[str]) -> dict[str, object]:
    try:
        found = json.loads(file.read())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_same_file(file: IO[str], path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
