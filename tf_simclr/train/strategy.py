"""On which devices a run trains."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from absl import logging

from tf_simclr.config import ConfigError, ScaleConfig

INSTALL_FOR_GPUS = "pip install -r requirements.txt 'tensorflow[and-cuda]'"


def choose_strategy(config: ScaleConfig) -> tf.distribute.Strategy:
    """Returns the strategy that ``config.strategy`` names; call it before TensorFlow computes anything.

    Raises:
        ConfigError: TF_CONFIG does not fit, or the TPU cannot be reached.
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
        _check_cluster(os.environ.get("TF_CONFIG", ""))
        return tf.distribute.MultiWorkerMirroredStrategy()
    if kind == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def _kind_at_hand(config: ScaleConfig) -> str:
    if config.tpu_name is not None:
        return "tpu"
    if _number_of_workers(os.environ.get("TF_CONFIG", "")) > 1:
        return "multi_worker"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one_device"


def _number_of_workers(text: str) -> int:
    try:
        cluster = json.loads(text or "{}").get("cluster", {})
        return sum(len(cluster.get(role, ())) for role in ("chief", "worker"))
    except (ValueError, AttributeError, TypeError):
        raise _cluster_error("is not what it should be", text) from None


def _check_cluster(text: str) -> None:
    if not text:
        raise _cluster_error("is not set", text)
    task: Mapping[str, Any] = json.loads(text).get("task", {}) if _number_of_workers(text) else {}
    if "type" not in task or "index" not in task:
        raise _cluster_error("is not what it should be", text)


def _cluster_error(what: str, text: str) -> ConfigError:
    return ConfigError(
        f"--strategy=multi_worker reads the environment variable TF_CONFIG, which {what}: {text!r}. Set it "
        'on each machine to {"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
        '"task": {"type": "worker", "index": 0}}, with index 0, 1, ... in the order of the list.'
    )


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
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"--strategy=tpu found no TPU ({reason}). On a TPU VM leave --tpu_name out and install the "
            "TensorFlow that its image has; elsewhere give --tpu_name, --tpu_zone and --gcp_project."
        ) from error


def device_line(strategy: tf.distribute.Strategy) -> str:
    """Returns what is printed at the start of a run."""
    kind = next(kind for kind in ("TPU", "GPU", "CPU") if tf.config.list_logical_devices(kind))
    return f"{strategy.num_replicas_in_sync} x {kind}, TensorFlow {tf.__version__}"
