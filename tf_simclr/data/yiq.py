"""``--color_jitter=yiq``: all colours of a view at once, as one linear change of its pixels."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tf_simclr.data.colour import LUMA, clip
from tf_simclr.data.draw import Draw

# NTSC 1953: luma and the two colour axes of red, green and blue.
TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def distort_in_yiq(images: tf.Tensor, draws: Draw) -> tf.Tensor:
    """Applies to every image its own draw: float32 [k, s, s, 3] of static shape, in [0, 1].

    Brightness, contrast, saturation, hue and greyscale are (contrast·x + (1 - contrast)·m)·A with m the mean
    of the image's pixels, whatever their order is, as nothing is clipped between them. images, draws: those
    of :func:`~tf_simclr.data.distort.distort_each`.
    """
    count, side = images.shape[0], images.shape[2]
    change = colour_change(draws)
    contrast = tf.where(draws["jitter"], draws["factors"][:, 1], 1.0)[:, tf.newaxis, tf.newaxis]
    # Rows of the image are added up and moved whole, as TensorFlow is slow on last axes as short as a pixel.
    row = tf.reduce_mean(tf.reshape(images, [count, -1, side * 3]), axis=1)
    mean = tf.reduce_mean(tf.reshape(row, [count, side, 3]), axis=1, keepdims=True)
    offsets = tf.tile((1.0 - contrast) * (mean @ change), [1, 1, side])
    pixels, changes = tf.reshape(images, [count, -1, 3]), contrast * change
    # TensorFlow multiplies two matrices faster than two stacks of one matrix.
    changed = pixels[0] @ changes[0] if count == 1 else pixels @ changes
    return clip(tf.reshape(tf.reshape(changed, [count, -1, side * 3]) + offsets, images.shape))


def colour_change(draws: Draw) -> tf.Tensor:
    """Matrices that change pixels (rows) but for their contrast: float32 [k, 3, 3].

    Colours are turned and scaled in the plane I, Q, all is scaled by brightness, and made grey where that was
    drawn: a linear change of RGB, unlike the same factors in HSV. tensorflow-addons' ``adjust_hsv_in_yiq``
    gives the same pixels.
    """
    brightness, _, saturation, turn = (
        factor[:, tf.newaxis, tf.newaxis] for factor in tf.unstack(draws["factors"], axis=-1)
    )
    jitter, grey = (draws[name][:, tf.newaxis, tf.newaxis] for name in ("jitter", "grey"))
    luma, kept, crossed = _parts()
    along = saturation * tf.cos(2.0 * math.pi * turn)
    across = saturation * tf.sin(2.0 * math.pi * turn)
    jittered = tf.where(jitter, brightness * (luma + along * kept + across * crossed), tf.eye(3))
    return tf.where(grey, jittered @ tf.repeat(tf.constant(LUMA)[:, tf.newaxis], 3, axis=1), jittered)


def _parts() -> tuple[tf.Tensor, ...]:
    """Maps rows of RGB to the RGB of their luma, colour, and colour a quarter further on: [3, 3] each."""
    back = np.linalg.inv(TO_YIQ)
    quarter = np.outer(back[:, 2], TO_YIQ[1]) - np.outer(back[:, 1], TO_YIQ[2])
    luma = np.outer(back[:, 0], TO_YIQ[0])
    return tuple(tf.constant(part.T, tf.float32) for part in (luma, np.eye(3) - luma, quarter))
