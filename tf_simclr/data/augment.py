"""Crops, flips and the views of each stage: (image, seed, ...) -> image, with stateless randomness.

Images are uint8 or float32 in [0, 1], [h, w, 3], or encoded files (scalar strings); results are float32.
Seeds are int [2]. Nothing is normalised by mean or deviation anywhere, as in SimCLR's released code.
"""

from __future__ import annotations

import tensorflow as tf

from tf_simclr.config import AugmentConfig
from tf_simclr.data.colour import clip
from tf_simclr.data.decode import cropped, decode_image

CROP_ASPECT = (3 / 4, 4 / 3)  # of the crop's width to its height, as the output is square
CROP_ATTEMPTS = 100  # then the whole image
CROP_MIN_COVERED = 0.1
EVAL_CROP = 0.875  # 224 of 256, the usual ImageNet evaluation crop
NO_CROP_MAX_SIZE = 32  # px; CIFAR images enter the network whole


PAPER = AugmentConfig()


def random_crop_and_flip(
    image: tf.Tensor, seed: tf.Tensor, flip: tf.Tensor, size: int, min_area: float = PAPER.min_crop_area
) -> tf.Tensor:
    """What a training image shows: random crop, mirrored where ``flip`` says so; [size, size, 3].

    It may overshoot [0, 1]: bicubic overshoot reaches the first colour operation of pretraining unclipped, as
    in the released code. All other stages clip it, and are done.
    """
    crop = random_crop(image, seed, min_area)
    # Mirrored before it is resized, while it is bytes: bicubic weights are symmetric.
    return resize(tf.cond(flip, lambda: tf.reverse(crop, [1]), lambda: crop), size)


def center_crop_resize(image: tf.Tensor, size: int) -> tf.Tensor:
    """Evaluation image [size, size, 3] in [0, 1]: the central 0.875 of the side, bicubic.

    Up to 32 px nothing is cropped (as in the released code); other sizes and shapes are resized to fit.
    """
    if size > NO_CROP_MAX_SIZE:
        image = central_square(image)
    elif image.dtype == tf.string:
        image = decode_image(image)
    return clip(resize(image, size))


def random_crop(image: tf.Tensor, seed: tf.Tensor, min_area: float = PAPER.min_crop_area) -> tf.Tensor:
    """Random part of the image, ``min_area`` to 1 of it."""

    def window(shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
            shape,
            bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
            seed=seed,
            min_object_covered=CROP_MIN_COVERED,
            aspect_ratio_range=CROP_ASPECT,
            area_range=(min_area, 1.0),
            max_attempts=CROP_ATTEMPTS,
            use_image_if_no_bounding_boxes=True,
        )
        return begin, extent

    return cropped(image, window)


def central_square(image: tf.Tensor) -> tf.Tensor:
    """Square in the middle with 0.875 of the shorter side, rounded half to even: [side, side, 3]."""

    def window(shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        height, width = tf.unstack(shape[:2])
        shorter = tf.cast(tf.minimum(height, width), tf.float32)
        side = tf.cast(tf.math.rint(EVAL_CROP * shorter), tf.int32)
        begin = tf.stack([(height - side + 1) // 2, (width - side + 1) // 2, 0])
        return begin, tf.stack([side, side, 3])

    return cropped(image, window)


def resize(image: tf.Tensor, size: int) -> tf.Tensor:
    """Bicubic to [size, size, 3] float32, may overshoot [0, 1]; uint8 becomes [0, 1] first."""
    image = tf.image.convert_image_dtype(image, tf.float32)
    return tf.ensure_shape(
        tf.image.resize(image, [size, size], tf.image.ResizeMethod.BICUBIC), [size, size, 3]
    )
