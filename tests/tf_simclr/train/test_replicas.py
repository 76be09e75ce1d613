"""One, two and four replicas compute the same from the same global batch, in every stage."""

import contextlib
import functools
import pathlib
import tempfile

import numpy as np
import pytest
import tensorflow as tf

from tests.training import (
    Training,
    assert_close,
    mirrored,
    save_distinct_images,
    set_values,
    values_of,
    well_conditioned,
)
from tf_simclr.model.network import named_variables

COMMON = (
    "--resnet_depth=18",
    "--train_batch_size=8",
    "--num_proj_layers=1",  # Each layer's batch norm multiplies the roundings before it.
    "--learning_rate=0.02",  # A rate at which a rounding of the first step has not grown in the third.
    "--learning_rate_scaling=none",
)
FLAGS = {
    "pretrain": ["--temperature=1"],
    "memory": ["--temperature=1", "--memory_size=32", "--memory_momentum=0.9"],
    "finetune": ["--mode=finetune", "--ft_proj_selector=1"],
    "distill": ["--mode=distill", "--width_multiplier=0.25", "--temperature=1"],
}
STEPS = 3


@pytest.fixture(scope="module", autouse=True)
def well_conditioned_network():
    with well_conditioned():
        yield


@functools.cache
def data():
    path = pathlib.Path(tempfile.mkdtemp()) / "images.npz"
    save_distinct_images(path)
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
    """Values by kind and name; velocities are the gradients, scaled, after one step."""
    extra = training.stage.extra_trackables()
    values = of_all_replicas(training, named_variables(training.stage.network))
    found = {
        "weights": {name: value for name, value in values.items() if "moving" not in name},
        "statistics": {name: value for name, value in values.items() if "moving" in name},
        "velocities": of_all_replicas(training, velocities(training)),
    }
    if extra:
        queue = extra["queue"]
        found["queue"] = of_all_replicas(training, {"keys": queue.keys, "count": queue.count})
        average = of_all_replicas(training, named_variables(extra["momentum_network"]))
        found["momentum_network"] = average
    return found


def velocities(training):
    names = [variable.name for variable in training.stage.network.trainable_variables]
    return dict(zip(names, training.optimizer.momentums, strict=True))


def of_all_replicas(training, variables):
    """Values of variables, whose copies on all replicas must be equal."""
    found = {}
    for name, variable in variables.items():
        found[name], *others = map(np.array, training.strategy.experimental_local_results(variable))
        for other in others:
            np.testing.assert_array_equal(other, found[name], err_msg=str(name))
    return found


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


def assert_equal_steps(found, wanted, initial):
    """Each value by itself: within 1e-5 of its length after the first step, 1e-4 after the last."""
    for step, tolerance in ((0, 1e-5), (-1, 1e-4)):
        (metrics, state), (wanted_metrics, wanted_state) = found[step], wanted[step]
        assert_close(metrics, wanted_metrics, tolerance)
        assert state.keys() == wanted_state.keys()
        for kind, values in wanted_state.items():
            assert_close(state[kind], values, tolerance)
        # Less exact: a step moves a scale by as little as 2e-6 of its length, and rounds 6e-8 of that off.
        moved, wanted_moved = (movements(one["weights"], initial) for one in (state, wanted_state))
        assert_close(moved, wanted_moved, 1e-2, floor=1e-5)


def movements(weights, initial):
    return {name: value - initial[name] for name, value in weights.items()}


@pytest.mark.filterwarnings("ignore:Even though the")  # tf.data stays a graph.
@pytest.mark.parametrize("replicas", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", FLAGS)
def test_replicas_change_nothing(kind, replicas):
    initial, wanted = reference(kind)
    with eagerly():
        found = run(kind, replicas)[1]
    assert_equal_steps(found, wanted, initial)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["memory", "finetune", "distill"])
def test_graphs_of_replicas_change_nothing(kind):
    initial, wanted = reference(kind)
    assert_equal_steps(run(kind, 2)[1], wanted, initial)


@pytest.mark.parametrize("kind", FLAGS)
def test_the_steps_that_are_compared_change_everything(kind):
    initial, steps = reference(kind)
    (_, first), *_, (_, last) = steps
    for name, moved in movements(last["weights"], initial).items():
        # Scales behind a norm hardly ever move.
        assert np.linalg.norm(moved) > 1e-5 * np.linalg.norm(initial[name]) or name.endswith("gamma"), name
    for part in first.keys() - {"weights"}:
        for name, value in first[part].items():
            change = np.linalg.norm(last[part][name] - value)
            assert change > 1e-6 * np.linalg.norm(value) or name.endswith("gamma"), (part, name)
    if kind == "memory":
        assert last["queue"]["count"] == STEPS * 16
