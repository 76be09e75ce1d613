"""Pretraining with a memory against a restatement in NumPy: losses, queue, momentum network."""

import numpy as np
import pytest
import tensorflow as tf

from tests.training import Training, values_of
from tf_simclr.config import ConfigError
from tf_simclr.losses.contrastive import Memory, nt_xent
from tf_simclr.model.batch_norm import kept_statistics
from tf_simclr.model.network import projection
from tf_simclr.train import pretrain
from tf_simclr.train.step import whole_step

BATCH, SIZE, MOMENTUM, TEMPERATURE = 16, 64, 0.9, 0.2
FLAGS = ["--optimizer=lars", f"--memory_size={SIZE}", f"--memory_momentum={MOMENTUM}", "--warmup_epochs=0"]


def unit(rows):
    rows = np.asarray(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def loss_of(anchors, keys, queue):
    """Mean over images of both directions, in float64 loops; all rows of length 1."""
    total = 0.0
    for own in (0, 1):
        for i, anchor in enumerate(anchors[own]):
            same_view = [key for k, key in enumerate(keys[own]) if k != i]
            columns = [*keys[1 - own], *same_view, *queue]
            scores = np.array([anchor @ column for column in columns]) / TEMPERATURE
            total += np.log(np.exp(scores).sum()) - scores[i]
    return total / len(anchors[0])


def views(batch):
    return tf.concat([batch["view_1"], batch["view_2"]], axis=0)


def projections(network, batch):
    with kept_statistics():
        return np.split(projection(network(views(batch), training=True)).numpy(), 2)


@pytest.fixture(scope="module")
def training():
    return Training(*FLAGS, f"--temperature={TEMPERATURE}")


def test_steps_equal_the_algorithm_in_numpy_beyond_the_end_of_the_queue(training):
    """Four steps of 32 keys on a queue of 64: empty, half full, full, and wrapped around."""
    stage, batches = training.stage, training.batches()
    average = {
        name: value.astype(np.float64) for name, value in values_of(stage.network).items()
    }  # It begins as a copy.
    ring, filled = np.zeros((SIZE, 64)), 0
    for step in range(4):
        batch = next(batches)
        anchors = [unit(rows) for rows in projections(stage.network, batch)]
        keys = [unit(rows) for rows in projections(stage._momentum_network, batch)]
        metrics = training.step(batch)
        expected = loss_of(anchors, keys, ring[:filled])
        np.testing.assert_allclose(metrics["contrastive_loss"], expected, rtol=1e-5)

        begin = step * 2 * BATCH % SIZE
        ring[begin : begin + 2 * BATCH] = np.concatenate(keys)
        filled = min(SIZE, filled + 2 * BATCH)
        np.testing.assert_allclose(stage._queue.keys, ring, rtol=0, atol=1e-5)
        online = values_of(stage.network)
        average = {name: MOMENTUM * average[name] + (1 - MOMENTUM) * online[name] for name in average}
        for name, value in values_of(stage._momentum_network).items():
            np.testing.assert_allclose(value, average[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_moving_statistics_are_averaged_too(training):
    names = [name for name in values_of(training.stage._momentum_network) if "moving" in name]
    assert names


def test_the_loss_sends_no_gradient_into_keys_and_queue():
    rng = np.random.default_rng(0)
    rows = [tf.constant(unit(rng.normal(size=(3, 4))), tf.float32) for _ in range(5)]
    with tf.GradientTape() as tape:
        tape.watch(rows)
        memory = Memory(rows[2], rows[3], 0, rows[4], tf.constant([True, True, False]))
        loss = nt_xent(rows[0], rows[1], temperature=0.2, memory=memory).loss
    gradients = tape.gradient(loss, rows[:4])
    assert gradients[2] is None and gradients[3] is None
    assert np.abs(gradients[0]).max() > 0 and np.abs(gradients[1]).max() > 0


def test_memory_without_unit_length_is_refused():
    rows = tf.ones([2, 3])
    memory = Memory(rows, rows, 0, rows, tf.constant([True, True]))
    with pytest.raises(ValueError, match=r"memory needs hidden_norm=True"):
        nt_xent(rows, rows, temperature=0.2, hidden_norm=False, memory=memory)


def test_a_size_that_tears_batches_is_refused():
    with pytest.raises(ConfigError, match=r"--memory_size=50 must be .* 2 \* 16 = 32, .* Use 32 or 64\."):
        Training("--memory_size=50")


def test_colours_change_once_a_step_though_two_networks_see_the_views(monkeypatch):
    calls = []
    monkeypatch.setattr(pretrain, "distort_batch", lambda views, *_: calls.append(views) or views)
    training = Training(*FLAGS, "--augment_device=accelerator")
    step = tf.function(whole_step(training.stage, training.optimizer), autograph=False)
    step.get_concrete_function(next(training.batches()))
    assert len(calls) == 2  # views


def test_export_ema_saves_the_momentum_network():
    training = Training(*FLAGS, "--export_ema")
    assert training.stage.saved_network is training.stage._momentum_network is not training.stage.network
