"""How many requests run and wait: the rest is refused at once."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from export.server.refusal import Refusal


class Gate:
    """Lets ``running`` requests compute together and ``waiting`` more wait for their turn."""

    def __init__(self, running: int, waiting: int) -> None:
        self._room = running + waiting
        self._inside = 0
        self._closed = False
        self._changed = threading.Condition()
        self._slots = threading.Semaphore(running)

    @contextlib.contextmanager
    def turn(self, seconds: float | None = None) -> Iterator[None]:
        """Waits up to ``seconds`` (None: for ever) for a turn, and holds it.

        Raises:
            Refusal: UNAVAILABLE if too many wait or the server stops, DEADLINE_EXCEEDED after the time.
        """
        self._enter()
        try:
            # gRPC gives a request without a deadline one in the far future, which locks don't take.
            patience = threading.TIMEOUT_MAX if seconds is None else min(seconds, threading.TIMEOUT_MAX)
            if not self._slots.acquire(timeout=patience):
                raise Refusal("DEADLINE_EXCEEDED", "The request's deadline passed while it waited.")
            try:
                yield
            finally:
                self._slots.release()
        finally:
            self._leave()

    def close(self, seconds: float) -> bool:
        """Refuses new requests and waits for those inside; returns whether all ended in time."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._closed = True
            return self._changed.wait_for(lambda: not self._inside, max(0.0, deadline - time.monotonic()))

    def _enter(self) -> None:
        with self._changed:
            if self._closed:
                raise Refusal("UNAVAILABLE", "The server is stopping.")
            if self._inside >= self._room:
                raise Refusal("UNAVAILABLE", f"The queue is full: {self._room} requests run or wait already.")
            self._inside += 1

    def _leave(self) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()
