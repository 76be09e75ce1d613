"""Encoded images to pixels."""

from __future__ import annotations

import base64
import functools

import tensorflow as tf

# One pixel as lossless WebP: it asks TensorFlow, rather than its version, whether it reads the format.
_ONE_PIXEL_WEBP = base64.b64decode("UklGRh4AAABXRUJQVlA4TBEAAAAvAAAAAAdQ5CrUo/+BiOh/AAA=")


def decode_image(encoded: tf.Tensor) -> tf.Tensor:
    """Pixels of one JPEG, PNG, GIF (first frame), BMP or WebP: uint8 [h, w, 3], grey as RGB."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


@functools.cache
def reads_webp() -> bool:
    """Whether the installed TensorFlow decodes WebP (2.15 does not)."""
    try:
        tf.io.decode_image(_ONE_PIXEL_WEBP, channels=3, expand_animations=False)
    except tf.errors.InvalidArgumentError:
        return False
    return True
