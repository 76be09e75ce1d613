"""Keys of earlier batches, oldest out first (He et al. 2020, MoCo; SimCLRv2, section 2)."""

from __future__ import annotations

import tensorflow as tf


class KeyQueue(tf.Module):
    """A ring of ``size`` keys, equal on all replicas; a checkpoint holds keys and count.

    Make it inside ``strategy.scope()``; every replica enqueues the keys of the global batch.

    Args:
        size: keys it holds, > 0.
        dim: length of a key.

    Raises:
        ValueError: ``size`` or ``dim`` is not positive.
    """

    def __init__(self, size: int, dim: int) -> None:
        super().__init__(name="key_queue")
        if size <= 0 or dim <= 0:
            raise ValueError(f"size and dim must be greater than 0. Received size={size}, dim={dim}.")
        self.size = size
        # A copy a replica that each writes by itself: equal, because all write the same.
        copies = {
            "trainable": False,
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA,
        }
        self.keys = tf.Variable(tf.zeros([size, dim]), name="keys", **copies)
        self.count = tf.Variable(tf.zeros([], tf.int64), name="count", **copies)  # ever enqueued

    def is_filled(self) -> tf.Tensor:
        """Which rows of ``keys`` hold a key: [size] bool."""
        return tf.range(self.size, dtype=tf.int64) < self.count

    def enqueue(self, keys: tf.Tensor) -> None:
        """Puts [n, dim] float32 keys in the place of the oldest ones; no gradient flows back.

        Raises:
            ValueError: ``size`` is no multiple of n, so that a batch would be torn at the end.
        """
        rows = keys.shape[0]
        if rows is None or self.size % rows:
            raise ValueError(
                "The queue's size must be a multiple of the keys of one batch. "
                f"Received {self.size} and {rows}."
            )
        places = self.count % self.size + tf.range(rows, dtype=tf.int64)
        written = tf.tensor_scatter_nd_update(self.keys, places[:, tf.newaxis], tf.stop_gradient(keys))
        self.keys.assign(written)
        self.count.assign_add(rows)
