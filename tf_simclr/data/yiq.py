"""``--color_jitter=yiq``: hue, saturation and brightness at once, as one product with a 3x3 matrix."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tf_simclr.data.colour import OPERATIONS, Factor, Planes, adjust_contrast, clip

# NTSC 1953: luma and the two colour axes of red, green and blue.
TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_CONTRAST = OPERATIONS.index(adjust_contrast)


def adjust_in_yiq(planes: Planes, brightness: Factor, saturation: Factor, turn: Factor) -> Planes:
    """Colours in the plane I, Q turned by ``turn`` (1 = a whole circle) and scaled, then all scaled; [0, 1].

    A linear change of RGB, unlike the same factors in HSV. tensorflow-addons' ``adjust_hsv_in_yiq`` gives the
    same pixels.
    """
    along = saturation * tf.cos(2.0 * math.pi * turn)
    across = saturation * tf.sin(2.0 * math.pi * turn)
    luma, kept, crossed = _parts()
    changed = []
    for row in range(3):
        weights = [
            brightness * (luma[row][c] + along * kept[row][c] + across * crossed[row][c]) for c in range(3)
        ]
        red, green, blue = (weight * plane for weight, plane in zip(weights, planes, strict=True))
        changed.append(clip(red + green + blue))
    return changed[0], changed[1], changed[2]


def contrast_comes_first(order: tf.Tensor) -> tf.Tensor:
    """Whether contrast was drawn before most of the four operations; ``order``: [..., 4]."""
    return tf.argmax(tf.equal(order, _CONTRAST), axis=-1) < len(OPERATIONS) // 2


def _parts() -> tuple[list[list[float]], ...]:
    """What maps RGB to the RGB of its luma, of its colour, and of its colour a quarter further on."""
    back = np.linalg.inv(TO_YIQ)
    quarter = np.outer(back[:, 2], TO_YIQ[1]) - np.outer(back[:, 1], TO_YIQ[2])
    luma = np.outer(back[:, 0], TO_YIQ[0])
    return luma.tolist(), (np.eye(3) - luma).tolist(), quarter.tolist()
