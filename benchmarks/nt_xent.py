"""Time and memory of the contrastive loss and its gradient, by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from benchmarks import steps
from benchmarks.matrix import FLOPS, matrix_products
from benchmarks.measure import MEBIBYTE, Curve, Found, Row, alternate, peak_bytes
from tf_simclr.losses.contrastive import Memory, nt_xent
from tf_simclr.memory.queue import KeyQueue

DIM = 128  # of a projection
TIMED_BATCH = 512
KEYS, BATCH = 65_536, 32
NETWORK = ("--resnet_depth=50", "--nouse_blur")
SIZE = 32  # px
QUEUE_LIMIT = 0.10  # of the step
BATCHES = (512, 1024, 2048, 4096)
FLOAT_BYTES = 4
PRODUCTS = 4 * 3  # blocks of similarities; forward, and two gradients each


def run(
    *,
    timed: int = TIMED_BATCH,
    batches: Sequence[int] = BATCHES,
    keys: int = KEYS,
    batch: int = BATCH,
    network: tuple[str, ...] = NETWORK,
) -> Found:
    """Measures them."""
    seconds = alternate({"loss": loss_and_gradient(timed), "products": matrix_products()})
    arithmetic = PRODUCTS * 2 * timed**2 * DIM
    row = Row(
        work=f"NT-Xent and its gradient, batch {timed}",
        value=seconds["loss"],
        unit="s",
        yardstick="matrix products of as many FLOP",
        yardstick_value=arithmetic * seconds["products"] / FLOPS,
        note="the softmax, not the products, is most of it",
    )
    queue = _queue_row(keys=keys, batch=batch, network=network)
    return Found(rows=[row, queue], curves=[_memory(batches)])


def _queue_row(*, keys: int, batch: int, network: tuple[str, ...]) -> Row:
    """Returns what ``keys`` add to the loss, writing the new ones included, beside a step without them."""
    step = steps.pretrain_step(*network, size=SIZE, batch=batch)
    seconds = alternate(
        {
            "with": loss_and_gradient(batch, KeyQueue(keys, DIM)),
            "without": loss_and_gradient(batch),
            "step": step.run,
        }
    )
    cost = max(seconds["with"] - seconds["without"], 1e-9)
    return Row(
        work=f"queue of {keys:,} keys, batch {batch}",
        value=cost,
        unit="s",
        yardstick=f"{QUEUE_LIMIT:.0%} of a ResNet-{network[0].partition('=')[2]} step, {SIZE} px",
        yardstick_value=QUEUE_LIMIT * seconds["step"],
        note=f"{100 * cost / seconds['step']:.1f}% of the step; the momentum network's forward pass is extra",
    )


def loss_and_gradient(batch: int, queue: KeyQueue | None = None) -> Callable[[], None]:
    """Returns a function that computes both for ``batch`` images, and puts keys into ``queue``."""
    views = [tf.random.normal([batch, DIM]) for _ in range(2)]
    keys = tf.math.l2_normalize(tf.random.normal([2 * batch, DIM]), axis=-1)

    @tf.function(autograph=False)
    def compute(first: tf.Tensor, second: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([first, second])
            loss = nt_xent(first, second, temperature=0.1, memory=_memory_of(queue, keys)).loss
        gradients = tape.gradient(loss, [first, second])
        if queue is not None:
            queue.enqueue(keys)
        return gradients

    def compute_and_wait() -> None:
        for gradient in compute(*views):
            gradient.numpy()

    return compute_and_wait


def compute_once(batch: int) -> None:
    """Computes loss and gradient for ``batch`` images; for a few where ``batch`` is 0."""
    loss_and_gradient(batch or 2)()


def _memory_of(queue: KeyQueue | None, keys: tf.Tensor) -> Memory | None:
    if queue is None:
        return None
    first, second = tf.split(keys, 2)
    return Memory(first, second, 0, tf.convert_to_tensor(queue.keys), queue.is_filled())


def _memory(batches: Sequence[int]) -> Curve:
    measured = [peak_bytes(compute_once, batch) / MEBIBYTE for batch in batches]
    similarities = [FLOAT_BYTES * (2 * batch) ** 2 / MEBIBYTE for batch in batches]
    return Curve(
        file="nt_xent_memory",
        title="NT-Xent with its gradient: memory",
        x_label="images in a batch",
        y_label="MiB",
        x=list(map(float, batches)),
        lines={"measured": measured, "one (2 · batch)² of float32": similarities},
    )
