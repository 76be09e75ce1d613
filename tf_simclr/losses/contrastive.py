"""NT-Xent, the contrastive loss of SimCLR (Chen et al. 2020, eq. 1 and algorithm 1)."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from tf_simclr.losses.checks import require_positive_temperature, require_same_matrix_shape
from tf_simclr.losses.gather import Gather, local_rows

MASKED_LOGIT = 1e9  # Subtracted from a self-similarity; its exponential is then 0 in float32.


class ContrastiveOutput(NamedTuple):
    """Loss and what the training metrics need."""

    loss: tf.Tensor  # scalar float32
    logits: tf.Tensor  # [b, N] float32: view-1 anchors against all view-2 rows, divided by temperature
    labels: tf.Tensor  # [b] int64: column of ``logits`` that holds the positive


class Memory(NamedTuple):
    """What anchors are compared with in the place of the batch's own projections.

    ``key_1`` and ``key_2``: [N, d] float, the momentum network's projections of both views of the
    global batch; ``offset``: where this replica's rows begin in them; ``queue``: [K, d] float32, keys
    of earlier batches, of length 1; ``is_filled``: [K] bool, which rows of the queue hold a key.
    """

    key_1: tf.Tensor
    key_2: tf.Tensor
    offset: tf.Tensor | int
    queue: tf.Tensor
    is_filled: tf.Tensor


def nt_xent(
    projection_1: tf.Tensor,
    projection_2: tf.Tensor,
    *,
    temperature: float,
    hidden_norm: bool = True,
    gather: Gather | None = None,
    memory: Memory | None = None,
) -> ContrastiveOutput:
    """NT-Xent loss of two views of the same images.

    l(i, j) = -log( exp(s_ij / temperature) / sum_{k != i} exp(s_ik / temperature) ),
    s = inner products (cosines if ``hidden_norm``), k over the 2N rows of both views.

    The value is the mean over this replica's rows of l(1 -> 2) + l(2 -> 1): twice the
    mean over the 2N anchors of the paper's algorithm 1, as in the official code, so
    that published learning rates and weight decays carry over.

    With ``memory``, j and k run over the momentum network's keys of the global batch, and k
    besides over the filled rows of the queue. Keys get no gradient.

    Args:
        projection_1: [b, d] float, view 1 of this replica's images.
        projection_2: [b, d] float, view 2 of the same images, in the same order.
        temperature: > 0, divides the similarities; 0.1 in the ImageNet recipes.
        hidden_norm: l2-normalise the projections first; zero rows stay zero.
        gather: supplies all replicas' rows as columns; None: this process has all.
        memory: keys, gathered already, and queue; needs ``hidden_norm``.

    Raises:
        ValueError: shapes are no equal matrices, temperature <= 0, memory without hidden_norm.
    """
    require_positive_temperature(temperature)
    anchors_1, anchors_2 = _float_rows(projection_1, projection_2, hidden_norm)
    if memory is None:
        gather = gather or local_rows
        columns_1, offset = gather(anchors_1)
        columns_2, _ = gather(anchors_2)
    else:
        columns_1, columns_2 = _keys(memory, hidden_norm)
        offset = memory.offset
    labels = tf.cast(offset, tf.int64) + tf.range(tf.shape(anchors_1, out_type=tf.int64)[0])
    # A row is its own nearest neighbour; without this mask it would be its own negative.
    self_mask = MASKED_LOGIT * tf.one_hot(labels, tf.shape(columns_1)[0])

    def similarity(anchors: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        return tf.matmul(anchors, columns, transpose_b=True) / temperature

    def direction(anchors: tf.Tensor, across: tf.Tensor, within: tf.Tensor) -> tf.Tensor:
        logits = [across, within - self_mask]
        if memory is not None:
            is_empty = tf.cast(tf.logical_not(memory.is_filled), tf.float32)
            logits.append(similarity(anchors, memory.queue) - MASKED_LOGIT * is_empty)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=tf.concat(logits, axis=1))

    across_1 = similarity(anchors_1, columns_2)
    from_1 = direction(anchors_1, across_1, similarity(anchors_1, columns_1))
    from_2 = direction(anchors_2, similarity(anchors_2, columns_1), similarity(anchors_2, columns_2))
    return ContrastiveOutput(loss=tf.reduce_mean(from_1 + from_2), logits=across_1, labels=labels)


def _float_rows(view_1: tf.Tensor, view_2: tf.Tensor, hidden_norm: bool) -> list[tf.Tensor]:
    rows = [tf.cast(tf.convert_to_tensor(view), tf.float32) for view in (view_1, view_2)]
    require_same_matrix_shape(projection_1=rows[0], projection_2=rows[1])
    return [tf.math.l2_normalize(view, axis=-1) for view in rows] if hidden_norm else rows


def _keys(memory: Memory, hidden_norm: bool) -> list[tf.Tensor]:
    """Returns both views' keys of length 1, without a gradient."""
    if not hidden_norm:
        raise ValueError("memory needs hidden_norm=True: the queue's keys have length 1.")
    return [tf.stop_gradient(key) for key in _float_rows(memory.key_1, memory.key_2, hidden_norm)]


def contrastive_metrics(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Accuracy and entropy of view-1 anchors choosing among all view-2 rows.

    Like the official code this looks at the cross-view block alone, N classes, not at
    the 2N - 1 terms of the loss.

    Args:
        logits: [b, N] float, from :class:`ContrastiveOutput`.
        labels: [b] int64.

    Returns:
        Two float32 scalars, means over the rows: accuracy in [0, 1] and the entropy
        -sum p log p in nats, in [0, log N].
    """
    logits = tf.cast(logits, tf.float32)
    log_probability = tf.nn.log_softmax(logits)
    entropy = -tf.reduce_sum(tf.exp(log_probability) * log_probability, axis=-1)
    correct = tf.equal(tf.argmax(logits, axis=-1, output_type=labels.dtype), labels)
    return tf.reduce_mean(tf.cast(correct, tf.float32)), tf.reduce_mean(entropy)


def projection_std(projections: tf.Tensor) -> tf.Tensor:
    """How far the directions of projections are spread: float32 scalar in [0, 1].

    0: all point the same way, as after a collapse; 1: their mean is the centre of the
    sphere. It is the root of the variance of the l2-normalised rows, summed over dimensions.

    Args:
        projections: [n, d] float.
    """
    rows = tf.math.l2_normalize(tf.cast(projections, tf.float32), axis=-1)
    return tf.sqrt(tf.reduce_sum(tf.math.reduce_variance(rows, axis=0)))
