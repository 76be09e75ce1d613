"""Augmented views from images in memory, against plain ``tf.image`` operations, and by cores."""

from __future__ import annotations

import contextlib
import os
import pathlib
import time
from collections.abc import Iterable, Iterator

import tensorflow as tf

from benchmarks.measure import Curve, Found, Row, alternate
from benchmarks.plain_views import plain_views
from benchmarks.steps import noise, random_source
from tf_simclr.config import AugmentConfig
from tf_simclr.data.pipeline import pretrain_batches
from tf_simclr.data.source import Source

# Side of the views, side of the images, images in memory, images that are timed at once.
SIZES = ((32, 32, 512, 8_192), (224, 336, 64, 448))
BATCH = 64
RUNNING = 4  # batches until a pipeline is in its stride
REPEATS = 11  # Short passes in many turns, as the speed of a shared machine changes within seconds.
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
    ours = {kind: _views(source, size, batch, kind) for kind in KINDS}
    seconds = _alternate({**ours, "plain": plain}, count // batch)
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


def _alternate(pipelines: dict[str, tf.data.Dataset], count: int) -> dict[str, float]:
    return alternate(pipelines, repeats=REPEATS, seconds=lambda batches: seconds_of_batches(batches, count))


def _views(source: Source, size: int, batch: int, kind: str = "simclr") -> tf.data.Dataset:
    augment = AugmentConfig(color_jitter_strength=STRENGTH, color_jitter=kind, use_blur=False)
    return pretrain_batches(source, "train", image_size=size, augment=augment, batch_size=batch, seed=0)


def seconds_of_batches(batches: tf.data.Dataset, count: int) -> float:
    """Returns how long ``count`` batches take of a pipeline that runs already.

    Its iterator ends with them: one that lived on would fill its buffer while another pipeline has its turn.
    """
    iterator = iter(batches)
    for _ in range(RUNNING):
        next(iterator)
    begun = time.perf_counter()
    for _ in range(count):
        next(iterator)
    return time.perf_counter() - begun


def _by_cores(size: int, side: int, held: int, count: int, batch: int, cores: list[int]) -> Curve:
    views = _views(random_source(size=side, count=held), size, batch)

    def rate(number: int) -> float:
        with _held_to(number):
            return count / _alternate({"views": views}, count // batch)["views"]

    rates = [rate(number) for number in cores]
    return Curve(
        file="input_pipeline_cores",
        title=f"Two views an image, {size} px from {side} px",
        x_label="cores",
        y_label="images/s",
        x=list(map(float, cores)),
        lines={"measured": rates, "in proportion": [rates[0] * number for number in cores]},
    )


@contextlib.contextmanager
def _held_to(cores: int) -> Iterator[None]:
    """All threads of this process, and those that they start, run on so many of its cores."""
    allowed = os.sched_getaffinity(0)
    _allow(sorted(allowed)[:cores])
    try:
        yield
    finally:
        _allow(allowed)


def _allow(cores: Iterable[int]) -> None:
    for thread in pathlib.Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(int(thread.name), cores)
