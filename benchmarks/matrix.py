"""The yardstick of everything that computes: the rate of large matrix products on all cores."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

SIZE = 2048
PRODUCTS = 6
FLOPS = PRODUCTS * 2 * SIZE**3  # a multiply-add is two


def matrix_products(size: int = SIZE) -> Callable[[], None]:
    """Returns a function that multiplies ``PRODUCTS`` pairs of float32 matrices [size, size]."""
    first = tf.random.normal([size, size])
    second = tf.random.normal([size, size])

    @tf.function(autograph=False)
    def multiply(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
        for _ in range(PRODUCTS):
            left = tf.matmul(left, right) / size
        return left[0, 0]

    return lambda: multiply(first, second).numpy()
