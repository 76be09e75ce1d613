"""What every kind of step shares: scaling of the loss, the sum over replicas, the update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_simclr.optim.build import build_optimizer
from tf_simclr.optim.norms import norms
from tf_simclr.replicas import sum_over_replicas
from tf_simclr.train.precision import FLOAT16, precision_of
from tf_simclr.train.stage import Stage
from tf_simclr.train.window import GRADIENT_NORMS

Metrics = dict[str, tf.Tensor]  # scalars, and gradient_norms


def stage_optimizer(stage: Stage, schedule: Any) -> Any:
    """Returns the optimizer, which in float16 scales the loss; call it inside ``strategy.scope()``."""
    optimizer = build_optimizer(stage.config.optimizer, schedule, stage.groups)
    if precision_of(stage.config.scale) == FLOAT16:
        return keras.mixed_precision.LossScaleOptimizer(optimizer)
    return optimizer


def objective(loss: tf.Tensor, optimizer: Any) -> tf.Tensor:
    """Returns what is differentiated: this replica's share of the global mean, times the loss scale."""
    share = loss / tf.distribute.get_replica_context().num_replicas_in_sync
    return optimizer.get_scaled_loss(share) if _scales(optimizer) else share


def apply_update(optimizer: Any, variables: Sequence[tf.Variable], gradients: Sequence[tf.Tensor]) -> Metrics:
    """Updates the variables by this replica's gradients of :func:`objective`, summed over the replicas.

    With loss scaling a step whose gradients overflow changes nothing but the scale; it
    counts as a step, and the norms that it reports are 0.

    Returns:
        ``gradient_norm``, and ``gradient_norms``, float32 [variables]; with loss scaling
        besides ``overflowed_steps`` (0 or 1) and ``loss_scale``.
    """
    gradients = sum_over_replicas(list(gradients))
    if _scales(optimizer):
        gradients = optimizer.get_unscaled_gradients(gradients)
    optimizer.apply_gradients(zip(gradients, variables, strict=True), experimental_aggregate_gradients=False)
    each = norms([tf.convert_to_tensor(gradient) for gradient in gradients])
    norm = tf.norm(each)  # of all together
    if not _scales(optimizer):
        return {"gradient_norm": norm, GRADIENT_NORMS: each}
    overflows = tf.logical_not(tf.math.is_finite(norm))
    return {
        "gradient_norm": tf.where(overflows, tf.zeros_like(norm), norm),
        GRADIENT_NORMS: tf.where(overflows, tf.zeros_like(each), each),
        "overflowed_steps": tf.cast(overflows, tf.float32),
        "loss_scale": tf.identity(optimizer.loss_scale),
    }


def _scales(optimizer: Any) -> bool:
    return hasattr(optimizer, "get_scaled_loss")


def on_replicas(
    function: Callable[..., Any], strategy: tf.distribute.Strategy, *, jit_compile: bool
) -> Callable[..., Any]:
    """Returns ``function`` as a graph that runs on every replica, compiled by XLA if ``jit_compile``."""
    inner = tf.function(function, autograph=False, jit_compile=True) if jit_compile else function

    @tf.function(autograph=False)
    def run(*arguments: Any) -> Any:
        return strategy.run(inner, args=arguments)

    return run


def global_means(strategy: tf.distribute.Strategy, metrics: Metrics) -> Metrics:
    """Returns the means over the replicas of what :func:`on_replicas` returned."""
    mean = tf.distribute.ReduceOp.MEAN
    return {name: strategy.reduce(mean, value, axis=None) for name, value in metrics.items()}
