"""The queue of keys as a written story, and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf

from tests.training import mirrored
from tf_simclr.memory.queue import KeyQueue
from tf_simclr.replicas import gather_rows


def keys(*numbers):
    return tf.constant([[number, -number] for number in numbers], tf.float32)


def numbers_in(queue):
    return queue.keys.numpy()[:, 0].tolist(), queue.is_filled().numpy().tolist()


def test_keys_enter_in_turn_and_the_oldest_leave_first():
    queue = KeyQueue(4, 2)
    assert numbers_in(queue) == ([0, 0, 0, 0], [False] * 4)
    queue.enqueue(keys(1, 2))
    assert numbers_in(queue) == ([1, 2, 0, 0], [True, True, False, False])
    queue.enqueue(keys(3, 4))
    assert numbers_in(queue) == ([1, 2, 3, 4], [True] * 4)
    queue.enqueue(keys(5, 6))
    assert numbers_in(queue) == ([5, 6, 3, 4], [True] * 4)


def test_a_queue_of_one_batch_holds_the_last_one():
    queue = KeyQueue(2, 2)
    for number in (1, 3):
        queue.enqueue(keys(number, number + 1))
    assert numbers_in(queue) == ([3, 4], [True, True])


@pytest.mark.parametrize("rows", [3, 5, 8])
def test_keys_that_would_be_torn_at_the_end_are_refused(rows):
    with pytest.raises(ValueError, match=rf"multiple of the keys of one batch. Received 4 and {rows}"):
        KeyQueue(4, 2).enqueue(keys(*range(rows)))


def test_sizes_must_be_positive():
    with pytest.raises(ValueError, match=r"Received size=0, dim=2"):
        KeyQueue(0, 2)


def test_a_checkpoint_holds_keys_and_count(tmp_path):
    queue = KeyQueue(4, 2)
    queue.enqueue(keys(1, 2))
    path = tf.train.Checkpoint(queue=queue).write(str(tmp_path / "queue"))
    restored = KeyQueue(4, 2)
    tf.train.Checkpoint(queue=restored).read(path).assert_consumed()
    restored.enqueue(keys(3, 4))
    assert numbers_in(restored) == ([1, 2, 3, 4], [True] * 4)


def test_replicas_hold_the_keys_of_all_in_the_order_of_replicas():
    strategy = mirrored(2)
    with strategy.scope():
        queue = KeyQueue(8, 2)

    def enqueue(rows):
        queue.enqueue(gather_rows(rows))

    for own in ([(1, 2), (3, 4)], [(5, 6), (7, 8)], [(9, 10), (11, 12)]):  # The third goes over the end.
        rows = strategy.experimental_distribute_values_from_function(
            lambda context, own=own: keys(*own[context.replica_id_in_sync_group])
        )
        strategy.run(enqueue, args=(rows,))
    for copy, count in zip(*map(strategy.experimental_local_results, (queue.keys, queue.count)), strict=True):
        np.testing.assert_array_equal(copy, keys(9, 10, 11, 12, 5, 6, 7, 8))
        assert count == 12
