"""On which devices a run trains."""

from __future__ import annotations

import os
import signal
import threading

import tensorflow as tf
from absl import logging

from tf_simclr.config import ConfigError, ScaleConfig
from tf_simclr.errors import first_line
from tf_simclr.train.cluster import all_addresses, own_address

INSTALL_FOR_GPUS = "pip install -r requirements.txt 'tensorflow[and-cuda]'"


def choose_strategy(config: ScaleConfig) -> tf.distribute.Strategy:
    """Returns the strategy that ``config.strategy`` names; call it before TensorFlow computes anything.

    Raises:
        ConfigError: TF_CONFIG does not fit, the workers do not meet, or the TPU cannot be reached.
    """
    kind = config.strategy if config.strategy != "auto" else _kind_at_hand(config)
    if kind == "tpu":
        return _tpu(config)
    if kind in ("mirrored", "multi_worker") and not tf.config.list_physical_devices("GPU"):
        logging.warning(
            "--strategy=%s found no GPU and takes CPUs. Where nvidia-smi shows GPUs, install their libraries "
            "with %s, and see that CUDA_VISIBLE_DEVICES does not hide them.",
            kind,
            INSTALL_FOR_GPUS,
        )
    if kind == "multi_worker":
        return _multi_worker(os.environ.get("TF_CONFIG", ""))
    if kind == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def _kind_at_hand(config: ScaleConfig) -> str:
    if config.tpu_name is not None:
        return "tpu"
    if len(all_addresses(os.environ.get("TF_CONFIG", ""))) > 1:
        return "multi_worker"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one_device"


def _multi_worker(text: str) -> tf.distribute.Strategy:
    """Returns the strategy of the workers that TF_CONFIG, ``text``, names; waits until all are there."""
    own, every = own_address(text), all_addresses(text)
    logging.info("Waiting for %d workers: %s; this one is %s.", len(every), ", ".join(every), own)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise ConfigError(
            f"The worker {own} cannot join the others of TF_CONFIG ({first_line(error)}). Look that its host "
            "is this machine and its port is free, that every worker has the same cluster, and that all are "
            "started; then start all of them again."
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():  # TensorFlow ignores it from here on.
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


def _tpu(config: ScaleConfig) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            config.tpu_name or "local", zone=config.tpu_zone, project=config.gcp_project
        )
        if config.tpu_name is not None:
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        raise ConfigError(
            f"--strategy=tpu found no TPU ({first_line(error)}). On a TPU VM leave --tpu_name out and "
            "install the TensorFlow that its image has; elsewhere give --tpu_name, --tpu_zone and "
            "--gcp_project."
        ) from error


def device_line(strategy: tf.distribute.Strategy) -> str:
    """Returns what is printed at the start of a run."""
    kind = next(kind for kind in ("TPU", "GPU", "CPU") if tf.config.list_logical_devices(kind))
    return f"{strategy.num_replicas_in_sync} x {kind}, TensorFlow {tf.__version__}"
