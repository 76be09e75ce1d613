"""The measured steps train, and their arithmetic is counted right; every measurement at tiny size."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import (
    evaluation,
    growth,
    importing,
    input_pipeline,
    nt_xent,
    saving,
    servable,
    steps,
    training_step,
    view_operations,
)
from benchmarks.flops import flops
from benchmarks.matrix import matrix_products
from tests.released_files import TINY as TINY_RELEASE

TINY = ("--resnet_depth=18", "--width_multiplier=0.05", "--nouse_blur")
SIZE = 16  # px


def test_the_flops_of_a_convolution_and_its_gradients_are_counted():
    image = tf.ones([2, 8, 8, 3])
    kernel = tf.ones([3, 3, 3, 5])
    matrix = tf.ones([5, 7])

    @tf.function(autograph=False)
    def inner(image, kernel, matrix):
        with tf.GradientTape() as tape:
            tape.watch([image, kernel, matrix])
            pooled = tf.reduce_mean(tf.nn.conv2d(image, kernel, 1, "SAME"), axis=[1, 2])
            loss = tf.reduce_sum(tf.matmul(pooled, matrix) ** 2)
        return tape.gradient(loss, [image, kernel, matrix])

    @tf.function(autograph=False)
    def compute(image, kernel, matrix):
        return inner(image, kernel, matrix)

    convolution = 2 * (2 * 8 * 8 * 5) * (3 * 3 * 3)
    product = 2 * 2 * 5 * 7
    assert flops(compute, image, kernel, matrix) == 3 * (convolution + product)


@pytest.fixture(autouse=True)
def small_products(monkeypatch):
    for module in (training_step, evaluation, nt_xent, servable):
        monkeypatch.setattr(module, "matrix_products", lambda: matrix_products(64))


def test_a_step_changes_the_weights():
    step = steps.pretrain_step(*TINY, size=SIZE, batch=2)
    variables = step.stage.network.trainable_variables
    before = [variable.numpy() for variable in variables]
    step.run()
    assert any(np.any(old != new.numpy()) for old, new in zip(before, variables, strict=True))


def test_training_steps_and_the_optimizer_are_measured(monkeypatch):
    monkeypatch.setattr(training_step, "KEYS", 8)
    rows = training_step.run(size=SIZE, batch=2, network=TINY, repeats=1).rows
    stages = [row.work.split(", ")[1] for row in rows[:-1]]
    assert stages == ["pretrain", "pretrain with 8 keys", "fine-tune", "distill"]
    assert rows[-1].work.startswith("LARS update")
    assert all(row.value > 0 and row.yardstick_value > 0 for row in rows)


def test_growth_is_drawn_beside_growth_in_proportion(monkeypatch):
    monkeypatch.setattr(growth, "NARROW", TINY[1])
    monkeypatch.setattr(growth, "REPEATS", 1)
    curve = growth.batch([2, 4])
    assert curve.x == [2, 4]
    proportional = curve.lines["in proportion to FLOP"]
    assert proportional[1] == curve.lines["measured"][1]
    assert proportional[0] == pytest.approx(proportional[1] / 2, rel=0.01)


def test_the_other_measurements_run():
    found = [
        nt_xent.run(timed=4, batches=[512], keys=16, batch=4, network=TINY),
        saving.run(network=TINY[:2], repeats=1),
        input_pipeline.run(sizes=((8, 12, 4, 4),), batch=2),
        view_operations.run(size=8, side=12, views=1),
        servable.run(network=TINY[:2], size=SIZE, batches=[1]),
        evaluation.run(network=TINY[:2], images=8, rows=50),
    ]
    assert all(row.value > 0 and row.yardstick_value > 0 for part in found for row in part.rows)
    memory = found[0].curves[0].lines
    one_matrix = memory["one (2 · batch)² of float32"][0]
    assert one_matrix == 4
    assert memory["measured"][0] < 16 * one_matrix


@pytest.mark.slow
def test_an_import_is_measured():
    (row,) = importing.run(architecture=TINY_RELEASE, repeats=1).rows
    assert row.value > row.yardstick_value > 0
