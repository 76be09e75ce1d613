"""A step that is no number leaves everything as it was, however the step is computed."""

import numpy as np
import pytest
import tensorflow as tf

from tests.training import Training, mirrored
from tf_simclr.train.nonfinite import skipping, training_state

SLICES = "--microbatch_size=4"
HALVINGS = 15  # at most, until the first loss scale of float16, 2 ** 15, is small enough for the gradients


def trained(*flags, strategy=None):
    training = Training("--memory_size=64", "--train_batch_size=8", *flags, strategy=strategy)
    extra = training.stage.extra_trackables()
    state = training_state(training.stage.network, training.optimizer, extra)
    return training, state, skipping(training.step, state, training.strategy)


def read(training, state):
    """Every value on every replica."""
    parts = [part for variable in state for part in training.strategy.experimental_local_results(variable)]
    return [np.array(part.read_value()) for part in parts]


def poisoned(training, batch):
    """The batch with one image of the last replica infinite."""

    def poison(value):
        one = tf.one_hot(0, value.shape[0], on_value=float("inf"), off_value=1.0)
        return value * tf.reshape(one, [-1] + [1] * (value.shape.rank - 1))

    def of_replica():
        context = tf.distribute.get_replica_context()
        return context.replica_id_in_sync_group == context.num_replicas_in_sync - 1

    def change(batch):
        return {
            name: tf.where(of_replica(), poison(value), value) if value.dtype == tf.float32 else value
            for name, value in batch.items()
        }

    return training.strategy.run(change, args=(batch,))


def assert_left_out(training, state, step):
    batches = training.batches()
    step(next(batches))
    before, number = read(training, state), training.optimizer.iterations.read_value()
    metrics = step(poisoned(training, next(batches)))
    assert not all(np.isfinite(float(metrics[name])) for name in ("total_loss", "gradient_norm"))
    for value, was in zip(read(training, state), before, strict=True):
        assert value.tobytes() == was.tobytes()
    assert training.optimizer.iterations.read_value() == number + 1

    for _ in range(HALVINGS):
        if not step(next(batches)).get("overflowed_steps"):
            break
    assert all(np.all(np.isfinite(value)) for value in read(training, state))
    moved = [not np.array_equal(a, b) for a, b in zip(read(training, state), before, strict=True)]
    assert sum(moved) > len(moved) / 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags", [[], ["--mixed_precision=float16", SLICES]], ids=["whole", "float16 in slices"]
)
def test_a_step_is_left_out(flags):
    assert_left_out(*trained(*flags))


@pytest.mark.slow
def test_a_step_is_left_out_on_all_replicas_when_one_has_met_no_number():
    assert_left_out(*trained(strategy=mirrored(2)))


def test_the_guard_calls_a_step_as_it_is():
    """Within one graph the portions of a batch would be in memory together."""
    variable, calls = tf.Variable(1.0), []

    def step(batch):
        calls.append(tf.executing_eagerly())
        variable.assign(batch)
        return {"total_loss": variable.read_value(), "gradient_norm": tf.constant(0.0)}

    guarded = skipping(step, [variable], tf.distribute.get_strategy())
    guarded(tf.constant(2.0))
    assert calls == [True] and float(variable) == 2
    guarded(tf.constant(float("nan")))
    assert calls == [True, True] and float(variable) == 2
