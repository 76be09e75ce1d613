from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_simclr.data import seeds


def int64(value):
    return tf.constant(value, tf.int64)


def permutation(count, seed, epoch):
    return [int(seeds.shuffled_position(int64(k), count, seed, int64(epoch))) for k in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 17])
def test_positions_of_an_epoch_are_a_permutation(count):
    for epoch in range(4):
        assert sorted(permutation(count, 3, epoch)) == list(range(count))


def test_permutations_of_seeds_and_epochs_differ():
    drawn = [permutation(17, seed, epoch) for seed in (0, 1, 1 << 32, (1 << 63) + 5) for epoch in range(3)]
    assert len({tuple(order) for order in drawn}) == 12


def test_elements_move_far_in_most_epochs():
    # 1/17 of the elements stay in place by chance; 40 epochs give 40 of 680.
    stay = sum(np.sum(np.array(permutation(17, 0, epoch)) == np.arange(17)) for epoch in range(40))
    assert 10 < stay < 90


def test_example_seeds_are_distinct_and_below_the_word_size():
    found = {
        tuple(seeds.example_seed(seed, int64(epoch), int64(row)).numpy().tolist())
        for seed in (0, 1, 1 << 32, (1 << 64) - 1)
        for epoch in (0, 1, 99_999)
        for row in (0, 1, 1_281_166)
    }
    assert len(found) == 4 * 3 * 3


def test_epoch_seeds_are_positive_and_differ():
    found = [int(seeds.epoch_seed(seed, int64(epoch))) for seed in (0, 1, 1 << 32) for epoch in range(5)]
    assert min(found) > 0 and max(found) < 2**31 - 1 and len(set(found)) == 15
