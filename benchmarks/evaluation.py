"""Modes that train nothing: accuracy over a split, features and nearest neighbours."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from benchmarks import steps
from benchmarks.matrix import FLOPS, matrix_products
from benchmarks.measure import Found, Row, alternate
from tf_simclr.data.pipeline import evaluation_batches
from tf_simclr.evaluate.knn import knn_accuracy
from tf_simclr.evaluate.predict import build_evaluator
from tf_simclr.model.describe import describe

NETWORK = ("--resnet_depth=18",)
SIZE = 32  # px
IMAGES = 1024
BATCH = 256
ROWS, TEST_ROWS, DIM, NEIGHBORS = 20_000, 2000, 512, 200
REPEATS = 3


def run(*, network: tuple[str, ...] = NETWORK, images: int = IMAGES, rows: int = ROWS) -> Found:
    """Measures both."""
    return Found(rows=[_accuracy(network, images), _neighbours(rows)])


def _accuracy(network: tuple[str, ...], images: int) -> Row:
    stage = steps.supervised_stage(*network, size=SIZE, batch=BATCH)
    source = steps.random_source(size=SIZE, count=images)
    evaluate = build_evaluator(stage.network, tf.distribute.get_strategy())
    described = describe(stage.network.architecture, image_size=SIZE, batch_size=1)
    arithmetic = 2 * images * described.part("network").multiply_adds

    def accuracy() -> None:
        evaluate(evaluation_batches(source, "test", image_size=SIZE, batch_size=BATCH))

    seconds = alternate({"evaluate": accuracy, "products": matrix_products()}, repeats=REPEATS)
    return Row(
        work=f"evaluate, ResNet-{network[0].partition('=')[2]}, {SIZE} px",
        value=images / seconds["evaluate"],
        unit="images/s",
        yardstick="matrix products of as many FLOP",
        yardstick_value=images * FLOPS / seconds["products"] / arithmetic,
    )


def _neighbours(rows: int) -> Row:
    random = np.random.default_rng(0)
    train, test = (random.normal(size=(count, DIM)).astype(np.float32) for count in (rows, TEST_ROWS))
    train_labels, test_labels = np.arange(rows) % 10, np.arange(TEST_ROWS) % 10

    def accuracy() -> None:
        knn_accuracy(
            train,
            train_labels,
            test,
            test_labels,
            neighbors=min(NEIGHBORS, rows),
            temperature=0.1,
            num_classes=10,
        )

    seconds = alternate({"knn": accuracy, "products": matrix_products()}, repeats=REPEATS)
    arithmetic = 2 * rows * TEST_ROWS * DIM
    return Row(
        work=f"nearest neighbours among {rows:,} rows of {DIM}",
        value=TEST_ROWS / seconds["knn"],
        unit="rows/s",
        yardstick="matrix products of as many FLOP",
        yardstick_value=TEST_ROWS * FLOPS / seconds["products"] / arithmetic,
        note="sorting and voting are most of it",
    )
