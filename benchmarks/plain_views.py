"""The yardstick of the input pipeline: SimCLR's augmentation written plainly with ``tf.image``.

One image at a time, every operation as appendix A of SimCLR and SimCLRv2's brightness state it, with
TensorFlow's own kernels and its global random numbers. It is slower than ``tf_simclr.data`` and kept to be
compared with.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

CROP_AREA = (0.08, 1.0)
CROP_ASPECT = (3 / 4, 4 / 3)
JITTER_PROBABILITY = 0.8
GREY_PROBABILITY = 0.2
FACTOR, TURN = 0.8, 0.2  # half-widths of the ranges of the three factors and of the hue's turn at strength 1

Operation = Callable[[tf.Tensor], tf.Tensor]


def plain_views(images: np.ndarray, *, size: int, batch_size: int, strength: float = 1.0) -> tf.data.Dataset:
    """Endless batches (view_1, view_2), float32 [batch_size, size, size, 3] in [0, 1], without blur.

    images: uint8 [n, h, w, 3], in memory; they come in order, as shuffling is not what is measured.
    """
    with tf.device("CPU:0"):
        pixels = tf.constant(images)

    def views(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.image.convert_image_dtype(tf.gather(pixels, row), tf.float32)
        return plain_view(image, size, strength), plain_view(image, size, strength)

    rows = tf.data.Dataset.range(len(images)).repeat()
    mapped = rows.map(views, num_parallel_calls=tf.data.AUTOTUNE)
    return mapped.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def plain_view(image: tf.Tensor, size: int, strength: float = 1.0) -> tf.Tensor:
    """One view of ``image``, float32 [h, w, 3]: crop, resize, flip, colour, clip."""
    image = tf.image.random_flip_left_right(crop(image, size))
    image = _with_probability(JITTER_PROBABILITY, lambda x: _jitter(x, strength), image)
    image = _with_probability(GREY_PROBABILITY, _grey, image)
    return clipped(tf.reshape(image, [size, size, 3]))


def crop(image: tf.Tensor, size: int) -> tf.Tensor:
    """A random part of ``image``, float32 [h, w, 3], resized to [size, size, 3]."""
    begin, extent, _ = tf.image.sample_distorted_bounding_box(
        tf.shape(image),
        bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        min_object_covered=0.1,
        aspect_ratio_range=CROP_ASPECT,
        area_range=CROP_AREA,
        max_attempts=100,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.image.resize(tf.slice(image, begin, extent), [size, size], tf.image.ResizeMethod.BICUBIC)


def _jitter(image: tf.Tensor, strength: float) -> tf.Tensor:
    """Brightness, contrast, saturation and hue in a random order, clipped after each."""
    low, high = max(0.0, 1 - FACTOR * strength), 1 + FACTOR * strength
    turn = min(TURN * strength, 0.5)
    operations: tuple[Operation, ...] = (
        lambda x: x * tf.random.uniform([], low, high),
        lambda x: tf.image.adjust_contrast(x, tf.random.uniform([], low, high)),
        lambda x: tf.image.adjust_saturation(x, tf.random.uniform([], low, high)),
        lambda x: tf.image.adjust_hue(x, tf.random.uniform([], -turn, turn)),
    )
    order = tf.random.shuffle(tf.range(4))
    for place in range(4):
        image = _apply_one(operations, order[place], image)
    return image


def _apply_one(operations: tuple[Operation, ...], number: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    branches = [lambda operation=operation: operation(image) for operation in operations]
    return clipped(tf.switch_case(number, branches))


def clipped(image: tf.Tensor) -> tf.Tensor:
    """Into [0, 1]."""
    return tf.clip_by_value(image, 0.0, 1.0)


def _grey(image: tf.Tensor) -> tf.Tensor:
    return tf.tile(tf.image.rgb_to_grayscale(image), [1, 1, 3])


def _with_probability(probability: float, operation: Operation, image: tf.Tensor) -> tf.Tensor:
    return tf.cond(tf.random.uniform([]) < probability, lambda: operation(image), lambda: image)
