"""Colour distortion of SimCLR (appendix A), with the multiplicative brightness of SimCLRv2.

Every function takes and returns one image float32 [h, w, 3]; seeds are int [2].
"""

from __future__ import annotations

import tensorflow as tf

JITTER_PROBABILITY = 0.8
GREY_PROBABILITY = 0.2
BRIGHTNESS = CONTRAST = SATURATION = 0.8  # half-width of the factor's range around 1 at strength 1
HUE = 0.2  # half-width of the turn's range at strength 1; 1 = the whole colour circle
_HUE_MAX = 0.5  # Half the circle either way is all of it.


def adjust_brightness(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """image·factor, in [0, 1]."""
    return clip(image * factor)


def adjust_contrast(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """(image - m)·factor + m with m the mean of each channel, in [0, 1]."""
    return clip(tf.image.adjust_contrast(image, factor))


def adjust_saturation(image: tf.Tensor, factor: tf.Tensor | float) -> tf.Tensor:
    """HSV saturation times ``factor``, in [0, 1]."""
    return clip(tf.image.adjust_saturation(image, factor))


def adjust_hue(image: tf.Tensor, turn: tf.Tensor | float) -> tf.Tensor:
    """HSV hue plus ``turn`` (1 = the whole circle), in [0, 1]."""
    return clip(tf.image.adjust_hue(image, turn))


def to_grayscale(image: tf.Tensor) -> tf.Tensor:
    """Luma (0.2989 R + 0.587 G + 0.114 B) in all three channels."""
    return tf.tile(tf.image.rgb_to_grayscale(image), [1, 1, 3])


def color_jitter(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Brightness, contrast, saturation and hue in a fresh random order; [0, 1] after each.

    Factors ~ U(max(0, 1 - 0.8·strength), 1 + 0.8·strength); turn ~ U(-0.2·strength, 0.2·strength), at most
    half the circle. Ranges: SimCLR, appendix A; the random order and the
    multiplicative brightness: SimCLRv2's released code.
    """
    value_seed, order_seed = tf.unstack(tf.random.split(seed, 2))
    low, high = _ranges(strength)
    brightness, contrast, saturation, hue = tf.unstack(
        tf.random.stateless_uniform([4], value_seed) * (high - low) + low
    )
    # Sorting uniform numbers gives every order with the same probability.
    order = tf.unstack(tf.math.top_k(tf.random.stateless_uniform([4], order_seed), 4).indices)
    for operation in order:
        image = tf.switch_case(
            operation,
            [
                lambda image=image: adjust_brightness(image, brightness),
                lambda image=image: adjust_contrast(image, contrast),
                lambda image=image: adjust_saturation(image, saturation),
                lambda image=image: adjust_hue(image, hue),
            ],
        )
    return image


def random_color(image: tf.Tensor, seed: tf.Tensor, strength: float) -> tf.Tensor:
    """Jitter with probability 0.8, then greyscale with probability 0.2; ``strength`` 0: the image itself."""
    if strength == 0:
        return image
    jitter_seed, choice_seed = tf.unstack(tf.random.split(seed, 2))
    jitter, grey = tf.unstack(tf.random.stateless_uniform([2], choice_seed))
    image = tf.cond(
        jitter < JITTER_PROBABILITY, lambda: color_jitter(image, jitter_seed, strength), lambda: image
    )
    return tf.cond(grey < GREY_PROBABILITY, lambda: to_grayscale(image), lambda: image)


def clip(image: tf.Tensor) -> tf.Tensor:
    """Into [0, 1]."""
    return tf.clip_by_value(image, 0.0, 1.0)


def _ranges(strength: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Lowest and highest brightness, contrast and saturation factor and hue turn: [4] float32 each."""
    factors = [strength * half for half in (BRIGHTNESS, CONTRAST, SATURATION)]
    turn = min(strength * HUE, _HUE_MAX)
    low = [max(0.0, 1 - half) for half in factors] + [-turn]
    high = [1 + half for half in factors] + [turn]
    return tf.constant(low), tf.constant(high)
