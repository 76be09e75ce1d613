"""Encoded images to pixels."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable

import tensorflow as tf

_BLOCK = 32  # px: 8 of JPEG's own, times 4 where colour has a quarter of the resolution
# One pixel as lossless WebP: it asks TensorFlow, rather than its version, whether it reads the format.
_ONE_PIXEL_WEBP = base64.b64decode("UklGRh4AAABXRUJQVlA4TBEAAAAvAAAAAAdQ5CrUo/+BiOh/AAA=")


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """Pixels of one JPEG, PNG, GIF (first frame), BMP or WebP: uint8 [h, w, 3], grey as RGB."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


# From the shape of an image, [3], to where its part begins and how large it is, [3] each.
Window = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def cropped(image: tf.Tensor, window: Window) -> tf.Tensor:
    """The part of ``image`` that ``window`` names: [height, width, 3].

    image: pixels [h, w, 3], or an encoded file (scalar string), of which a JPEG is decoded only around the
    part: the pixels are those of decoding all of it.
    """
    if image.dtype != tf.string:
        return tf.slice(image, *window(tf.shape(image)))
    return tf.cond(
        tf.io.is_jpeg(image),
        lambda: _cropped_jpeg(image, window),
        lambda: cropped(decode_image(image), window),
    )


def _cropped_jpeg(encoded: tf.Tensor, window: Window) -> tf.Tensor:
    size = tf.io.extract_jpeg_shape(encoded)[:2]
    begin, extent = window(tf.concat([size, [3]], axis=0))
    begin, extent = begin[:2], extent[:2]
    # A pixel's colour depends on blocks beside its own, where colour is stored at half the resolution.
    first = tf.maximum(begin // _BLOCK * _BLOCK - _BLOCK, 0)
    last = tf.minimum(((begin + extent - 1) // _BLOCK + 2) * _BLOCK, size)
    part = tf.io.decode_and_crop_jpeg(encoded, tf.concat([first, last - first], axis=0), channels=3)
    return tf.slice(part, tf.pad(begin - first, [[0, 1]]), tf.concat([extent, [3]], axis=0))


@functools.cache
def reads_webp() -> bool:
    """Whether the installed TensorFlow decodes WebP (2.15 does not)."""
    try:
        tf.io.decode_image(_ONE_PIXEL_WEBP, channels=3, expand_animations=False)
    except tf.errors.InvalidArgumentError:
        return False
    return True
