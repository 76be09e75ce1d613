"""Colour jitter and greyscale of many views, compiled: on the host one by one, on an accelerator at once."""

from __future__ import annotations

import tensorflow as tf

from tf_simclr.data.colour import OPERATIONS, Planes, clip, to_grayscale
from tf_simclr.data.draw import Draw


@tf.function(jit_compile=True, autograph=False)
def distort_each(images: tf.Tensor, draws: Draw) -> tf.Tensor:
    """Applies to every image its own draw, doing only what was drawn: [k, s, s, 3] in [0, 1].

    images: float32 [k, s, s, 3] of static shape, not clipped yet; draws: those of
    :func:`~tf_simclr.data.draw.draw_view`, each with a leading [k].
    """
    if images.shape[0] == 1:  # spares XLA a loop and its copies
        return _distort(images[0], {name: value[0] for name, value in draws.items()})[tf.newaxis]
    return tf.map_fn(
        lambda example: _distort(*example),
        (images, draws),
        fn_output_signature=tf.TensorSpec(images.shape[1:], tf.float32),
    )


def _distort(image: tf.Tensor, draw: Draw) -> tf.Tensor:
    planes = _jitter(tuple(tf.unstack(image, axis=-1)), draw)
    return clip(tf.stack(_chosen(draw["grey"], to_grayscale(planes), planes), axis=-1))


def _jitter(planes: Planes, draw: Draw) -> Planes:
    # A loop, as XLA needs a minute to compile four switches in a row; it turns no time if there is no jitter.
    def turn(place: tf.Tensor, *planes: tf.Tensor) -> tuple[tf.Tensor, ...]:
        branches = [
            lambda number=number, operation=operation: operation(planes, draw["factors"][number])
            for number, operation in enumerate(OPERATIONS)
        ]
        return (place + 1, *tf.switch_case(draw["order"][place], branches))

    places = tf.where(draw["jitter"], len(OPERATIONS), 0)
    return tf.while_loop(lambda place, *_: place < places, turn, (tf.constant(0), *planes))[1:]


@tf.function(jit_compile=True, autograph=False)
def distort_batch(images: tf.Tensor, draws: Draw) -> tf.Tensor:
    """:func:`distort_each` without branches, for devices that are fast on whole batches.

    Every operation is done on all images, and each image keeps what it drew: four times the arithmetic.
    """

    jitter, grey = (draws[name][:, tf.newaxis, tf.newaxis] for name in ("jitter", "grey"))
    factors = draws["factors"][..., tf.newaxis, tf.newaxis]

    def turn(place: tf.Tensor, *planes: tf.Tensor) -> tuple[tf.Tensor, ...]:
        chosen = tf.gather(draws["order"], place, axis=1)[:, tf.newaxis, tf.newaxis]
        found = planes
        for number, operation in enumerate(OPERATIONS):
            found = _chosen(tf.equal(chosen, number) & jitter, operation(planes, factors[:, number]), found)
        return (place + 1, *found)

    planes = tuple(tf.unstack(images, axis=-1))
    planes = tf.while_loop(lambda place, *_: place < len(OPERATIONS), turn, (tf.constant(0), *planes))[1:]
    return clip(tf.stack(_chosen(grey, to_grayscale(planes), planes), axis=-1))


def _chosen(choice: tf.Tensor, planes: Planes, others: Planes) -> Planes:
    """``planes`` where ``choice`` is true, else ``others``."""
    red, green, blue = (tf.where(choice, *pair) for pair in zip(planes, others, strict=True))
    return red, green, blue
