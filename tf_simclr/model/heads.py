"""The projection head and the linear classifier."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_simclr.config import HeadConfig
from tf_simclr.model.batch_norm import BatchNorm

KERNEL_STDDEV = 0.01


class ProjectionLayer(keras.layers.Layer):
    """Dense without bias and batch norm; a hidden one has an offset (beta) and a ReLU.

    ``units`` None keeps the input's width. float [batch, d] → float [batch, units].
    """

    def __init__(
        self, units: int | None, hidden: bool, batch_norm_decay: float, global_bn: bool, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.hidden = hidden
        self.batch_norm_decay = batch_norm_decay
        self.global_bn = global_bn
        self.norm = BatchNorm(momentum=batch_norm_decay, global_bn=global_bn, center=hidden, name="norm")

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the kernel [d, units] ~ N(0, 0.01)."""
        width = input_shape[-1]
        self.kernel = self.add_weight(
            "kernel",
            (width, self.units or width),
            initializer=keras.initializers.RandomNormal(stddev=KERNEL_STDDEV),
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the layer's output."""
        outputs = self.norm(tf.matmul(inputs, self.kernel), training=training)
        return tf.nn.relu(outputs) if self.hidden else outputs

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument."""
        return super().get_config() | {
            "units": self.units,
            "hidden": self.hidden,
            "batch_norm_decay": self.batch_norm_decay,
            "global_bn": self.global_bn,
        }


class ProjectionHead(keras.layers.Layer):
    """The projection head, or its first ``keep_layers`` layers (SimCLRv2, section 2).

    Hidden layers keep the width of the features; the last projects to
    ``proj_out_dim``. float [batch, d] → a tuple of ``keep_layers + 1`` tensors: the
    input, then every layer's output, so that element k is where
    ``--ft_proj_selector=k`` starts.
    """

    def __init__(
        self,
        *,
        proj_head_mode: str,
        num_proj_layers: int,
        proj_out_dim: int,
        batch_norm_decay: float,
        global_bn: bool,
        keep_layers: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = HeadConfig(
            proj_head_mode=proj_head_mode, num_proj_layers=num_proj_layers, proj_out_dim=proj_out_dim
        )
        self.batch_norm_decay = batch_norm_decay
        self.global_bn = global_bn
        total = self.config.num_layers
        self.keep_layers = total if keep_layers is None else keep_layers
        if not 0 <= self.keep_layers <= total:
            raise ValueError(f"keep_layers must be in 0..{total}, the head's depth. Received {keep_layers}.")
        self.projection_layers = [
            ProjectionLayer(
                None if k < total else proj_out_dim,
                k < total,
                batch_norm_decay,
                global_bn,
                name=f"layer_{k}",
                dtype=self.dtype_policy,
            )
            for k in range(1, self.keep_layers + 1)
        ]

    def call(self, features: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, ...]:
        """Returns the input and every layer's output."""
        outputs = [features]
        for layer in self.projection_layers:
            outputs.append(layer(outputs[-1], training=training))
        return tuple(outputs)

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument."""
        return super().get_config() | {
            "proj_head_mode": self.config.proj_head_mode,
            "num_proj_layers": self.config.num_proj_layers,
            "proj_out_dim": self.config.proj_out_dim,
            "batch_norm_decay": self.batch_norm_decay,
            "global_bn": self.global_bn,
            "keep_layers": self.keep_layers,
        }


class LinearClassifier(keras.layers.Layer):
    """Logits from features: float [batch, d] → float32 [batch, num_classes]."""

    def __init__(self, num_classes: int, zero_init: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.zero_init = zero_init

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the kernel (zeros, or N(0, 0.01)) and the bias (zeros)."""
        initializer = "zeros" if self.zero_init else keras.initializers.RandomNormal(stddev=KERNEL_STDDEV)
        self.kernel = self.add_weight("kernel", (input_shape[-1], self.num_classes), initializer=initializer)
        self.bias = self.add_weight("bias", (self.num_classes,), initializer="zeros")
        super().build(input_shape)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Returns the logits."""
        return tf.matmul(features, self.kernel) + self.bias

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument."""
        return super().get_config() | {"num_classes": self.num_classes, "zero_init": self.zero_init}
