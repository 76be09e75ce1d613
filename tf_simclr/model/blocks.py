"""Residual blocks, groups of them, and the stem."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_simclr.model.batch_norm import BatchNorm
from tf_simclr.model.layers import AveragePoolShortcut, Conv, ConvNorm, SelectiveKernel, SqueezeExcite

BOTTLENECK_EXPANSION = 4


class ResidualBlock(keras.layers.Layer):
    """A post-activation residual block, basic or bottleneck, with the variants of SimCLRv2.

    ``sk_ratio`` > 0 puts a selective kernel in place of a bottleneck's 3x3 convolution
    and pools the projection shortcut as ResNet-D does; a basic block has only the
    latter, as in the released networks. The last normalisation starts at gamma 0, so
    that the block starts as its shortcut.

    float [batch, h, w, c] → float [batch, ceil(h / strides), ceil(w / strides), outputs],
    outputs = ``filters`` (basic) or 4 · ``filters`` (bottleneck).
    """

    def __init__(
        self,
        filters: int,
        strides: int,
        project: bool,
        bottleneck: bool,
        sk_ratio: float,
        se_ratio: float,
        batch_norm_decay: float,
        global_bn: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.project = project
        self.bottleneck = bottleneck
        self.sk_ratio = sk_ratio
        self.se_ratio = se_ratio
        self.batch_norm_decay = batch_norm_decay
        self.global_bn = global_bn
        self.outputs = filters * (BOTTLENECK_EXPANSION if bottleneck else 1)
        # Shortcut before main path: the order in which the released networks number their layers.
        self.shortcut_pool = (
            AveragePoolShortcut(strides, name="shortcut_pool") if project and sk_ratio else None
        )
        self.shortcut = self._shortcut_conv() if project else None
        self.main_path = self._bottleneck_path() if bottleneck else self._basic_path()
        self.excite = SqueezeExcite(filters, se_ratio, name="excite") if se_ratio else None

    def _conv(self, name: str, filters: int, kernel_size: int, strides: int = 1, **options: Any) -> ConvNorm:
        return ConvNorm(
            filters, kernel_size, strides, self.batch_norm_decay, self.global_bn, name=name, **options
        )

    def _shortcut_conv(self) -> ConvNorm:
        strides = 1 if self.sk_ratio else self.strides  # ResNet-D strides in the pool
        return self._conv("shortcut", self.outputs, 1, strides, relu=False)

    def _basic_path(self) -> list[keras.layers.Layer]:
        return [
            self._conv("conv_1", self.filters, 3, self.strides),
            self._conv("conv_2", self.filters, 3, relu=False, zero_gamma=True),
        ]

    def _bottleneck_path(self) -> list[keras.layers.Layer]:
        if self.sk_ratio:
            middle: keras.layers.Layer = SelectiveKernel(
                self.filters,
                self.strides,
                self.sk_ratio,
                self.batch_norm_decay,
                self.global_bn,
                name="selective_kernel",
            )
        else:
            middle = self._conv("conv_2", self.filters, 3, self.strides)
        return [
            self._conv("conv_1", self.filters, 1),
            middle,
            self._conv("conv_3", self.outputs, 1, relu=False, zero_gamma=True),
        ]

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns relu(main path + shortcut)."""
        shortcut = inputs if self.shortcut_pool is None else self.shortcut_pool(inputs)
        if self.shortcut is not None:
            shortcut = self.shortcut(shortcut, training=training)
        outputs = inputs
        for layer in self.main_path:
            outputs = layer(outputs, training=training)
        if self.excite is not None:
            outputs = self.excite(outputs)
        return tf.nn.relu(outputs + shortcut)

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument."""
        return super().get_config() | {
            "filters": self.filters,
            "strides": self.strides,
            "project": self.project,
            "bottleneck": self.bottleneck,
            "sk_ratio": self.sk_ratio,
            "se_ratio": self.se_ratio,
            "batch_norm_decay": self.batch_norm_decay,
            "global_bn": self.global_bn,
        }


class BlockGroup(keras.layers.Layer):
    """``blocks`` residual blocks, of which the first strides and projects its shortcut."""

    def __init__(
        self, filters: int, blocks: int, strides: int, block_options: dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.blocks = blocks
        self.strides = strides
        self.block_options = dict(block_options)
        self.residual_blocks = [
            ResidualBlock(
                filters, strides if i == 0 else 1, project=i == 0, name=f"block_{i}", **self.block_options
            )
            for i in range(blocks)
        ]

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Runs the blocks one after another."""
        for block in self.residual_blocks:
            inputs = block(inputs, training=training)
        return inputs

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument."""
        return super().get_config() | {
            "filters": self.filters,
            "blocks": self.blocks,
            "strides": self.strides,
            "block_options": dict(self.block_options),
        }


class Stem(keras.layers.Layer):
    """What stands before the first block group.

    ``kind``: ``cifar`` = one 3x3 convolution; ``imagenet`` = 7x7 stride 2 and a 3x3
    stride 2 max-pool; ``resnet_d`` = three 3x3 convolutions, the first with stride 2,
    and the same pool.

    float [batch, h, w, 3] → two tensors: the convolution's output before
    normalisation (``initial_conv``) and the stem's output (``initial_max_pool``).
    """

    KINDS = ("cifar", "imagenet", "resnet_d")

    def __init__(
        self, filters: int, kind: str, batch_norm_decay: float, global_bn: bool, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if kind not in self.KINDS:
            raise ValueError(f"kind must be one of {self.KINDS}. Received {kind!r}.")
        self.filters = filters
        self.kind = kind
        self.batch_norm_decay = batch_norm_decay
        self.global_bn = global_bn
        half = max(1, filters // 2)
        leading = {"cifar": [], "imagenet": [], "resnet_d": [(half, 3, 2), (half, 3, 1)]}[kind]
        last = {"cifar": (filters, 3, 1), "imagenet": (filters, 7, 2), "resnet_d": (filters, 3, 1)}[kind]
        self.leading = [
            ConvNorm(*shape, batch_norm_decay, global_bn, name=f"conv_{i}")
            for i, shape in enumerate(leading, 1)
        ]
        self.conv = Conv(*last, name="conv")
        self.norm = BatchNorm(momentum=batch_norm_decay, global_bn=global_bn, name="norm")

    def call(self, inputs: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns (initial_conv, initial_max_pool)."""
        for layer in self.leading:
            inputs = layer(inputs, training=training)
        initial_conv = self.conv(inputs)
        outputs = tf.nn.relu(self.norm(initial_conv, training=training))
        if self.kind != "cifar":
            outputs = tf.nn.max_pool2d(outputs, 3, 2, "SAME")
        return initial_conv, outputs

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument."""
        return super().get_config() | {
            "filters": self.filters,
            "kind": self.kind,
            "batch_norm_decay": self.batch_norm_decay,
            "global_bn": self.global_bn,
        }
