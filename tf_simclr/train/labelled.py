"""Cross-entropy and accuracy over the labelled examples of a global batch."""

from __future__ import annotations

import tensorflow as tf

from tf_simclr.data.source import NO_LABEL
from tf_simclr.losses.supervised import cross_entropy
from tf_simclr.replicas import mean_over_replicas


def labelled_cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
    """Means over the examples that have a label; runs inside a replica.

    Sums are divided by the mean number of labelled examples a replica, so that the mean
    over replicas is the mean over the global batch. Without a label all is 0.

    Args:
        logits: [b, c] float.
        labels: [b] int64 in [0, c), or -1 for none.

    Returns:
        Scalars "supervised_loss" (nats) and "supervised_accuracy" (0 to 1), float32.
    """
    is_labelled = tf.not_equal(labels, NO_LABEL)
    weights = tf.cast(is_labelled, tf.float32)
    losses = cross_entropy(logits, tf.where(is_labelled, labels, tf.zeros_like(labels)))
    hits = tf.cast(tf.equal(tf.argmax(logits, axis=-1), labels), tf.float32)
    count = mean_over_replicas(tf.reduce_sum(weights))
    return {
        "supervised_loss": tf.math.divide_no_nan(tf.reduce_sum(weights * losses), count),
        "supervised_accuracy": tf.math.divide_no_nan(tf.reduce_sum(weights * hits), count),
    }
