"""What replicas exchange. Every function runs inside a replica and works with one or many.

TensorFlow looks for the variables behind each exchange by walking the graph back from it, also
into the other replicas, which takes minutes in a network that exchanges in every layer. Stopped
gradients end the walk at once; the gradient is given beside them.
"""

from __future__ import annotations

import tensorflow as tf


def gather_rows(rows: tf.Tensor) -> tf.Tensor:
    """Returns the rows of all replicas, in their order: [b, ...] float → [replicas · b, ...].

    All replicas must hold equally many, a static number. A row's gradient is the sum over
    all replicas that used it.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return rows

    @tf.custom_gradient
    def gather(own: tf.Tensor) -> tuple[tf.Tensor, object]:
        # Everyone adds its rows to zeros. TensorFlow's own all_gather cannot be compiled on several GPUs.
        replicas, number = context.num_replicas_in_sync, context.replica_id_in_sync_group
        is_own = tf.reshape(tf.equal(tf.range(replicas), number), [replicas] + [1] * own.shape.rank)
        among_zeros = tf.where(is_own, own[tf.newaxis], tf.zeros([], own.dtype))  # [replicas, b, ...]
        gathered = sum_over_replicas(tf.reshape(among_zeros, [replicas * own.shape[0], *own.shape[1:]]))

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            begin = tf.stack([number * own.shape[0]] + [0] * (own.shape.rank - 1))
            return tf.slice(sum_over_replicas(upstream), begin, own.shape)  # of a static shape

        return gathered, gradient

    return gather(rows)


def sum_over_replicas(values: list[tf.Tensor] | tf.Tensor) -> list[tf.Tensor] | tf.Tensor:
    """Returns the sums of each tensor over the replicas, without a gradient."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.nest.map_structure(tf.stop_gradient, values))


def mean_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """Returns the mean of a tensor over the replicas, without a gradient."""
    return sum_over_replicas(value) / tf.distribute.get_replica_context().num_replicas_in_sync
