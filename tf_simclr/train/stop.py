"""The first SIGTERM or SIGINT asks a run to stop; the second ends it at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import NoReturn, TypeVar

from absl import logging

from tf_simclr.errors import Stopped

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SIGNAL_EXIT = 128  # plus the signal's number: what a shell reports of a process that a signal ended

T = TypeVar("T")


class StopRequest:
    """Whether a signal has asked the run to stop. Listens while it is a context, in the main thread."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def is_made(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    @contextlib.contextmanager
    def listening(self) -> Iterator[StopRequest]:
        """Takes the signals over for the time of the context.

        Python runs its handlers only between two of its own instructions, and a training
        step may be one long instruction. So the signal's number goes through a pipe to a
        thread, which answers a second signal while TensorFlow is still busy.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self  # Only the main thread may take signals.
            return
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        earlier_pipe = signal.set_wakeup_fd(writer)
        earlier = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
        thread = threading.Thread(target=self._listen, args=(reader,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(earlier_pipe)
            os.close(writer)
            thread.join()
            os.close(reader)

    def raise_if_made(self) -> None:
        """Raises Stopped if a signal came."""
        if self.signal is not None:
            self.end()

    def end(self) -> NoReturn:
        """Raises Stopped, for a signal to this process or, where none came, to another worker of the run."""
        cause = self.signal.name if self.signal else "a signal to another worker"
        raise Stopped(
            f"Stopped by {cause}. Everything so far is saved; start the same command again to go on."
        )

    def watched(self, items: Iterable[T]) -> Iterator[T]:
        """Yields ``items``; raises Stopped before the next one once a signal came."""
        for item in items:
            self.raise_if_made()
            yield item

    def _listen(self, reader: int) -> None:
        while received := os.read(reader, 1):
            if received[0] not in SIGNALS:
                continue
            if self.signal is not None:
                os._exit(SIGNAL_EXIT + received[0])
            self.signal = signal.Signals(received[0])
            logging.warning(
                "%s: finishing the step and saving. A second one ends the run at once.", self.signal.name
            )
