"""One optimizer update over the global batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_simclr.train.stage import Batch, Stage
from tf_simclr.train.window import GRADIENT_NORMS

TrainStep = Callable[[Any], dict[str, tf.Tensor]]


def build_train_step(stage: Stage, optimizer: Any, strategy: tf.distribute.Strategy) -> TrainStep:
    """Returns a function from a (distributed) batch to metrics: means over the global batch.

    They are scalars, and ``gradient_norms``, float32 [trainable variables], in their order.

    Every replica's loss is divided by the number of replicas and the gradients are
    summed, so one update equals that of a single device with the whole batch.
    """
    variables = stage.network.trainable_variables
    replicas = strategy.num_replicas_in_sync

    def replica_step(batch: Batch) -> dict[str, tf.Tensor]:
        step = tf.identity(optimizer.iterations)
        targets = stage.targets(batch, step)
        with tf.GradientTape() as tape:
            data = stage.loss(stage.outputs(batch, step), targets, batch)
            decay = stage.decay()
            total = data.loss + decay
            scaled = total / replicas
        gradients = _summed(tape.gradient(scaled, variables))
        optimizer.apply_gradients(
            zip(gradients, variables, strict=True), experimental_aggregate_gradients=False
        )
        stage.after_update(targets)
        return {
            **data.metrics,
            "weight_decay": decay,
            "total_loss": total,
            "gradient_norm": tf.linalg.global_norm(gradients),
            GRADIENT_NORMS: tf.stack([tf.norm(gradient) for gradient in gradients]),
        }

    @tf.function(autograph=False)
    def train_step(batch: Any) -> dict[str, tf.Tensor]:
        per_replica = strategy.run(replica_step, args=(batch,))
        mean = tf.distribute.ReduceOp.MEAN
        return {name: strategy.reduce(mean, value, axis=None) for name, value in per_replica.items()}

    return train_step


def _summed(gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the sums over the replicas."""
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync == 1:
        return gradients
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
