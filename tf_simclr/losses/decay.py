"""Weight decay as a term of the loss."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf


def weight_decay_loss(variables: Iterable[tf.Variable], weight_decay: float) -> tf.Tensor:
    """Returns 0.5 * weight_decay * sum ||w||^2 over ``variables``: a float32 scalar, 0 for none.

    Which variables belong here depends on the optimizer: see
    :func:`tf_simclr.optim.build.loss_decayed_variables`.

    Raises:
        ValueError: ``weight_decay`` < 0.
    """
    if weight_decay < 0:
        raise ValueError(f"weight_decay must be 0 or more. Received {weight_decay}.")
    halves = [tf.nn.l2_loss(tf.cast(variable, tf.float32)) for variable in variables]  # 0.5 * ||w||^2
    return weight_decay * tf.add_n(halves) if halves else tf.zeros([], tf.float32)
