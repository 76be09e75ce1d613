"""Keeps what is no number out of the weights, and out of checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_simclr.errors import NonFiniteError
from tf_simclr.model.network import SimCLR, named_variables
from tf_simclr.train.step import TrainStep
from tf_simclr.train.window import WHAT_TO_TRY

DECISIVE = ("total_loss", "gradient_norm")


def skipping(
    train_step: TrainStep, variables: Iterable[tf.Variable], strategy: tf.distribute.Strategy
) -> TrainStep:
    """Returns a train step that leaves ``variables`` as they were where loss or gradient are no numbers.

    Everything is put back, and not only the update left out: the forward pass has moved
    the batch statistics. The step counter is not among ``variables``, so it goes on.
    """
    parts = [part for variable in variables for part in strategy.experimental_local_results(variable)]

    @tf.function(autograph=False)
    def snapshot() -> list[tf.Tensor]:
        return [tf.identity(part) for part in parts]

    @tf.function(autograph=False)
    def put_back(before: list[tf.Tensor], decisive: list[tf.Tensor]) -> None:
        is_good = tf.reduce_all(tf.math.is_finite(decisive))
        for part, value in zip(parts, before, strict=True):
            part.assign(tf.where(is_good, part, value))

    def guarded(batch: Any) -> dict[str, tf.Tensor]:
        before = snapshot()  # Calls of their own, so that a step in portions frees each portion.
        metrics = train_step(batch)
        put_back(before, [metrics[name] for name in DECISIVE])
        return metrics

    return guarded


def training_state(network: SimCLR, optimizer: Any, extra: Mapping[str, Any]) -> list[tf.Variable]:
    """Returns every variable that a step changes, the step counter aside."""
    found: list[Any] = [*network.variables, *_variables(optimizer)]
    for trackable in extra.values():
        found += _variables(trackable)
    unique = {id(variable): variable for variable in found if variable is not optimizer.iterations}
    return list(unique.values())


def _variables(owner: Any) -> list[tf.Variable]:
    if isinstance(owner, tf.Variable):
        return [owner]
    return list(owner.variables() if callable(owner.variables) else owner.variables)


def require_finite_weights(network: SimCLR, step: int) -> None:
    """Raises NonFiniteError if a value of the network is no number; the first such variable is named."""
    named = named_variables(network)
    is_good = np.asarray(_all_finite(list(named.values())))
    if not is_good.all():
        name = list(named)[int(np.argmin(is_good))]
        raise NonFiniteError(
            f"The update of step {step} left {name} without finite values. Nothing of it is saved. "
            f"{WHAT_TO_TRY}"
        )


def _all_finite(variables: list[tf.Variable]) -> tf.Tensor:
    return tf.stack([tf.reduce_all(tf.math.is_finite(variable)) for variable in variables])
