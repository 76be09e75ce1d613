"""Gaussian blur of SimCLR (appendix A), done on the batch inside the training step."""

from __future__ import annotations

import tensorflow as tf

from tf_simclr.data.colour import clip

SIGMA = (0.1, 2.0)  # px
KERNEL_SHARE = 10  # The kernel is about a tenth of the image's side.


def gaussian_blur(images: tf.Tensor, sigma: tf.Tensor | float, kernel_size: int) -> tf.Tensor:
    """Convolution with exp(-x²/2σ²), normalised, across then down; zeros beyond the border.

    images: float32 [b, h, w, c]; sigma in px. The kernel has 2·(kernel_size // 2) + 1 taps: odd, so that
    the image does not shift.
    """
    radius = kernel_size // 2
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)
    taps = tf.exp(-tf.square(offsets) / (2.0 * tf.square(tf.cast(sigma, tf.float32))))
    taps /= tf.reduce_sum(taps)
    channels = images.shape[-1]
    across = tf.tile(tf.reshape(taps, [1, -1, 1, 1]), [1, 1, channels, 1])
    down = tf.tile(tf.reshape(taps, [-1, 1, 1, 1]), [1, 1, channels, 1])
    for kernel in (across, down):
        images = tf.nn.depthwise_conv2d(images, kernel, strides=[1, 1, 1, 1], padding="SAME")
    return images


def random_blur(images: tf.Tensor, seed: tf.Tensor, selected: tf.Tensor) -> tf.Tensor:
    """Blurs the ``selected`` images with one σ ~ U(0.1, 2.0) px for the whole batch; [0, 1].

    images: float32 [b, h, w, 3] of static size; seed: int [2]; selected: bool [b]. Below 20 px the kernel
    has one tap and nothing changes, as in the released code. The same seed gives another σ when compiled by
    XLA, which has its own generator.
    """
    sigma = tf.random.stateless_uniform([], seed, *SIGMA)
    blurred = gaussian_blur(images, sigma, images.shape[1] // KERNEL_SHARE)
    return clip(tf.where(selected[:, tf.newaxis, tf.newaxis, tf.newaxis], blurred, images))
