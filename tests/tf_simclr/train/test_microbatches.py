"""A batch that goes through the network in slices gives the gradient of the whole batch."""

import functools
import unittest.mock

import numpy as np
import pytest
import tensorflow as tf

from tests.training import Training, assert_close, mirrored, set_values, values_of
from tf_simclr.config import BLOCKS_OF_DEPTH, ConfigError
from tf_simclr.data.open_source import open_source
from tf_simclr.model.batch_norm import kept_statistics
from tf_simclr.train.plan import plan_training

BATCH = 16
FLAGS = {
    "pretrain": ["--temperature=0.5"],
    "memory": ["--temperature=0.5", "--memory_size=64", "--memory_momentum=0.9"],
    "finetune": ["--mode=finetune", "--ft_proj_selector=1"],
    "distill": ["--mode=distill", "--temperature=1", "--distill_alpha=0.5", "--weight_decay=1e-2"],
}


@pytest.fixture(scope="module", autouse=True)
def short_network():
    """One block a group, which is traced in half the time."""
    with unittest.mock.patch.dict(BLOCKS_OF_DEPTH, {18: (1, 1, 1, 1)}):
        yield


@functools.cache
def network_of(kind):
    return Training(*FLAGS[kind], start=None if kind == "pretrain" else network_of("pretrain")).stage.network


def start_of(kind):
    return {"finetune": "pretrain", "distill": "finetune"}.get(kind)


def train(kind, microbatch, *, strategy=None, freeze_norms=True, steps=2):
    start = start_of(kind)
    training = Training(
        *FLAGS[kind],
        f"--microbatch_size={microbatch}",
        start=start and network_of(start),
        strategy=strategy,
        freeze_norms=freeze_norms,
    )
    if kind == "pretrain" or kind == "memory":
        with training.strategy.scope():
            set_values(training.stage.network, values_of(network_of("pretrain")))
            for name, part in training.stage.extra_trackables().items():
                if name == "momentum_network":
                    set_values(part, values_of(network_of("pretrain")))
    batches = training.batches()
    metrics = [{k: np.array(v) for k, v in training.step(next(batches)).items()} for _ in range(steps)]
    state = values_of(training.stage.network)
    if "queue" in training.stage.extra_trackables():
        state["queue"] = np.array(training.stage.extra_trackables()["queue"].keys.read_value())
    # After one step LARS's velocities are the gradients, scaled.
    state |= {f"velocity_{i}": v.numpy() for i, v in enumerate(training.optimizer.momentums)}
    return metrics, state


@functools.cache
def whole(kind):
    return train(kind, BATCH)


def assert_equal_training(found, wanted, tolerance=1e-5):
    for got, expected in zip([*found[0], found[1]], [*wanted[0], wanted[1]], strict=True):
        # New classifiers give classes of equal frequency equal logits.
        names = [name for name in expected if "accuracy" not in name]
        assert got.keys() == expected.keys()
        assert_close({n: got[n] for n in names}, {n: expected[n] for n in names}, tolerance, floor=1e-3)


@pytest.mark.parametrize("microbatch", [BATCH // 2, BATCH // 4, BATCH // 8])
@pytest.mark.parametrize("kind", FLAGS)
def test_slices_give_the_gradient_of_the_batch(kind, microbatch):
    assert_equal_training(train(kind, microbatch), whole(kind))


@pytest.mark.parametrize("kind", ["pretrain", "memory"])
def test_slices_on_two_replicas_too(kind):
    assert_equal_training(train(kind, 4, strategy=mirrored(2)), whole(kind))


def test_slices_with_unequally_many_labels_are_measured_together():
    found = []
    for microbatch in (BATCH, 4):
        flags = [*FLAGS["distill"], "--label_fraction=0.5", f"--microbatch_size={microbatch}"]
        training = Training(*flags, start=network_of("finetune"), freeze_norms=True)
        names = {variable.name: variable for variable in training.stage.network.trainable_variables}
        (kernel,) = (names[name] for name in names if "head_supervised" in name and "kernel" in name)
        kernel.assign(100 * tf.random.stateless_normal(kernel.shape, [0, 0]))  # Losses of images differ.
        found.append(training.step(next(training.batches())))
    for name in ("supervised_loss", "supervised_accuracy", "distillation_loss"):
        np.testing.assert_allclose(found[1][name], found[0][name], rtol=1e-4, err_msg=name)


def test_batch_norm_sees_slices_in_both_passes_and_moves_once_a_slice():
    training = Training(*FLAGS["pretrain"], "--microbatch_size=4")
    stage, batch = training.stage, next(training.batches())
    statistics = stage.network.encoder.stem.norm.moving_mean
    before, variables = statistics.numpy(), stage.network.trainable_variables
    with tf.GradientTape() as tape, kept_statistics():
        parts = [{name: rows[i : i + 4] for name, rows in batch.items()} for i in range(0, BATCH, 4)]
        outputs = [stage.outputs(stage.prepared(part, tf.constant(0, tf.int64))) for part in parts]
        joined = {name: tf.concat([output[name] for output in outputs], 0) for name in outputs[0]}
        total = stage.loss(joined, {}, batch).loss + stage.decay()
    means = [
        tf.reduce_mean(stage.network.encoder.stem.conv(tf.concat([p["view_1"], p["view_2"]], 0)), [0, 1, 2])
        for p in parts
    ]
    expected = tf.linalg.global_norm(tape.gradient(total, variables))
    metrics = training.step(batch)
    np.testing.assert_allclose(metrics["total_loss"], total, rtol=1e-5)
    np.testing.assert_allclose(metrics["gradient_norm"], expected, rtol=1e-4)
    for mean in means:
        before = 0.9 * before + 0.1 * mean.numpy()
    np.testing.assert_allclose(statistics, before, rtol=1e-4, atol=1e-6)


def test_only_the_sums_themselves_hold_their_memory():
    training = Training(*FLAGS["pretrain"], "--microbatch_size=4")
    training.step(next(training.batches()))
    sums = training.step._sums
    before = [address_of(total) for total in sums]
    for total in sums:
        np.testing.assert_array_equal(total, tf.zeros_like(total))
        total.assign_add(tf.ones_like(total))  # in place, unless someone else holds what is added to
    assert [address_of(total) for total in sums] == before


def address_of(variable):
    return np.frombuffer(memoryview(variable.read_value()), np.float32).ctypes.data


@pytest.mark.parametrize("replicas, sizes", [(1, "1, 2, 4, 8, 16"), (2, "2, 4, 8, 16")])
def test_a_microbatch_that_does_not_fit_is_refused(replicas, sizes):
    from flags.parse import parse

    config = parse(["--microbatch_size=3", "--train_batch_size=16"])
    with pytest.raises(ConfigError, match=rf"--microbatch_size=3 must divide .* Use one of: {sizes}\."):
        plan_training(config, num_examples=open_source(config.data).num_examples("train"), replicas=replicas)
