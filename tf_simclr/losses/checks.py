"""Argument checks that several losses share."""

from __future__ import annotations

import tensorflow as tf


def require_positive_temperature(temperature: float) -> None:
    """Raises ValueError unless ``temperature`` > 0 (it divides logits before a softmax)."""
    if not temperature > 0:
        raise ValueError(
            f"temperature must be greater than 0. Received {temperature}. "
            "Typical values: 0.1 for contrastive learning, 0.1 or 1.0 for distillation."
        )


def require_same_matrix_shape(**tensors: tf.Tensor) -> None:
    """Raises ValueError unless all named tensors are matrices [rows, columns] of one shape."""
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    received = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    first = next(iter(shapes.values()))
    if any(shape.rank != 2 or not shape.is_compatible_with(first) for shape in shapes.values()):
        raise ValueError(
            f"Expected matrices of one shape [rows, columns]. Received {received}. "
            "Give both arguments the same examples in the same order."
        )


def require_one_label_per_row(logits: tf.Tensor, labels: tf.Tensor) -> None:
    """Raises ValueError unless logits are [b, c] and labels are b integers, not one-hot."""
    is_matrix = logits.shape.rank == 2
    is_integer_vector = labels.shape.rank == 1 and labels.dtype.is_integer
    if not (is_matrix and is_integer_vector and labels.shape.is_compatible_with(logits.shape[:1])):
        raise ValueError(
            "Expected logits [batch, classes] and integer labels [batch]. "
            f"Received logits {logits.shape} and {labels.dtype.name} labels {labels.shape}. "
            "Turn one-hot labels into class indices with tf.argmax(labels, axis=-1)."
        )
