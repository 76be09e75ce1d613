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
from tf_simclr.data.yiq import adjust_in_yiq

SIZE, SIDE = 224, 336  # px of a view and of its image
VIEWS = 16  # a measured pass
BRIGHTNESS, CONTRAST, SATURATION, TURN = 1.2, 0.8, 1.3, 0.1
PLAIN: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "brightness": lambda image: image * BRIGHTNESS,
    "contrast": lambda image: tf.image.adjust_contrast(image, CONTRAST),
    "saturation": lambda image: tf.image.adjust_saturation(image, SATURATION),
    "hue": lambda image: tf.image.adjust_hue(image, TURN),
}


def run(*, size: int = SIZE, side: int = SIDE, views: int = VIEWS) -> Found:
    """Measures them, one view after the other; colours as the compiled program has them, in planes."""
    image = tf.constant(np.random.default_rng(0).uniform(size=[size, size, 3]), tf.float32)
    planes = tuple(tf.constant(plane) for plane in np.moveaxis(image.numpy(), -1, 0))
    rows = [_crop_row(size, side, views)]
    for (name, plain), ours, factor in zip(
        PLAIN.items(), OPERATIONS, (BRIGHTNESS, CONTRAST, SATURATION, TURN), strict=True
    ):
        rows.append(_row(name, views, _compiled(ours, planes, factor), _plain(plain, image)))
    rows.append(
        _row(
            "hue, saturation, brightness in YIQ",
            views,
            _compiled(adjust_in_yiq, planes, BRIGHTNESS, SATURATION, TURN),
            _plain(lambda image: _all_three(image), image),
        )
    )
    grey = _plain(lambda image: tf.tile(tf.image.rgb_to_grayscale(image), [1, 1, 3]), image)
    rows.append(_row("greyscale", views, _compiled(to_grayscale, planes), grey))
    return Found(rows=rows)


def _crop_row(size: int, side: int, views: int) -> Row:
    """Two crops an image, as the conversion to float32 happens before both in the plain pipeline."""
    pixels = tf.constant(steps.noise(size=side, count=1)[0])

    @tf.function(autograph=False)
    def ours() -> list[tf.Tensor]:
        seeds = tf.random.uniform([2, 2], maxval=2**31 - 1, dtype=tf.int64)
        return [random_crop_and_flip(pixels, seed, seed[0] % 2 == 0, size) for seed in tf.unstack(seeds)]

    @tf.function(autograph=False)
    def plain() -> list[tf.Tensor]:
        floats = tf.image.convert_image_dtype(pixels, tf.float32)
        return [tf.image.random_flip_left_right(plain_views.crop(floats, size)) for _ in range(2)]

    return _row(f"two crops from {side} px, resized and flipped", views, ours, plain)


def _all_three(image: tf.Tensor) -> tf.Tensor:
    for name in ("hue", "saturation", "brightness"):
        image = plain_views.clipped(PLAIN[name](image))
    return image


def _compiled(operation: Callable[..., Planes], planes: Planes, *factors: float) -> Callable[[], Any]:
    compiled = tf.function(operation, jit_compile=True, autograph=False)
    given = [tf.constant(factor) for factor in factors]
    return lambda: compiled(planes, *given)


def _plain(operation: Callable[[tf.Tensor], tf.Tensor], image: tf.Tensor) -> Callable[[], Any]:
    traced = tf.function(lambda image: plain_views.clipped(operation(image)), autograph=False)
    return lambda: traced(image)


def _row(name: str, views: int, ours: Callable[[], Any], plain: Callable[[], Any]) -> Row:
    def times(function: Callable[[], Any]) -> Callable[[], None]:
        def call() -> None:
            for _ in range(views):
                function()

        return call

    seconds = alternate({"ours": times(ours), "plain": times(plain)})
    return Row(
        work=f"a view of {SIZE} px: {name}",
        value=seconds["ours"] / views,
        unit="s",
        yardstick="the same with plain tf.image",
        yardstick_value=seconds["plain"] / views,
    )
