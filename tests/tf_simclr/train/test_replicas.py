"""One, two and four replicas compute the same from the same global batch, in every stage."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.training import Training, set_values, values_of

# A rate at which the roundings of the first step do not grow a hundredfold in the third.
CALM = ("--learning_rate=0.02", "--learning_rate_scaling=none")
# Small batches: with many values a channel, float32 sums of batch statistics differ by 1e-5 themselves.
FLAGS = {
    "pretrain": ["--temperature=0.5", "--train_batch_size=8", *CALM],
    "memory": [
        "--temperature=0.5",
        "--train_batch_size=8",
        *CALM,
        "--memory_size=32",
        "--memory_momentum=0.9",
    ],
    "finetune": ["--mode=finetune", "--ft_proj_selector=1", "--train_batch_size=8", *CALM],
    "distill": [
        "--mode=distill",
        "--width_multiplier=0.25",
        "--temperature=1",
        "--train_batch_size=8",
        *CALM,
    ],
}
STEPS = 3


@functools.cache
def strategy_of(replicas):
    # Not the default collectives: those of two MirroredStrategies in one process share keys and clash.
    devices = [f"CPU:{number}" for number in range(replicas)]
    return tf.distribute.MirroredStrategy(devices, tf.distribute.ReductionToOneDevice())


@functools.cache
def pretrained():
    return Training("--temperature=0.5", "--train_batch_size=8").stage.network


@functools.cache
def classifier():
    return Training("--mode=finetune", "--ft_proj_selector=1", start=pretrained()).stage.network


def start_of(kind):
    return {"finetune": pretrained, "distill": classifier}.get(kind, lambda: None)()


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
    training = Training(*FLAGS[kind], start=start_of(kind), strategy=strategy)
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


GRADIENTS = ("velocities", "gradient_norm", "gradient_norms")


def assert_close(found, wanted, tolerance, gradients):
    """Vectors and metrics whose distance is at most a tolerance of the length of what is wanted.

    Gradients have one of their own: where a rounding moves an activation across the kink
    of ReLU, they jump and nothing else does.
    """
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        error = np.linalg.norm(found[name] - value)
        limit = gradients if name in GRADIENTS else tolerance
        assert error <= limit * np.linalg.norm(value), (name, error / np.linalg.norm(value))


@pytest.mark.parametrize("replicas", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", FLAGS)
def test_replicas_change_nothing(kind, replicas):
    (first, *_, last), (wanted_first, *_, wanted_last) = run(kind, replicas)[1], reference(kind)[1]
    for found, wanted in zip(first, wanted_first, strict=True):
        assert_close(found, wanted, 1e-5, gradients=1e-4)
    for found, wanted in zip(last, wanted_last, strict=True):
        assert_close(found, wanted, 1e-3, gradients=1e-2)


def test_the_steps_that_are_compared_change_everything():
    _, steps = reference("memory")
    for name, value in steps[0][1].items():
        assert np.linalg.norm(steps[-1][1][name] - value) > 1e-3 * np.linalg.norm(value), name
    assert steps[-1][1]["count"] == STEPS * 16
