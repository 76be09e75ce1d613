"""Cross-entropy against class labels."""

from __future__ import annotations

import tensorflow as tf

from tf_simclr.losses.checks import require_one_label_per_row


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Cross-entropy -log softmax(logits)[label] of every example.

    Args:
        logits: [b, c] float.
        labels: [b] integers in [0, c).

    Returns:
        [b] float32, in nats; the caller averages.

    Raises:
        ValueError: the shapes do not fit, or labels are not integers.
    """
    logits = tf.cast(tf.convert_to_tensor(logits), tf.float32)
    labels = tf.convert_to_tensor(labels)
    require_one_label_per_row(logits, labels)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
