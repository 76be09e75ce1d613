"""Step counts and learning rates, as plain functions of numbers (SimCLRv2, section 3.1)."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_simclr.config import ConfigError

LINEAR_SCALING_BATCH = 256  # Batch at which linear scaling leaves the rate as it is (Goyal et al. 2017).
SCALINGS = ("linear", "sqrt", "none")


def train_steps(num_examples: int, epochs: float, batch_size: int) -> int:
    """Returns num_examples * epochs // batch_size + 1, the official count (250228 on ImageNet)."""
    _require_positive(num_examples=num_examples, epochs=epochs, batch_size=batch_size)
    return int(num_examples * epochs // batch_size) + 1


def warmup_steps(num_examples: int, warmup_epochs: float, batch_size: int) -> int:
    """Returns the steps of linear warm-up: warmup_epochs * num_examples // batch_size; 0 = none."""
    _require_positive(num_examples=num_examples, batch_size=batch_size)
    if warmup_epochs < 0:
        raise ValueError(f"warmup_epochs must be 0 or more. Received {warmup_epochs}.")
    return int(warmup_epochs * num_examples // batch_size)


def peak_learning_rate(base: float, scaling: str, batch_size: int) -> float:
    """Returns the rate after warm-up: base * batch / 256 (linear), base * sqrt(batch) (sqrt) or base (none).

    Raises:
        ValueError: another ``scaling``, or a number <= 0.
    """
    _require_positive(base=base, batch_size=batch_size)
    if scaling == "linear":
        return base * batch_size / LINEAR_SCALING_BATCH
    if scaling == "sqrt":
        return base * math.sqrt(batch_size)
    if scaling == "none":
        return base
    raise ValueError(f"scaling={scaling!r} is not valid. Use one of: {', '.join(SCALINGS)}.")


def _require_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError(f"{name} must be greater than 0. Received {number}.")


@keras.saving.register_keras_serializable(package="tf_simclr")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up from 0 to ``peak``, then half a cosine down to 0.

    rate(step) = peak * step / warmup_steps                             step < warmup_steps
               = peak * (1 + cos(pi * (step - warmup_steps) / D)) / 2   otherwise,
    D = total_steps - warmup_steps; 0 from ``total_steps`` on. With warm-up the first
    update (step 0) has rate 0, as in the official code.

    Args:
        peak: highest rate, > 0.
        warmup_steps: 0 or more; 0 starts at ``peak``.
        total_steps: length of the run in steps, more than ``warmup_steps``.
        name: name of the operations.

    Raises:
        ConfigError: (a ValueError) a number out of range.
    """

    def __init__(self, peak: float, warmup_steps: int, total_steps: int, name: str = "WarmupCosine") -> None:
        super().__init__()
        if not peak > 0:
            raise ConfigError(f"The peak learning rate must be greater than 0. Received {peak}.")
        if warmup_steps < 0:
            raise ConfigError(f"Warm-up must take 0 steps or more. Received {warmup_steps}.")
        if warmup_steps >= total_steps:
            raise ConfigError(
                f"Warm-up takes {warmup_steps} steps, but the run has only {total_steps}, so the "
                "learning rate would never decay. "
                "Lower --warmup_epochs, or raise --train_epochs or --train_steps."
            )
        self.peak = float(peak)
        self.warmup_steps = int(warmup_steps)
        self.total_steps = int(total_steps)
        self.name = name

    def __call__(self, step: Any) -> tf.Tensor:
        """Returns the float32 scalar rate of the update that follows ``step`` finished ones."""
        with tf.name_scope(self.name):
            step = tf.cast(step, tf.float32)  # exact up to 16,777,216
            warm = self.peak * step / max(self.warmup_steps, 1)
            remaining = (self.total_steps - step) / (self.total_steps - self.warmup_steps)
            # (1 + cos(pi * (1 - r))) / 2 = sin(pi * r / 2)**2, without the cancellation
            # that leaves float32 few digits near the end of a long run.
            sine = tf.sin(0.5 * math.pi * tf.clip_by_value(remaining, 0.0, 1.0))
            return tf.where(step < self.warmup_steps, warm, self.peak * tf.square(sine))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
            "name": self.name,
        }
