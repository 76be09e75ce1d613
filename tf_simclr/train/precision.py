"""In which number format a network computes, and whether XLA compiles its steps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf
import tf_keras as keras

from tf_simclr.config import ConfigError, ScaleConfig

FLOAT16, BFLOAT16, FLOAT32 = "float16", "bfloat16", "off"
BFLOAT16_CAPABILITY = (8, 0)  # GPUs from Ampere on compute in bfloat16


def precision_of(config: ScaleConfig) -> str:
    """Returns the format that the settings name, or by ``auto`` the one that suits the device.

    bfloat16 on TPUs and on GPUs that have it: its range is float32's, so no loss is scaled.
    """
    if config.mixed_precision != "auto":
        return config.mixed_precision
    if tf.config.list_logical_devices("TPU"):
        return BFLOAT16
    gpus = tf.config.list_physical_devices("GPU")
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) for gpu in gpus
    ]
    return BFLOAT16 if gpus and min(capabilities) >= BFLOAT16_CAPABILITY else FLOAT32


@contextlib.contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Layers that are made within it compute in this format; their weights are float32 all the same."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("float32" if precision == FLOAT32 else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def compiles(config: ScaleConfig, strategy: tf.distribute.Strategy) -> bool:
    """Whether the settings ask XLA to compile a replica's step. On TPUs TensorFlow always does.

    Raises:
        ConfigError: several replicas that are no GPUs, which XLA cannot join.
    """
    if isinstance(strategy, tf.distribute.TPUStrategy) or not config.jit_compile:
        return False
    if strategy.num_replicas_in_sync > 1 and not tf.config.list_physical_devices("GPU"):
        raise ConfigError(
            f"--jit_compile works on one CPU device or on GPUs, and this run has "
            f"{strategy.num_replicas_in_sync} CPU replicas. Leave it out, or give --strategy=one_device."
        )
    return True


def precision_line(config: ScaleConfig, strategy: tf.distribute.Strategy) -> str:
    """Returns what is printed of it at the start of a run."""
    if isinstance(strategy, tf.distribute.TPUStrategy):
        compiler = "compiled by XLA (TPU)"
    else:
        compiler = "compiled by XLA" if compiles(config, strategy) else "not compiled"
    return f"mixed precision {precision_of(config)}, {compiler}"
