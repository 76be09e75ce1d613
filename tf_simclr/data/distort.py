"""Colour jitter and greyscale of many views, compiled: on the host one by one, on an accelerator at once."""

from __future__ import annotations

import tensorflow as tf

from tf_simclr.data.colour import OPERATIONS, Planes, clip, to_grayscale
from tf_simclr.data.draw import Draw
from tf_simclr.data.yiq import distort_in_yiq


def distort_each(images: tf.Tensor, draws: Draw, color_jitter: str = "simclr") -> tf.Tensor:
    """Applies to every image its own draw, doing only what was drawn: [k, s, s, 3] in [0, 1].

    images: float32 [k, s, s, 3] of static shape, not clipped yet; draws: jitter, grey, factors and order of
    :func:`~tf_simclr.data.draw.draw_view`, each [k, ...]; color_jitter: "simclr" or "yiq".
    """
    distort = distort_in_yiq if color_jitter == "yiq" else _distort_compiled
    if images.shape[0] > 1:
        return distort(images, draws)
    # Spares a large image several passes over its pixels where nothing was drawn.
    return tf.cond(
        tf.reduce_any(draws["jitter"] | draws["grey"]),
        lambda: distort(images, draws),
        lambda: clip(images),
    )


@tf.function(jit_compile=True, autograph=False)
def _distort_compiled(images: tf.Tensor, draws: Draw) -> tf.Tensor:
    if images.shape[0] == 1:  # spares XLA a loop and its copies
        return _distort(images[0], {name: value[0] for name, value in draws.items()})[tf.newaxis]
    return tf.map_fn(
        lambda example: _distort(*example),
        (images, draws),
        fn_output_signature=tf.TensorSpec(images.shape[1:], tf.float32),
    )


def _distort(image: tf.Tensor, draw: Draw) -> tf.Tensor:
    factors, order = tf.unstack(draw["factors"]), draw["order"]

    # A loop, as XLA needs a minute to compile four switches in a row; it turns no time if there is no jitter.
    def turn(place: tf.Tensor, *planes: tf.Tensor) -> tuple[tf.Tensor, ...]:
        branches = [
            lambda change=change, factor=factor: change(planes, factor)
            for change, factor in zip(OPERATIONS, factors, strict=True)
        ]
        return (place + 1, *tf.switch_case(order[place], branches))

    places = tf.where(draw["jitter"], len(OPERATIONS), 0)
    # Transposed first, for which XLA takes two thirds of the time of a strided copy of each plane.
    planes = tuple(tf.unstack(tf.transpose(image, [2, 0, 1])))
    planes = tf.while_loop(lambda place, *_: place < places, turn, (tf.constant(0), *planes))[1:]
    # Packed within the branches: XLA would divide what comes after them among threads, which costs more.
    return tf.cond(draw["grey"], lambda: _packed(to_grayscale(planes)), lambda: _packed(planes))


def _packed(planes: Planes) -> tf.Tensor:
    return clip(tf.stack(planes, axis=-1))


def distort_batch(images: tf.Tensor, draws: Draw, color_jitter: str = "simclr") -> tf.Tensor:
    """:func:`distort_each` without branches, for devices that are fast on whole batches.

    Every operation is done on all images, and each image keeps what it drew: several times the arithmetic.
    """
    return distort_in_yiq(images, draws) if color_jitter == "yiq" else _distort_together(images, draws)


@tf.function(jit_compile=True, autograph=False)
def _distort_together(images: tf.Tensor, draws: Draw) -> tf.Tensor:
    jitter, grey = (draws[name][:, tf.newaxis, tf.newaxis] for name in ("jitter", "grey"))
    factors = tf.unstack(draws["factors"][..., tf.newaxis, tf.newaxis], axis=1)

    def turn(place: tf.Tensor, *planes: tf.Tensor) -> tuple[tf.Tensor, ...]:
        chosen = tf.gather(draws["order"], place, axis=1)[:, tf.newaxis, tf.newaxis]
        found = planes
        for number, (change, factor) in enumerate(zip(OPERATIONS, factors, strict=True)):
            found = _chosen(tf.equal(chosen, number) & jitter, change(planes, factor), found)
        return (place + 1, *found)

    planes = tuple(tf.unstack(images, axis=-1))
    planes = tf.while_loop(lambda place, *_: place < len(OPERATIONS), turn, (tf.constant(0), *planes))[1:]
    return _packed(_chosen(grey, to_grayscale(planes), planes))


def _chosen(choice: tf.Tensor, planes: Planes, others: Planes) -> Planes:
    """``planes`` where ``choice`` is true, else ``others``."""
    red, green, blue = (tf.where(choice, *pair) for pair in zip(planes, others, strict=True))
    return red, green, blue
