"""Activations that are computed twice instead of kept (Chen et al. 2016, arXiv 1604.06174)."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from tf_simclr.model.batch_norm import kept_statistics


def recomputed(layer: keras.layers.Layer, inputs: tf.Tensor) -> tf.Tensor:
    """Returns ``layer(inputs, training=True)``, whose backward pass starts from ``inputs`` alone.

    The second computation leaves batch norm's moving statistics as the first set them.
    """
    is_done = False

    def forward(values: tf.Tensor) -> tf.Tensor:
        nonlocal is_done
        if is_done:
            with kept_statistics():
                return layer(values, training=True)
        is_done = True
        return layer(values, training=True)

    return tf.recompute_grad(forward)(inputs)
