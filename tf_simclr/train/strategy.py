"""On which devices a run trains."""

from __future__ import annotations

import tensorflow as tf


def choose_strategy() -> tf.distribute.Strategy:
    """Returns a strategy over all GPUs of this machine, or over its one device."""
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def device_line(strategy: tf.distribute.Strategy) -> str:
    """Returns what is printed at the start of a run."""
    gpus = tf.config.list_logical_devices("GPU")
    kind = "GPU" if gpus else "CPU"
    return f"{strategy.num_replicas_in_sync} x {kind}, TensorFlow {tf.__version__}"
