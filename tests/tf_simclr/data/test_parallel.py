from __future__ import annotations

import os
import threading
import time

import tensorflow as tf

from tf_simclr.data.parallel import own_threads, parallel_map

COUNT = 24


class Busy:
    """An image that takes its time, and counts how many are in the making."""

    def __init__(self):
        self.now, self.most, self.lock = 0, 0, threading.Lock()

    def __call__(self, number):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.3 if number == 0 else 0.02)
        with self.lock:
            self.now -= 1
        return number


def run(busy):
    options = tf.data.Options()
    options.threading = own_threads()

    def slow(number):
        return tf.py_function(busy, [number], tf.int64)

    return list(parallel_map(tf.data.Dataset.range(COUNT), slow).with_options(options).as_numpy_iterator())


def test_more_images_are_in_the_making_than_there_are_cores():
    busy = Busy()
    run(busy)
    assert busy.most > (os.cpu_count() or 1)


def test_they_come_in_order_also_after_a_slow_one():
    assert run(Busy()) == list(range(COUNT))
