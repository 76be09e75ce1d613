"""The newest version of a servable: loaded when it appears, the older one dropped when nobody uses it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
from collections.abc import Callable, Iterator

import tensorflow as tf
from absl import logging

from export.locate import SAVED_MODEL_FILE
from export.server.refusal import Refusal
from export.server.version import Version
from tf_simclr.config import ConfigError
from tf_simclr.files.manifest import MANIFEST_FILE, is_complete
from tf_simclr.files.whole import numbered

LOAD_FAILED = "The version cannot be loaded; the server's log says why."


@dataclasses.dataclass
class State:
    """What ``GetModelStatus`` says of a version: TF Serving's name of its state, and why it failed."""

    state: str
    error: str = ""


class Model:
    """The servable in ``directory``, one numbered folder a version, under a name."""

    def __init__(self, name: str, directory: str, *, trusted: bool = False) -> None:
        self.name = name
        self._directory = directory
        self._trusted = trusted
        self._lock = threading.Condition()
        self._version: Version | None = None
        self._users: dict[Version, int] = {}
        self._states: dict[int, State] = {}

    @property
    def number(self) -> int | None:
        """The version that is loaded and warmed up; None before the first is."""
        version = self._version
        return version.number if version else None

    def states(self) -> dict[int, State]:
        """Returns the state of every version seen so far, newest first."""
        with self._lock:
            return {
                number: dataclasses.replace(state)
                for number, state in sorted(self._states.items(), reverse=True)
            }

    @contextlib.contextmanager
    def use(self, number: int | None = None) -> Iterator[Version]:
        """Yields the loaded version, which stays in memory until it is given back.

        Raises:
            Refusal: ``number`` isn't the loaded version, or none is loaded yet.
        """
        version = self._borrow(number)
        try:
            yield version
        finally:
            self._give_back(version)

    def refresh(self) -> None:
        """Looks at the directory once: loads a newer version, or the newest one left, and drops the other."""
        numbers = self._whole_versions()
        for number in numbers:
            if number == self.number:
                return
            if self._states.get(number, State("START")).error:
                continue  # It failed before; its folder is looked at again when the server starts anew.
            if self._load(number):
                return

    def watch(self, stop: threading.Event, seconds: float, changed: Callable[[], None]) -> None:
        """Refreshes every ``seconds`` until ``stop``; calls ``changed`` after each look."""
        while not stop.is_set():
            try:
                self.refresh()
            except (tf.errors.OpError, OSError):
                logging.exception("The servable's directory cannot be read; trying again.")
            changed()
            stop.wait(seconds)

    def _whole_versions(self) -> list[int]:
        """Newest first."""
        names = reversed(numbered(self._directory))
        return [int(name) for name in names if _is_whole(os.path.join(self._directory, name))]

    def _load(self, number: int) -> bool:
        self._set(number, State("LOADING"))
        try:
            loaded = Version(number, self._path(number), self._trusted)
        except ConfigError as error:
            logging.error("Version %d of %s is not loaded: %s", number, self.name, error)
            self._set(number, State("END", LOAD_FAILED))
            return False
        except Exception:  # Whatever a foreign SavedModel does, the version before goes on.
            logging.exception("Version %d of %s cannot be loaded.", number, self.name)
            self._set(number, State("END", LOAD_FAILED))
            return False
        with self._lock:
            self._states[number] = State("AVAILABLE")
            before, self._version = self._version, loaded
            self._users[loaded] = 0
        logging.info("Version %d of %s is ready.", number, self.name)
        if before is not None:
            self._unload(before)
        return True

    def _path(self, number: int) -> str:
        names = numbered(self._directory)  # "007" is version 7.
        return os.path.join(self._directory, next(name for name in names if int(name) == number))

    def _unload(self, version: Version) -> None:
        self._set(version.number, State("UNLOADING"))
        with self._lock:
            self._lock.wait_for(lambda: not self._users[version])
            del self._users[version]
            self._states[version.number] = State("END")
        logging.info("Version %d of %s is dropped.", version.number, self.name)

    def _set(self, number: int, state: State) -> None:
        with self._lock:
            self._states[number] = state

    def _borrow(self, number: int | None) -> Version:
        with self._lock:
            version = self._version
            if version is None:
                raise Refusal("UNAVAILABLE", f"The model {self.name} is being loaded.")
            if number not in (None, version.number):
                raise Refusal("NOT_FOUND", f"Servable not found for request: Specific({self.name}, {number})")
            self._users[version] += 1
            return version

    def _give_back(self, version: Version) -> None:
        with self._lock:
            self._users[version] -= 1
            self._lock.notify_all()


def _is_whole(path: str) -> bool:
    """Whether no file is missing; of others' SavedModels, which have no manifest, only the graph counts."""
    if tf.io.gfile.exists(os.path.join(path, MANIFEST_FILE)):
        return is_complete(path)
    return tf.io.gfile.exists(os.path.join(path, SAVED_MODEL_FILE))
