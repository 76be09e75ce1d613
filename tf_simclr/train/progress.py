"""How far a run is: a bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from absl import logging
from tqdm import tqdm

LINE_SECONDS = 20.0  # between two lines where there is no terminal
BAR_SECONDS = 0.5  # between two changes of the text beside the bar


class Progress:
    """Shows steps done of ``total``. ``initial`` steps were done by an earlier execution."""

    def __init__(self, label: str, total: int, initial: int = 0) -> None:
        self._label = label
        self._total = total
        self._initial = self._step = initial
        self._begun = self._shown = time.monotonic()
        self._has_terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            initial=initial,
            desc=label,
            unit="step",
            disable=not self._has_terminal,
            leave=False,
        )

    def update(self, step: int, text: Callable[[], str] = str) -> None:
        """Tells that ``step`` steps are done. ``text`` is asked only when something is shown."""
        self._bar.update(step - self._step)
        self._step = step
        now = time.monotonic()
        if now - self._shown < (BAR_SECONDS if self._has_terminal else LINE_SECONDS):
            return
        self._shown = now
        if self._has_terminal:
            self._bar.set_postfix_str(text(), refresh=False)
        else:
            parts = [f"{self._label}: step {step} of {self._total}", text(), f"{self._left()} left"]
            logging.info("%s", ", ".join(filter(None, parts)))

    def close(self) -> None:
        """Removes the bar."""
        self._bar.close()

    def _left(self) -> datetime.timedelta:
        pace = (time.monotonic() - self._begun) / max(1, self._step - self._initial)
        return datetime.timedelta(seconds=round(pace * (self._total - self._step)))


def with_progress(label: str, items: Iterable[Any], total: int) -> Iterator[Any]:
    """Yields ``items``, showing how many of ``total`` have been."""
    progress = Progress(label, total)
    try:
        for count, item in enumerate(items, start=1):
            yield item
            progress.update(count)
    finally:
        progress.close()
