"""A TensorBoard profile of some steps of a run (``--profile_steps``)."""

from __future__ import annotations

import tensorflow as tf
from absl import logging


class Profile:
    """Records steps ``first`` to ``last``, both included; nothing where ``steps`` is None."""

    def __init__(self, steps: tuple[int, int] | None, directory: str) -> None:
        self._first, self._last = steps or (0, 0)
        self._directory = directory
        self._is_running = False

    def bounds(self) -> tuple[int, ...]:
        """Numbers of finished steps at which recording begins or ends; a call of several steps ends there."""
        return (self._first - 1, self._last) if self._last else ()

    def before(self, step: int) -> None:
        """Begins, if ``step``, the next one, is to be recorded. A run that goes on later begins there."""
        if not self._is_running and self._first <= step <= self._last:
            tf.profiler.experimental.start(self._directory)
            self._is_running = True

    def after(self, step: int) -> None:
        """Ends, if ``step`` was the last one to be recorded."""
        if step >= self._last:
            self.close()

    def close(self) -> None:
        """Writes what was recorded, also of a run that ends early."""
        if self._is_running:
            tf.profiler.experimental.stop()
            self._is_running = False
            logging.info(
                "Profile of steps %d to %d: tensorboard --logdir=%s", self._first, self._last, self._directory
            )
