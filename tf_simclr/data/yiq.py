"""``--color_jitter=yiq``: hue, saturation and brightness in one operation of tensorflow-addons."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tf_simclr.config import ConfigError
from tf_simclr.data.colour import LUMA, clip
from tf_simclr.data.draw import Draw

_CONTRAST = 1  # its place among the drawn operations


def distort_in_yiq(image: tf.Tensor, draw: Draw) -> tf.Tensor:
    """One view float32 [s, s, 3] with the factors of ``draw``, in [0, 1].

    Unlike the paper's, hue turns and saturation grows in YIQ, a linear change of RGB, and both come together
    with brightness; contrast comes before or after them, as it was drawn before or after most of them.
    Raises ConfigError without tensorflow-addons.
    """
    change = image_addons().adjust_hsv_in_yiq
    brightness, contrast, saturation, turn = tf.unstack(draw["factors"])
    place = tf.argmax(tf.equal(draw["order"], _CONTRAST))

    def jittered() -> tf.Tensor:
        contrast_first = place < 2
        first = tf.where(contrast_first, contrast, 1.0)
        second = tf.where(contrast_first, 1.0, contrast)
        changed = clip(tf.image.adjust_contrast(image, first))
        changed = clip(change(changed, turn * 2.0 * math.pi, saturation, brightness))
        return clip(tf.image.adjust_contrast(changed, second))

    image = tf.cond(draw["jitter"], jittered, lambda: image)
    weights = tf.constant(LUMA)[:, tf.newaxis]
    grey = tf.cond(draw["grey"], lambda: tf.tile(image @ weights, [1, 1, 3]), lambda: image)
    return clip(grey)


def image_addons() -> Any:
    """The images part of tensorflow-addons. Raises ConfigError where it is missing."""
    try:
        from tensorflow_addons import image
    except ImportError as error:
        raise ConfigError(
            "--color_jitter=yiq needs tensorflow-addons, which is installed with Python 3.11 or earlier. "
            "Use --color_jitter=simclr, the paper's."
        ) from error
    return image
