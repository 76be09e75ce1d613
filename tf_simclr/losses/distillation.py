"""Distillation from a teacher's predictions (SimCLRv2, section 2, eq. 2 and 3)."""

from __future__ import annotations

import tensorflow as tf

from tf_simclr.losses.checks import (
    require_one_label_per_row,
    require_positive_temperature,
    require_same_matrix_shape,
)
from tf_simclr.losses.supervised import cross_entropy

UNLABELLED = -1  # Label of an example without one.


def distillation_loss(teacher_logits: tf.Tensor, student_logits: tf.Tensor, temperature: float) -> tf.Tensor:
    """Cross-entropy of the student's predictions against the teacher's (eq. 2).

    -sum_y P_T(y) log P_S(y), P = softmax(logits / temperature) on both sides. There is
    no temperature**2 factor: the paper has none (the official colabs do), so a
    temperature of 0.1 gives gradients about ten times those of 1.0. No gradient
    reaches the teacher.

    Args:
        teacher_logits: [b, c] float.
        student_logits: [b, c] float, the same classes.
        temperature: > 0; the paper uses 0.1 for a student of the teacher's
            architecture and 1.0 otherwise.

    Returns:
        [b] float32, in nats; the caller averages.

    Raises:
        ValueError: the shapes differ or are not matrices, or temperature <= 0.
    """
    require_positive_temperature(temperature)
    teacher = tf.cast(tf.convert_to_tensor(teacher_logits), tf.float32)
    student = tf.cast(tf.convert_to_tensor(student_logits), tf.float32)
    require_same_matrix_shape(teacher_logits=teacher, student_logits=student)
    target = tf.stop_gradient(tf.nn.softmax(teacher / temperature))
    return tf.nn.softmax_cross_entropy_with_logits(labels=target, logits=student / temperature)


def weighted_distillation(
    teacher_logits: tf.Tensor,
    student_logits: tf.Tensor,
    labels: tf.Tensor,
    *,
    temperature: float,
    alpha: float,
) -> tf.Tensor:
    """Distillation on all examples and cross-entropy on the labelled ones (eq. 3).

    (1 - alpha) * [labelled] * (-log P_S(label) at temperature 1) + alpha * eq. 2.

    Eq. 3 is a sum over the labelled plus a sum over all examples. Both are divided by
    the same batch size when the caller averages the result, which keeps their ratio;
    the labelled part is hence small in a batch that has few labels.

    Args:
        teacher_logits: [b, c] float.
        student_logits: [b, c] float.
        labels: [b] integers in [0, c), or -1 for an example without a label.
        temperature: > 0, of the distillation part alone.
        alpha: in [0, 1]; 1 is distillation alone, the paper's default.

    Returns:
        [b] float32; the caller averages.

    Raises:
        ValueError: shapes do not fit, temperature <= 0, or alpha outside [0, 1].
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1] (1 = distillation alone). Received {alpha}.")
    labels = tf.convert_to_tensor(labels)
    student_logits = tf.convert_to_tensor(student_logits)
    require_one_label_per_row(student_logits, labels)
    soft = distillation_loss(teacher_logits, student_logits, temperature)
    is_labelled = tf.not_equal(labels, UNLABELLED)
    # Class 0 stands in for "none", which cross-entropy would refuse; the mask drops it.
    hard = cross_entropy(student_logits, tf.where(is_labelled, labels, tf.zeros_like(labels)))
    return (1.0 - alpha) * tf.where(is_labelled, hard, tf.zeros_like(hard)) + alpha * soft
