"""Colour distortion of SimCLR (appendix A), with the multiplicative brightness of SimCLRv2.

An image is its three planes (red, green, blue): float32 [..., h, w] each, so that every operation is plain
arithmetic on whole planes, which XLA makes one loop of. Hue and saturation are closed forms of the round trip
through HSV, exact on values outside [0, 1] too. Factors broadcast against the planes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Planes = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
Factor = Any  # a number, or a tensor float32

LUMA = (0.2989, 0.587, 0.114)  # TensorFlow's, of red, green and blue
_SEXTANTS = (5.0, 3.0, 1.0)  # where on the colour circle red, green and blue begin to fall, in sixths of it


def adjust_brightness(planes: Planes, factor: Factor) -> Planes:
    """x·factor, in [0, 1]."""
    return _clipped(*(plane * factor for plane in planes))


def adjust_contrast(planes: Planes, factor: Factor) -> Planes:
    """(x - m)·factor + m with m the mean of each plane, in [0, 1]."""
    # Columns first: XLA adds up whole rows at once, but single numbers one after the other.
    rows = [tf.reduce_mean(plane, axis=-2, keepdims=True) for plane in planes]
    means = [tf.reduce_mean(row, axis=-1, keepdims=True) for row in rows]
    return _clipped(*((plane - mean) * factor + mean for plane, mean in zip(planes, means, strict=True)))


def adjust_saturation(planes: Planes, factor: Factor) -> Planes:
    """HSV saturation times ``factor``, at most 1; in [0, 1].

    With V the largest and m the smallest of the three, S = (V - m) / V and every x = V - V·S·t with a t that
    belongs to the hue alone. A new S' = clip(S·factor) so moves x to V - (V - x)·S'/S.
    """
    largest, smallest = _largest_and_smallest(planes)
    saturation = tf.where(largest > 0, (largest - smallest) / tf.where(largest > 0, largest, 1.0), 0.0)
    ratio = tf.where(
        saturation > 0, clip(saturation * factor) / tf.where(saturation > 0, saturation, 1.0), 0.0
    )
    return _clipped(*(largest - (largest - plane) * ratio for plane in planes))


def adjust_hue(planes: Planes, turn: Factor) -> Planes:
    """HSV hue plus ``turn`` (1 = the whole circle), in [0, 1].

    The hue in sixths, H = (g - b) / C next to red and likewise 2 and 4 further on, with C = V - m. Back, a
    channel that begins to fall at n is V - C·clip(min(k, 4 - k)) with k = (n + H) mod 6.
    """
    red, green, blue = planes
    largest, smallest = _largest_and_smallest(planes)
    chroma = largest - smallest
    inverse = tf.where(chroma > 0, 1.0 / tf.where(chroma > 0, chroma, 1.0), 0.0)
    from_green = tf.where(largest == green, (blue - red) * inverse + 2.0, (red - green) * inverse + 4.0)
    hue = tf.where(largest == red, (green - blue) * inverse, from_green) + 6.0 * turn
    turned = []
    for begin in _SEXTANTS:
        k = hue + begin
        k -= 6.0 * tf.floor(k / 6.0)  # What tf.math.floormod gives, which XLA does not vectorise.
        turned.append(largest - chroma * clip(tf.minimum(k, 4.0 - k)))
    return _clipped(*turned)


def to_grayscale(planes: Planes) -> Planes:
    """Luma in all three planes."""
    red, green, blue = (weight * plane for weight, plane in zip(LUMA, planes, strict=True))
    grey = red + green + blue
    return grey, grey, grey


# In the order of the factors that are drawn for a view.
OPERATIONS: tuple[Callable[[Planes, Factor], Planes], ...] = (
    adjust_brightness,
    adjust_contrast,
    adjust_saturation,
    adjust_hue,
)


def clip(values: tf.Tensor) -> tf.Tensor:
    """Into [0, 1]."""
    return tf.clip_by_value(values, 0.0, 1.0)


def _clipped(red: tf.Tensor, green: tf.Tensor, blue: tf.Tensor) -> Planes:
    return clip(red), clip(green), clip(blue)


def _largest_and_smallest(planes: Planes) -> tuple[tf.Tensor, tf.Tensor]:
    red, green, blue = planes
    largest = tf.maximum(tf.maximum(red, green), blue)
    return largest, tf.minimum(tf.minimum(red, green), blue)
