"""Augmented views from images in memory, against plain ``tf.image`` operations, and by cores."""

from __future__ import annotations

import os
from collections.abc import Callable

import tensorflow as tf

from benchmarks.measure import Curve, Found, Row, alternate
from benchmarks.plain_views import plain_views
from benchmarks.steps import noise, random_source
from tf_simclr.config import AugmentConfig
from tf_simclr.data.pipeline import pretrain_batches
from tf_simclr.data.source import Source

# Side of the views, side of the images, images in memory, images a measured pass: some seconds, as tf.data
# takes one to find out how many threads to use.
SIZES = ((32, 32, 512, 16_384), (224, 336, 64, 768))
BATCH = 64
STRENGTH = 1.0
KINDS = {"simclr": "", "yiq": ", --color_jitter=yiq"}  # to what the row says of it


def run(*, sizes: tuple[tuple[int, int, int, int], ...] = SIZES, batch: int = BATCH) -> Found:
    """Measures views of every size, and how the largest scale over this machine's cores."""
    rows = [row for size in sizes for row in _rows(*size, batch)]
    cores = len(os.sched_getaffinity(0))
    return Found(rows=rows, curves=[_by_cores(*sizes[-1], batch, list(range(1, cores + 1)))])


def _rows(size: int, side: int, held: int, count: int, batch: int) -> list[Row]:
    source = random_source(size=side, count=held)
    plain = plain_views(noise(size=side, count=held), size=size, batch_size=batch, strength=STRENGTH)
    passes = {kind: passing(_views(source, size, batch, kind), count // batch) for kind in KINDS}
    seconds = alternate({**passes, "plain": passing(plain, count // batch)}, repeats=5)
    return [
        Row(
            work=f"two views an image, {size} px from {side} px{remark}",
            value=count / seconds[kind],
            unit="images/s",
            yardstick="the paper's with plain tf.image",
            yardstick_value=count / seconds["plain"],
        )
        for kind, remark in KINDS.items()
    ]


def _views(source: Source, size: int, batch: int, kind: str = "simclr") -> tf.data.Dataset:
    augment = AugmentConfig(color_jitter_strength=STRENGTH, color_jitter=kind, use_blur=False)
    return pretrain_batches(source, "train", image_size=size, augment=augment, batch_size=batch, seed=0)


def passing(batches: tf.data.Dataset, count: int) -> Callable[[], None]:
    """Returns a function that makes ``count`` batches, none of them ahead of time.

    An iterator that lived on would go on filling its buffer while the other pipeline has its turn.
    """

    def make() -> None:
        for _ in batches.take(count):
            pass

    return make


def _by_cores(size: int, side: int, held: int, count: int, batch: int, cores: list[int]) -> Curve:
    source = random_source(size=side, count=held)

    def rate(threads: int) -> float:
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        options.threading.max_intra_op_parallelism = 1
        batches = _views(source, size, batch).with_options(options)
        take = passing(batches, count // batch)
        return count / alternate({"views": take}, repeats=3)["views"]

    rates = [rate(threads) for threads in cores]
    return Curve(
        file="input_pipeline_cores",
        title=f"Two views an image, {size} px from {side} px",
        x_label="cores",
        y_label="images/s",
        x=list(map(float, cores)),
        lines={"measured": rates, "in proportion": [rates[0] * number for number in cores]},
    )
