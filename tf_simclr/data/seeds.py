"""Random seeds of the data: pure functions of run seed, epoch and row."""

from __future__ import annotations

import tensorflow as tf

_ROW_BITS = 40  # 10^12 rows and 8 million epochs fit one 64-bit word.
_ROUNDS = 4  # of the block cipher behind the permutation; TensorFlow's own choice
_WORD = 1 << 32


def shuffled_position(position: tf.Tensor, count: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Where ``position`` of [0, count) lands in the permutation of (seed, epoch): int64 scalar."""
    # The raw operation, because tf.random.experimental.index_shuffle leaves only two 32-bit words.
    low, high = seed % _WORD, (seed >> 32) % _WORD
    words = tf.stack([tf.constant(low, tf.int64), tf.constant(high, tf.int64), epoch])
    return tf.raw_ops.RandomIndexShuffle(
        index=position, seed=words, max_index=tf.constant(count - 1, tf.int64), rounds=_ROUNDS
    )


def example_seed(seed: int, epoch: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
    """Seed of one example in one epoch: [2] int64, different for every (seed, epoch, row)."""
    return tf.stack([tf.constant(_signed(seed), tf.int64), epoch * (1 << _ROW_BITS) + row])


def epoch_seed(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Seed of one epoch's order: positive int64 scalar below 2^31 - 1, mixed from both."""
    words = tf.stack([tf.constant(_signed(seed), tf.int64), epoch])
    return tf.random.stateless_uniform([], words, 1, 2**31 - 1, tf.int64)


def _signed(seed: int) -> int:
    """Lower 64 bits of ``seed`` as int64 has them."""
    return (seed + (1 << 63)) % (1 << 64) - (1 << 63)
