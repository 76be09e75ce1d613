"""Time and memory of the contrastive loss and its gradient, by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from benchmarks.matrix import FLOPS, matrix_products
from benchmarks.measure import Curve, Found, Row, alternate, peak_bytes
from tf_simclr.losses.contrastive import nt_xent

DIM = 128  # of a projection
TIMED_BATCH = 512
BATCHES = (512, 1024, 2048, 4096)
MEBIBYTE = 2**20
FLOAT_BYTES = 4
PRODUCTS = 4 * 3  # blocks of similarities; forward, and two gradients each


def run(*, timed: int = TIMED_BATCH, batches: Sequence[int] = BATCHES) -> Found:
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
    return Found(rows=[row], curves=[_memory(batches)])


def loss_and_gradient(batch: int) -> Callable[[], None]:
    """Returns a function that computes both for ``batch`` images."""
    views = [tf.random.normal([batch, DIM]) for _ in range(2)]

    @tf.function(autograph=False)
    def compute(first: tf.Tensor, second: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([first, second])
            loss = nt_xent(first, second, temperature=0.1).loss
        return tape.gradient(loss, [first, second])

    def compute_and_wait() -> None:
        for gradient in compute(*views):
            gradient.numpy()

    return compute_and_wait


def compute_once(batch: int) -> None:
    """Computes loss and gradient for ``batch`` images; for a few where ``batch`` is 0."""
    loss_and_gradient(batch or 2)()


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
