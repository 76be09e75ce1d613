"""The small layers that residual blocks are made of."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_simclr.model.batch_norm import BatchNorm

SK_MIN_DIM = 32  # narrowest mixing layer of a selective kernel


def spatial_mean(images: tf.Tensor, *, keepdims: bool = False) -> tf.Tensor:
    """Returns the mean over height and width: float [b, h, w, c] → float32 [b, c], or [b, 1, 1, c]."""
    return tf.reduce_mean(tf.cast(images, tf.float32), axis=[1, 2], keepdims=keepdims)


class Conv(keras.layers.Conv2D):
    """Convolution without bias whose padding doesn't depend on the image size.

    With stride 1 the padding is SAME; otherwise ``kernel_size - 1`` zeros are added,
    the smaller half in front, and the convolution is VALID. float [batch, h, w, c] →
    float [batch, ceil(h / strides), ceil(w / strides), filters].
    """

    def __init__(self, filters: int, kernel_size: int, strides: int = 1, **kwargs: Any) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding="same" if strides == 1 else "valid",
            use_bias=False,
            kernel_initializer=keras.initializers.VarianceScaling(),
            **kwargs,
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Pads where the stride asks for it, and convolves."""
        if self.strides[0] > 1:
            total = self.kernel_size[0] - 1
            pad = [total // 2, total - total // 2]
            inputs = tf.pad(inputs, [[0, 0], pad, pad, [0, 0]])
        return super().call(inputs)

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": self.dtype,
            "filters": self.filters,
            "kernel_size": self.kernel_size[0],
            "strides": self.strides[0],
        }


class ConvNorm(keras.layers.Layer):
    """Convolution, batch norm and, if ``relu``, a ReLU.

    float [batch, h, w, c] → float [batch, ceil(h / strides), ceil(w / strides), filters].
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int,
        batch_norm_decay: float,
        global_bn: bool,
        relu: bool = True,
        zero_gamma: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.relu = relu
        self.conv = Conv(filters, kernel_size, strides, name="conv")
        self.norm = BatchNorm(
            momentum=batch_norm_decay, global_bn=global_bn, zero_gamma=zero_gamma, name="norm"
        )

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the layer's output."""
        outputs = self.norm(self.conv(inputs), training=training)
        return tf.nn.relu(outputs) if self.relu else outputs

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument."""
        return super().get_config() | {
            "filters": self.conv.filters,
            "kernel_size": self.conv.kernel_size[0],
            "strides": self.conv.strides[0],
            "batch_norm_decay": self.norm.momentum,
            "global_bn": self.norm.global_bn,
            "relu": self.relu,
            "zero_gamma": self.norm.zero_gamma,
        }


class AveragePoolShortcut(keras.layers.Layer):
    """The 2x2 average pool before a ResNet-D shortcut's 1x1 convolution (He et al. 2018, fig. 2c).

    With stride 1 the pool is SAME and averages only values inside the image; with
    stride 2 zeros are added behind and count in the average, as in the released
    networks. float [batch, h, w, c] → float [batch, ceil(h / strides), ceil(w / strides), c].
    """

    def __init__(self, strides: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.strides = strides

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the pooled tensor."""
        if self.strides == 1:
            return tf.nn.avg_pool2d(inputs, 2, 1, "SAME")
        padded = tf.pad(inputs, [[0, 0], [0, 1], [0, 1], [0, 0]])
        return tf.nn.avg_pool2d(padded, 2, self.strides, "VALID")

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument."""
        return super().get_config() | {"strides": self.strides}


class SelectiveKernel(keras.layers.Layer):
    """Two 3x3 streams mixed by attention over their pooled sum (Li et al. 2019; SimCLRv2, appendix B).

    One convolution makes both streams; a channel's mix is a softmax over the two.
    float [batch, h, w, c] → float [batch, ceil(h / strides), ceil(w / strides), filters].
    """

    def __init__(
        self,
        filters: int,
        strides: int,
        sk_ratio: float,
        batch_norm_decay: float,
        global_bn: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.sk_ratio = sk_ratio
        self.batch_norm_decay = batch_norm_decay
        self.global_bn = global_bn
        narrow = max(int(filters * sk_ratio), SK_MIN_DIM)
        self.streams = ConvNorm(2 * filters, 3, strides, batch_norm_decay, global_bn, name="streams")
        self.reduce = ConvNorm(narrow, 1, 1, batch_norm_decay, global_bn, name="reduce")
        self.expand = Conv(2 * filters, 1, name="expand")

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the mixed streams."""
        first, second = tf.split(self.streams(inputs, training=training), 2, axis=-1)
        pooled = spatial_mean(first + second, keepdims=True)
        scores = self.expand(self.reduce(pooled, training=training))
        score_first, score_second = tf.split(tf.cast(scores, tf.float32), 2, axis=-1)
        share = tf.cast(tf.sigmoid(score_first - score_second), first.dtype)  # a softmax over two
        return share * first + (1.0 - share) * second

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument."""
        return super().get_config() | {
            "filters": self.filters,
            "strides": self.strides,
            "sk_ratio": self.sk_ratio,
            "batch_norm_decay": self.batch_norm_decay,
            "global_bn": self.global_bn,
        }


class SqueezeExcite(keras.layers.Layer):
    """Scales channels by a gate computed from their means (Hu et al. 2018).

    ``filters`` is the block's inner width, of which ``se_ratio`` is the gate's hidden
    width. float [batch, h, w, c] → the same shape.
    """

    def __init__(self, filters: int, se_ratio: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.se_ratio = se_ratio

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the two 1x1 convolutions, with biases."""
        initializer = keras.initializers.VarianceScaling()
        self.reduce = keras.layers.Conv2D(
            max(1, int(self.filters * self.se_ratio)), 1, kernel_initializer=initializer, name="reduce"
        )
        self.expand = keras.layers.Conv2D(
            input_shape[-1], 1, kernel_initializer=keras.initializers.VarianceScaling(), name="expand"
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the gated tensor."""
        pooled = spatial_mean(inputs, keepdims=True)
        return tf.sigmoid(self.expand(tf.nn.relu(self.reduce(pooled)))) * inputs

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument."""
        return super().get_config() | {"filters": self.filters, "se_ratio": self.se_ratio}
