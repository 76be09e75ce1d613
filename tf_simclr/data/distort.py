"""Colour jitter and greyscale of many views, compiled: on the host one by one, on an accelerator at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_simclr.data.colour import OPERATIONS, Planes, adjust_contrast, clip, to_grayscale
from tf_simclr.data.draw import Draw
from tf_simclr.data.yiq import adjust_in_yiq, contrast_comes_first

# One of the operations between which the order is drawn, with the four factors that were drawn.
Step = Callable[[Planes, Any], Planes]


@tf.function(jit_compile=True, autograph=False)
def distort_each(images: tf.Tensor, draws: Draw, color_jitter: str = "simclr") -> tf.Tensor:
    """Applies to every image its own draw, doing only what was drawn: [k, s, s, 3] in [0, 1].

    images: float32 [k, s, s, 3] of static shape, not clipped yet; draws: jitter, grey, factors and order of
    :func:`~tf_simclr.data.draw.draw_view`, each [k, ...]; color_jitter: "simclr" or "yiq".
    """
    if images.shape[0] == 1:  # spares XLA a loop and its copies
        first = {name: value[0] for name, value in draws.items()}
        return _distort(images[0], first, color_jitter)[tf.newaxis]
    return tf.map_fn(
        lambda example: _distort(example[0], example[1], color_jitter),
        (images, draws),
        fn_output_signature=tf.TensorSpec(images.shape[1:], tf.float32),
    )


def _distort(image: tf.Tensor, draw: Draw, color_jitter: str) -> tf.Tensor:
    steps, order = _steps_and_order(color_jitter, draw["order"])
    factors = tf.unstack(draw["factors"])

    # A loop, as XLA needs a minute to compile four switches in a row; it turns no time if there is no jitter.
    def turn(place: tf.Tensor, *planes: tf.Tensor) -> tuple[tf.Tensor, ...]:
        branches = [lambda step=step: step(planes, factors) for step in steps]
        return (place + 1, *tf.switch_case(order[place], branches))

    places = tf.where(draw["jitter"], len(steps), 0)
    planes = tuple(tf.unstack(image, axis=-1))
    planes = tf.while_loop(lambda place, *_: place < places, turn, (tf.constant(0), *planes))[1:]
    # Packed within the branches: XLA would divide what comes after them among threads, which costs more.
    return tf.cond(draw["grey"], lambda: _packed(to_grayscale(planes)), lambda: _packed(planes))


def _packed(planes: Planes) -> tf.Tensor:
    return clip(tf.stack(planes, axis=-1))


@tf.function(jit_compile=True, autograph=False)
def distort_batch(images: tf.Tensor, draws: Draw, color_jitter: str = "simclr") -> tf.Tensor:
    """:func:`distort_each` without branches, for devices that are fast on whole batches.

    Every step is done on all images, and each image keeps what it drew: several times the arithmetic.
    """
    jitter, grey = (draws[name][:, tf.newaxis, tf.newaxis] for name in ("jitter", "grey"))
    factors = tf.unstack(draws["factors"][..., tf.newaxis, tf.newaxis], axis=1)
    steps, order = _steps_and_order(color_jitter, draws["order"])

    def turn(place: tf.Tensor, *planes: tf.Tensor) -> tuple[tf.Tensor, ...]:
        chosen = tf.gather(order, place, axis=1)[:, tf.newaxis, tf.newaxis]
        found = planes
        for number, step in enumerate(steps):
            found = _chosen(tf.equal(chosen, number) & jitter, step(planes, factors), found)
        return (place + 1, *found)

    planes = tuple(tf.unstack(images, axis=-1))
    planes = tf.while_loop(lambda place, *_: place < len(steps), turn, (tf.constant(0), *planes))[1:]
    return _packed(_chosen(grey, to_grayscale(planes), planes))


def _steps_and_order(color_jitter: str, order: tf.Tensor) -> tuple[tuple[Step, ...], tf.Tensor]:
    """The steps, and which comes when: int32 [..., number of steps]; ``order``: that of the four drawn."""
    if color_jitter == "simclr":
        return tuple(map(_with_its_factor, range(len(OPERATIONS)))), order
    # Contrast comes before or after the others, which come together.
    first = tf.cast(contrast_comes_first(order), tf.int32)
    return (_in_yiq, _with_its_factor(OPERATIONS.index(adjust_contrast))), tf.stack([first, 1 - first], -1)


def _with_its_factor(number: int) -> Step:
    return lambda planes, factors: OPERATIONS[number](planes, factors[number])


def _in_yiq(planes: Planes, factors: Any) -> Planes:
    brightness, _, saturation, turn = factors
    return adjust_in_yiq(planes, brightness, saturation, turn)


def _chosen(choice: tf.Tensor, planes: Planes, others: Planes) -> Planes:
    """``planes`` where ``choice`` is true, else ``others``."""
    red, green, blue = (tf.where(choice, *pair) for pair in zip(planes, others, strict=True))
    return red, green, blue
