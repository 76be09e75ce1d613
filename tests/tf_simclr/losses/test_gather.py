"""Two replicas compute what one process computes: values and gradients."""

import numpy as np
import pytest
import tensorflow as tf

from tests.training import mirrored
from tf_simclr.losses.contrastive import nt_xent
from tf_simclr.losses.gather import cross_replica_gather, local_rows

GLOBAL_BATCH = 6


@pytest.fixture(scope="module")
def strategy():
    return mirrored(2)


def images_and_weights():
    rng = np.random.RandomState(1)
    images = rng.standard_normal((2, GLOBAL_BATCH, 5)).astype(np.float32)
    return images, rng.standard_normal((5, 4)).astype(np.float32)


def loss_and_gradient(weights, view_1, view_2, gather=None):
    with tf.GradientTape() as tape:
        output = nt_xent(view_1 @ weights, view_2 @ weights, temperature=0.2, gather=gather)
    return output, tape.gradient(output.loss, weights)


def test_two_replicas_equal_one_process_in_loss_gradient_logits_and_labels(strategy):
    (view_1, view_2), initial = images_and_weights()
    expected, expected_gradient = loss_and_gradient(tf.Variable(initial), view_1, view_2)
    with strategy.scope():
        weights = tf.Variable(initial)

    def step():
        context = tf.distribute.get_replica_context()
        rows = context.replica_id_in_sync_group * 3 + tf.range(3)
        local = [tf.gather(view, rows) for view in (view_1, view_2)]
        output, gradient = loss_and_gradient(weights, *local, gather=cross_replica_gather())
        return output.loss, context.all_reduce("sum", gradient) / 2, output.logits, output.labels

    loss, gradient, logits, labels = tf.function(lambda: strategy.run(step))()
    np.testing.assert_allclose(strategy.reduce("sum", loss, axis=None) / 2, expected.loss, rtol=1e-6)
    for local in strategy.experimental_local_results(gradient):
        np.testing.assert_allclose(local, expected_gradient, rtol=1e-4, atol=1e-6)
    joined = np.concatenate(strategy.experimental_local_results(logits))
    np.testing.assert_allclose(joined, expected.logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(
        np.concatenate(strategy.experimental_local_results(labels)), expected.labels
    )


def test_a_row_used_by_the_other_replica_gets_its_gradient_back(strategy):
    def step():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        rows = tf.ones([2, 3])
        with tf.GradientTape() as tape:
            tape.watch(rows)
            gathered = cross_replica_gather()(rows).rows
            # Replica 0 uses every row once, replica 1 ten times.
            loss = tf.reduce_sum(gathered) * tf.where(tf.equal(replica, 0), 1.0, 10.0)
        return tape.gradient(loss, rows)

    for gradient in strategy.experimental_local_results(strategy.run(step)):
        np.testing.assert_array_equal(gradient, np.full((2, 3), 11.0))


@pytest.mark.parametrize(
    "make", [lambda: tf.distribute.OneDeviceStrategy("CPU:0"), tf.distribute.get_strategy]
)
def test_a_single_replica_gathers_its_own_rows(make):
    rows = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    gathered = make().run(lambda: cross_replica_gather()(rows))
    np.testing.assert_array_equal(gathered.rows, rows)
    assert int(gathered.offset) == 0


def test_local_rows_are_all_rows_from_offset_zero():
    rows = tf.constant([[1.0], [2.0]])
    assert local_rows(rows).rows is rows
    assert local_rows(rows).offset == 0


def test_gathering_outside_strategy_run_says_where_it_belongs(strategy):
    with strategy.scope(), pytest.raises(RuntimeError, match=r"inside a function given to strategy.run"):
        cross_replica_gather()(tf.ones([2, 2]))
