"""Accuracy and cross-entropy over a data set, by exact counting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tf_simclr.config import ConfigError

TOP_K = 5


def batch_counts(
    logits: tf.Tensor, labels: tf.Tensor, *, with_confusion: bool = False
) -> dict[str, tf.Tensor]:
    """Sums over one batch; add them up over batches and replicas, then :func:`summarize`.

    A class's rank is its place in ``tf.math.top_k``'s order: by logit, equal logits by
    class index. So a network with constant logits scores 1 / classes, where
    ``tf.math.in_top_k`` would call every answer right. With five classes or fewer
    top-5 is always right. An example with a NaN logit is wrong.

    Args:
        logits: [b, c] float.
        labels: [b] integers in [0, c); an example with label -1 does not count.
        with_confusion: add "confusion".

    Returns:
        Scalars "count", "correct_top_1", "correct_top_5" (int64) and
        "cross_entropy_sum" (float32, nats); "confusion" [c, c] int64, rows = labels,
        columns = predictions.
    """
    logits = tf.cast(tf.convert_to_tensor(logits), tf.float32)
    labels = tf.cast(labels, tf.int64)
    counts = labels >= 0
    safe_labels = tf.maximum(labels, 0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=safe_labels, logits=logits)
    ranks = _rank_of_label(logits, safe_labels)
    usable = tf.logical_and(counts, tf.logical_not(tf.reduce_any(tf.math.is_nan(logits), axis=-1)))

    def number(condition: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.cast(condition, tf.int64))

    sums = {
        "count": number(counts),
        "correct_top_1": number(tf.logical_and(usable, ranks < 1)),
        "correct_top_5": number(tf.logical_and(usable, ranks < TOP_K)),
        "cross_entropy_sum": tf.reduce_sum(tf.where(counts, losses, tf.zeros_like(losses))),
    }
    if with_confusion:
        sums["confusion"] = tf.math.confusion_matrix(
            safe_labels,
            tf.argmax(logits, axis=-1),
            num_classes=logits.shape[-1],
            weights=tf.cast(counts, tf.int64),
            dtype=tf.int64,
        )
    return sums


def _rank_of_label(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Returns how many classes stand before the label's: [b] int64, 0 = first."""
    own = tf.gather(logits, labels, axis=1, batch_dims=1)[:, tf.newaxis]
    has_lower_index = tf.range(tf.shape(logits, out_type=tf.int64)[1]) < labels[:, tf.newaxis]
    stands_before = tf.logical_or(logits > own, tf.logical_and(tf.equal(logits, own), has_lower_index))
    return tf.reduce_sum(tf.cast(stands_before, tf.int64), axis=1)


def summarize(totals: Mapping[str, Any]) -> dict[str, float]:
    """Turns summed counts into "top_1", "top_5" (in [0, 1]), "cross_entropy" (nats) and "count".

    Raises:
        ConfigError: nothing was counted.
    """
    count = int(totals["count"])
    if count == 0:
        raise ConfigError(
            "Evaluation counted 0 labelled examples. The evaluation split is empty or has no labels; "
            "choose another with --eval_split or --dataset."
        )
    return {
        "top_1": int(totals["correct_top_1"]) / count,
        "top_5": int(totals["correct_top_5"]) / count,
        "cross_entropy": float(totals["cross_entropy_sum"]) / count,
        "count": float(count),
    }
