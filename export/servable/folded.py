"""Batch norm folded into the weights before it, for inference alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from export.reusable import trainable_copy
from tf_simclr.model.batch_norm import EPSILON, BatchNorm
from tf_simclr.model.blocks import Stem
from tf_simclr.model.heads import ProjectionLayer
from tf_simclr.model.layers import ConvNorm
from tf_simclr.model.network import SimCLR

# A GraphDef holds at most 2 GiB; the rest of a servable's graph takes a few MB.
MAX_CONSTANT_BYTES = 1_500_000_000


class AddBias(tf.Module):
    """What is left of a folded batch norm. float [..., channels] → the same shape."""

    def __init__(self, bias: Any) -> None:
        super().__init__()
        self.bias = bias

    def __call__(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns ``inputs`` + bias, as the operation that TensorFlow fuses with a convolution and a ReLU."""
        del training  # Only inference is left.
        return tf.nn.bias_add(inputs, self.bias)


def folded_copy(network: SimCLR) -> SimCLR:
    """Returns a network for inference with equal outputs and no batch norm.

    In inference mode batch norm is y = (x - mean) · s + beta with s = gamma / sqrt(variance +
    epsilon), and the layer before it is linear, so its kernel takes s, and a bias takes beta -
    mean · s. The result's weights are constants, which TensorFlow's kernels lay out once, as
    long as they fit into a graph, else variables. ``network`` stays as it is.

    Raises:
        ValueError: called inside ``strategy.scope()``.
    """
    copy = trainable_copy(network)
    fits = sum(variable.shape.num_elements() * 4 for variable in copy.variables) <= MAX_CONSTANT_BYTES
    hold = np.asarray if fits else _variable
    for layer in copy.submodules:
        if isinstance(layer, (ConvNorm, Stem)):
            _fold(layer.conv, layer, hold)
        elif isinstance(layer, ProjectionLayer):
            _fold(layer, layer, hold)
    for layer in copy.submodules:
        for name in ("kernel", "bias"):
            value = getattr(layer, name, None)
            if fits and isinstance(value, tf.Variable):
                setattr(layer, name, value.numpy())
    return copy


def _fold(linear: keras.layers.Layer, parent: keras.layers.Layer, hold: Any) -> None:
    """Folds ``parent.norm`` into the kernel of ``linear``, whose last axis are the channels."""
    kernel, bias = _folded_weights(linear.kernel.numpy(), parent.norm)
    linear.kernel.assign(kernel)
    parent.norm = AddBias(hold(bias))


def _folded_weights(kernel: np.ndarray, norm: BatchNorm) -> tuple[np.ndarray, np.ndarray]:
    # float64: the products are rounded once.
    gamma, mean, variance = (
        value.numpy().astype(np.float64) for value in (norm.gamma, norm.moving_mean, norm.moving_variance)
    )
    beta = np.zeros_like(mean) if norm.beta is None else norm.beta.numpy().astype(np.float64)
    scale = gamma / np.sqrt(variance + EPSILON)
    return (kernel * scale).astype(np.float32), (beta - mean * scale).astype(np.float32)


def _variable(value: np.ndarray) -> tf.Variable:
    with tf.device("/cpu:0"):
        return tf.Variable(value, trainable=False)
