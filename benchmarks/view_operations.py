"""What each operation on a view costs beside the plain ``tf.image`` operation that it stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import plain_views, steps
from benchmarks.measure import Found, Row, alternate
from tf_simclr.data.augment import random_crop_and_flip
from tf_simclr.data.colour import OPERATIONS, Planes, to_grayscale
from tf_simclr.data.yiq import distort_in_yiq

SIZE, SIDE = 224, 336  # px of a view and of its image
VIEWS = 16  # different ones in a measured pass, which is one call of TensorFlow
REPEATS = 15
BRIGHTNESS, CONTRAST, SATURATION, TURN = 1.2, 0.8, 1.3, 0.1
Operation = Callable[[int], Any]  # number of the view -> tensors
PLAIN: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "brightness": lambda image: image * BRIGHTNESS,
    "contrast": lambda image: tf.image.adjust_contrast(image, CONTRAST),
    "saturation": lambda image: tf.image.adjust_saturation(image, SATURATION),
    "hue": lambda image: tf.image.adjust_hue(image, TURN),
}


def run(*, size: int = SIZE, side: int = SIDE, views: int = VIEWS) -> Found:
    """Measures them; colours as the compiled program has them, in planes."""
    images = tf.constant(np.random.default_rng(0).uniform(size=[views, size, size, 3]), tf.float32)
    planes = tf.transpose(images, [0, 3, 1, 2])

    def row(name: str, ours: Operation, plain: Operation) -> Row:
        return _row(f"a view of {size} px: {name}", views, ours, plain)

    rows = [row(f"two crops from {side} px, resized and flipped", *_crops(size, side))]
    for (name, plain), ours, factor in zip(
        PLAIN.items(), OPERATIONS, (BRIGHTNESS, CONTRAST, SATURATION, TURN), strict=True
    ):
        rows.append(row(name, _compiled(ours, planes, factor), _plain(plain, images)))
    rows.append(row("all four in YIQ", _in_yiq(images), _plain(_all_four, images)))
    grey = _plain(lambda image: tf.tile(tf.image.rgb_to_grayscale(image), [1, 1, 3]), images)
    rows.append(row("greyscale", _compiled(to_grayscale, planes), grey))
    return Found(rows=rows)


def _crops(size: int, side: int) -> tuple[Operation, Operation]:
    """Ours and plain: two an image, as the plain pipeline converts to float32 before both."""
    pixels = tf.constant(steps.noise(size=side, count=1)[0])

    def ours(_: int) -> Any:
        seeds = tf.random.uniform([2, 2], maxval=2**31 - 1, dtype=tf.int64)
        return [random_crop_and_flip(pixels, seed, seed[0] % 2 == 0, size) for seed in tf.unstack(seeds)]

    def plain(_: int) -> Any:
        floats = tf.image.convert_image_dtype(pixels, tf.float32)
        return [tf.image.random_flip_left_right(plain_views.crop(floats, size)) for _ in range(2)]

    return ours, plain


def _all_four(image: tf.Tensor) -> tf.Tensor:
    for plain in PLAIN.values():
        image = plain_views.clipped(plain(image))
    return image


def _in_yiq(images: tf.Tensor) -> Operation:
    draw = {
        "jitter": tf.constant([True]),
        "grey": tf.constant([False]),
        "factors": tf.constant([[BRIGHTNESS, CONTRAST, SATURATION, TURN]]),
    }
    return lambda number: distort_in_yiq(images[number : number + 1], draw)


def _compiled(operation: Callable[..., Planes], planes: tf.Tensor, *factors: float) -> Operation:
    compiled = tf.function(operation, jit_compile=True, autograph=False)
    given = [tf.constant(factor) for factor in factors]
    return lambda number: compiled(tuple(tf.unstack(planes[number])), *given)


def _plain(operation: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor) -> Operation:
    return lambda number: plain_views.clipped(operation(images[number]))


def _row(work: str, views: int, ours: Operation, plain: Operation) -> Row:
    def every(operation: Operation) -> Callable[[], Any]:
        return tf.function(lambda: [operation(number) for number in range(views)], autograph=False)

    seconds = alternate({"ours": every(ours), "plain": every(plain)}, repeats=REPEATS)
    return Row(
        work=work,
        value=seconds["ours"] / views,
        unit="s",
        yardstick="the same with plain tf.image",
        yardstick_value=seconds["plain"] / views,
    )
