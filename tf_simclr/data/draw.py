"""What chance decides of a view of pretraining but for its crop, apart from the pixels."""

from __future__ import annotations

import tensorflow as tf

from tf_simclr.config import AugmentConfig

FLIP_PROBABILITY = 0.5
BLUR_PROBABILITY = 0.5
JITTER_PROBABILITY = 0.8
GREY_PROBABILITY = 0.2
BRIGHTNESS = CONTRAST = SATURATION = 0.8  # half-width of the factor's range around 1 at strength 1
HUE = 0.2  # half-width of the turn's range at strength 1; 1 = the whole colour circle
_HUE_MAX = 0.5  # Half the circle either way is all of it.
_OPERATIONS = 4
NUMBERS = 4 + 2 * _OPERATIONS  # uniform numbers that a view needs

Draw = dict[str, tf.Tensor]


def draw_view(numbers: tf.Tensor, augment: AugmentConfig) -> Draw:
    """Makes decisions (SimCLR, appendix A) of ``numbers``, [..., NUMBERS] uniform in [0, 1).

    Returns flip, blur, jitter and grey (bool [...]), factors [..., 4] float32 of brightness, contrast,
    saturation (~ U(max(0, 1 - 0.8·strength), 1 + 0.8·strength)) and the turn of hue (~ U(-0.2·strength,
    0.2·strength), at most half the circle), and order [..., 4] int32: which of the four comes first
    (SimCLRv2's released code). Strength 0 neither jitters nor makes grey.
    """
    choices, factors, order = tf.split(numbers, [4, _OPERATIONS, _OPERATIONS], axis=-1)
    coloured = float(augment.color_jitter_strength > 0)
    limits = (
        FLIP_PROBABILITY * augment.use_flip,
        BLUR_PROBABILITY * augment.use_blur,
        JITTER_PROBABILITY * coloured,
        GREY_PROBABILITY * coloured,
    )
    flip, blur, jitter, grey = tf.unstack(choices < tf.constant(limits), axis=-1)
    low, high = _ranges(augment.color_jitter_strength)
    return {
        "flip": flip,
        "blur": blur,
        "jitter": jitter,
        "grey": grey,
        "factors": factors * (high - low) + low,
        # Sorting uniform numbers gives every order with the same probability.
        "order": tf.math.top_k(order, _OPERATIONS).indices,
    }


def _ranges(strength: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Lowest and highest brightness, contrast and saturation factor and hue turn: [4] float32 each."""
    factors = [strength * half for half in (BRIGHTNESS, CONTRAST, SATURATION)]
    turn = min(strength * HUE, _HUE_MAX)
    low = [max(0.0, 1 - half) for half in factors] + [-turn]
    high = [1 + half for half in factors] + [turn]
    return tf.constant(low), tf.constant(high)
