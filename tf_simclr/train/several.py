"""Several training steps in one call of TensorFlow, so that the host waits less often for a fast device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_simclr.train.step import TrainStep

Metrics = dict[str, tf.Tensor]
Steps = Callable[[Any, int], list[Metrics]]  # endless iterator over batches, how many -> metrics of each step


def one_by_one(train_step: TrainStep) -> Steps:
    """Returns a function that calls ``train_step`` for every batch."""
    return lambda batches, count: [train_step(next(batches)) for _ in range(count)]


def in_one_call(train_step: Any) -> Steps:
    """Returns a function whose steps run as a loop in the graph, traced once for any number of them.

    ``train_step``: a ``tf.function`` from a (distributed) batch to metrics. Batches are
    taken inside the graph too.
    """

    @tf.function(autograph=False)
    def loop(batches: Any, count: tf.Tensor) -> Metrics:
        example = train_step.get_concrete_function(batches.element_spec).structured_outputs
        return tf.map_fn(
            lambda _: train_step(next(batches)),
            tf.range(count),
            fn_output_signature={name: tf.TensorSpec(m.shape, m.dtype) for name, m in example.items()},
            parallel_iterations=1,  # A step begins with the weights that the one before left.
        )

    def steps(batches: Any, count: int) -> list[Metrics]:
        metrics = {
            name: tf.unstack(values, count) for name, values in loop(batches, tf.constant(count)).items()
        }
        return [{name: values[i] for name, values in metrics.items()} for i in range(count)]

    return steps
