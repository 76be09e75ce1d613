"""Inference from a servable, reloaded as a server would, beside the network that it was made of."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence

import tensorflow as tf

from benchmarks import steps
from benchmarks.matrix import FLOPS, matrix_products
from benchmarks.measure import Found, Row, alternate
from export.servable.signatures import build_servable
from tf_simclr.config import ServableConfig
from tf_simclr.model.describe import describe
from tf_simclr.model.network import SimCLR

NETWORK = ("--resnet_depth=50",)
SIZE = 224  # px
BATCHES = (1, 16)
SIGNATURE = "images"


def run(*, network: tuple[str, ...] = NETWORK, size: int = SIZE, batches: Sequence[int] = BATCHES) -> Found:
    """Measures batches of images that are in memory, as large as the network wants them."""
    trained = steps.supervised_stage(*network, size=size, batch=1).network
    described = describe(trained.architecture, image_size=size, batch_size=1)
    arithmetic = 2 * described.part("network").multiply_adds
    with tempfile.TemporaryDirectory() as folder:
        answer = _reloaded(trained, size, folder)
        rows = [_row(network, trained, answer, size, batch, arithmetic) for batch in batches]
    return Found(rows=rows)


def _reloaded(trained: SimCLR, size: int, folder: str) -> Callable[..., object]:
    servable = build_servable(trained, steps.stage_info(trained, size), ServableConfig(), names=(SIGNATURE,))
    root = tf.Module()
    root.held = list(servable.variables)
    tf.saved_model.save(root, folder, signatures=servable.signatures)
    loaded = tf.saved_model.load(folder)
    answer = loaded.signatures[SIGNATURE]
    answer.owner = loaded  # A signature holds its model weakly.
    return answer


def _row(
    network: tuple[str, ...],
    trained: SimCLR,
    answer: Callable[..., object],
    size: int,
    batch: int,
    arithmetic: int,
) -> Row:
    images = tf.random.uniform([batch, size, size, 3])

    @tf.function(autograph=False)
    def unfolded(pixels: tf.Tensor) -> tf.Tensor:
        return trained(pixels, training=False)["logits_sup"]

    seconds = alternate(
        {
            "servable": lambda: answer(images=images),
            "network": lambda: unfolded(images).numpy(),
            "products": matrix_products(),
        }
    )
    return Row(
        work=f"servable, ResNet-{network[0].partition('=')[2]}, {size} px, batch {batch}",
        value=seconds["servable"],
        unit="s",
        yardstick="matrix products of as many FLOP",
        yardstick_value=batch * arithmetic * seconds["products"] / FLOPS,
        note=f"the network with batch norm beside the convolutions: {seconds['network'] * 1e3:.0f} ms",
    )
