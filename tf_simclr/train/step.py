"""One optimizer update over the global batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_simclr.train.precision import compiles
from tf_simclr.train.sliced import SlicedStep
from tf_simclr.train.stage import Batch, Stage
from tf_simclr.train.update import Metrics, apply_update, global_means, objective, on_replicas

TrainStep = Callable[[Any], Metrics]


def build_train_step(
    stage: Stage, optimizer: Any, strategy: tf.distribute.Strategy, *, slices: int = 1
) -> TrainStep:
    """Returns a function from a (distributed) batch to metrics: means over the global batch.

    They are scalars, and ``gradient_norms``, float32 [trainable variables], in their order.

    Every replica's loss is divided by the number of replicas and the gradients are
    summed, so one update equals that of a single device with the whole batch.

    Args:
        stage: what is trained.
        optimizer: of :func:`tf_simclr.train.update.stage_optimizer`.
        strategy: where.
        slices: in how many portions a batch goes through the network, see :class:`SlicedStep`.
    """
    if slices > 1:
        return SlicedStep(stage, optimizer, strategy, slices)
    replica_step = on_replicas(
        whole_step(stage, optimizer), strategy, jit_compile=compiles(stage.config.scale, strategy)
    )

    @tf.function(autograph=False)
    def train_step(batch: Any) -> Metrics:
        return global_means(strategy, replica_step(batch))

    return train_step


def whole_step(stage: Stage, optimizer: Any) -> Callable[[Batch], Metrics]:
    """Returns one replica's part of a step that takes its share of the batch at once."""
    variables = stage.network.trainable_variables

    def step(batch: Batch) -> Metrics:
        batch = stage.prepared(batch, tf.identity(optimizer.iterations))
        targets = stage.targets(batch)
        with tf.GradientTape() as tape:
            data = stage.loss(stage.outputs(batch), targets, batch)
            decay = stage.decay()
            total = data.loss + decay
            scaled = objective(total, optimizer)
        metrics = apply_update(optimizer, variables, tape.gradient(scaled, variables))
        stage.after_update(targets)
        return {**data.metrics, "weight_decay": decay, "total_loss": total, **metrics}

    return step
