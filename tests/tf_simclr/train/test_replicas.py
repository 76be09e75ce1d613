"""One, two and four replicas compute the same from the same global batch, in every stage."""

import contextlib
import functools
import pathlib
import tempfile
import unittest.mock

import numpy as np
import pytest
import tensorflow as tf

from tests.training import Training, assert_close, mirrored, set_values, values_of
from tf_simclr.config import BLOCKS_OF_DEPTH

COMMON = (
    "--train_batch_size=8",
    "--num_proj_layers=2",  # Each layer's batch norm multiplies the roundings before it.
    "--learning_rate=0.02",  # A rate at which a rounding of the first step has not grown in the third.
    "--learning_rate_scaling=none",
)
FLAGS = {
    "pretrain": ["--temperature=0.5"],
    "memory": ["--temperature=0.5", "--memory_size=32", "--memory_momentum=0.9"],
    "finetune": ["--mode=finetune", "--ft_proj_selector=1"],
    "distill": ["--mode=distill", "--width_multiplier=0.25", "--temperature=1"],
}
STEPS = 3


SHARPNESS = 10


def smooth_relu(values):
    """log(1 + exp(10 x)) / 10, at most 0.07 from ReLU.

    Where a rounding moves a value across ReLU's kink, the gradient jumps: a single one of the last
    block group changes it by a percent.
    """
    return tf.nn.softplus(SHARPNESS * values) / SHARPNESS


@pytest.fixture(scope="module", autouse=True)
def well_conditioned_network():
    """ResNets without kinks, and of one block a group, as what replicas exchange is the same in each."""
    short = unittest.mock.patch.dict(BLOCKS_OF_DEPTH, {18: (1, 1, 1, 1)})
    with short, unittest.mock.patch.object(tf.nn, "relu", smooth_relu):
        yield


@functools.cache
def data():
    """Images that differ more from each other than within themselves.

    Digits are so alike that the features of a batch are nearly equal: batch norm in the projection
    head takes their mean away, and with it the first digits of float32.
    """
    rng = np.random.default_rng(0)
    coarse, fine = rng.integers(0, 256, (64, 2, 2, 3)), rng.integers(-40, 40, (64, 8, 8, 3))
    images = np.clip(np.kron(coarse, np.ones((1, 4, 4, 1))) + fine, 0, 255).astype(np.uint8)
    path = pathlib.Path(tempfile.mkdtemp()) / "images.npz"
    np.savez(path, train_images=images, train_labels=np.arange(64) % 10)
    return f"--dataset=npz:{path}"


def training_of(kind, **options):
    return Training(*COMMON, data(), *FLAGS[kind], start=start_of(kind), **options)


strategy_of = functools.cache(mirrored)


@functools.cache
def start_of(kind):
    """The network that a stage begins from, untrained."""
    before = {"finetune": "pretrain", "distill": "finetune"}.get(kind)
    return before and training_of(before).stage.network


def state(training):
    """Vectors: weights, batch-norm statistics, velocities (gradients after one step), queue, momentum."""
    values = values_of(training.stage.network)
    found = {
        "weights": [value for name, value in values.items() if "moving" not in name],
        "statistics": [value for name, value in values.items() if "moving" in name],
        "velocities": [velocity.numpy() for velocity in training.optimizer.momentums],
    }
    extra = training.stage.extra_trackables()
    if extra:
        found["queue"] = [np.array(extra["queue"].keys.read_value())]
        found["count"] = [np.array(extra["queue"].count.read_value())]
        found["momentum_network"] = list(values_of(extra["momentum_network"]).values())
    return {name: np.concatenate([np.ravel(value) for value in parts]) for name, parts in found.items()}


def run(kind, replicas):
    """Initial values, and metrics and state after each of three steps."""
    strategy = strategy_of(replicas) if replicas > 1 else None
    training = training_of(kind, strategy=strategy)
    if replicas == 1:
        initial = values_of(training.stage.network)
    else:
        initial = reference(kind)[0]
        with strategy.scope():
            set_values(training.stage.network, initial)
            if kind == "memory":
                set_values(training.stage.extra_trackables()["momentum_network"], initial)
    batches, steps = training.batches(), []
    for _ in range(STEPS):
        metrics = {name: np.array(value) for name, value in training.step(next(batches)).items()}
        steps.append((metrics, state(training)))
    return initial, steps


@functools.cache
def reference(kind):
    return run(kind, 1)


@contextlib.contextmanager
def eagerly():
    """Without graphs: tracing what four replicas exchange takes far longer than three steps."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def assert_equal_steps(found, wanted):
    (first, *_, last), (wanted_first, *_, wanted_last) = found, wanted
    for part, expected in zip(first, wanted_first, strict=True):
        assert_close(part, expected, 1e-5)
    for part, expected in zip(last, wanted_last, strict=True):
        assert_close(part, expected, 1e-4)


@pytest.mark.filterwarnings("ignore:Even though the")  # tf.data stays a graph.
@pytest.mark.parametrize("replicas", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", FLAGS)
def test_replicas_change_nothing(kind, replicas):
    wanted = reference(kind)[1]
    with eagerly():
        found = run(kind, replicas)[1]
    assert_equal_steps(found, wanted)


@pytest.mark.slow
def test_graphs_of_replicas_change_nothing():
    assert_equal_steps(run("memory", 2)[1], reference("memory")[1])


def test_the_steps_that_are_compared_change_everything():
    _, steps = reference("memory")
    for name, value in steps[0][1].items():
        assert np.linalg.norm(steps[-1][1][name] - value) > 1e-3 * np.linalg.norm(value), name
    assert steps[-1][1]["count"] == STEPS * 16
