"""``--mode=import``: somebody else's network becomes a stage of this project."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

import tensorflow as tf
from absl import logging

from export.archive import unpacked
from export.audit import audit_saved_model
from export.info import STAGE_FILE, StageInfo
from export.locate import SAVED_MODEL_DIR, locate_stage
from export.released.files import WHAT_TO_GIVE, find_variables
from export.released.match import ReleasedNetwork, describe, open_released
from export.released.start import released_info
from export.stage import load_stage, write_stage
from tf_simclr.config import BASIC_BLOCK_DEPTHS, ConfigError, RunConfig, as_dict
from tf_simclr.files.whole import write_text
from tf_simclr.model.network import SimCLR
from tf_simclr.model.start import StartingPoint


def import_network(config: RunConfig, start: StartingPoint | None = None) -> dict[str, Any]:
    """Writes the network at ``config.checkpoint`` as the SavedModel of a run; returns what to report.

    Raises:
        ConfigError: there is none, it's damaged, something in it is missing or left
            over, or the run directory holds something else.
    """
    del start  # What is imported is no stage yet.
    if not config.checkpoint:
        raise ConfigError(f"--mode=import needs --checkpoint. {WHAT_TO_GIVE}")
    source = os.path.abspath(config.checkpoint) if "://" not in config.checkpoint else config.checkpoint
    _check_directory(config.model_dir, source)
    with unpacked(config.checkpoint) as path:
        network, info, origin = _read(path, config)
    saved = write_stage(network, info, os.path.join(config.model_dir, SAVED_MODEL_DIR))
    results = {
        "mode": config.mode.value,
        "step": info.step,
        "saved_model": saved,
        "source": source,
        "format": origin,
        "architecture": dataclasses.asdict(info.architecture),
        "image_size": info.image_size,
    }
    for name, values in (("config", {"config": as_dict(config), "source": source}), ("results", results)):
        write_text(os.path.join(config.model_dir, f"{name}.json"), json.dumps(values, indent=1) + "\n")
    return results


def _read(path: str, config: RunConfig) -> tuple[SimCLR, StageInfo, str]:
    """Returns the network, its description, and the form in which it was stored."""
    trusted = config.export.trust_saved_model
    own = _own_stage(path)
    if own is not None:
        audit_saved_model(own, trusted)
        network, info = load_stage(own)
        return network, info, "tf_simclr"
    prefix = find_variables(path, "checkpoint", trusted)
    released = open_released(prefix, image_size=config.data.image_size, export_ema=config.memory.export_ema)
    info = released_info(
        _with_shortcuts(released, config.encoder.sk_ratio),
        image_size=config.data.image_size,
        selector=config.finetune.ft_proj_selector,
    )
    logging.info("%s.* holds %s.", prefix, describe(info.architecture))
    return released.load(info.architecture), info, released.naming


def _with_shortcuts(released: ReleasedNetwork, sk_ratio: float) -> ReleasedNetwork:
    """``--sk_ratio`` decides the shortcuts' average pools where no variable tells of them."""
    encoder = released.architecture.encoder
    is_silent = encoder.resnet_depth in BASIC_BLOCK_DEPTHS and encoder.cifar_stem and released.naming != "key"
    if not is_silent:
        return released
    architecture = dataclasses.replace(
        released.architecture, encoder=dataclasses.replace(encoder, sk_ratio=sk_ratio)
    )
    return dataclasses.replace(released, architecture=architecture)


def _own_stage(path: str) -> str | None:
    try:
        found = locate_stage(path)
    except ConfigError:
        return None
    return found if tf.io.gfile.exists(os.path.join(found, STAGE_FILE)) else None


def _check_directory(model_dir: str, source: str) -> None:
    """One import a run directory: the newest SavedModel of it must be the one that was asked for."""
    if not tf.io.gfile.isdir(model_dir) or not tf.io.gfile.listdir(model_dir):
        return
    try:
        with tf.io.gfile.GFile(os.path.join(model_dir, "results.json")) as file:
            earlier = json.loads(file.read()).get("source")
    except (tf.errors.OpError, ValueError, AttributeError):
        earlier = None
    if earlier != source:
        raise ConfigError(
            f"--model_dir={model_dir} holds something else ({earlier or 'no import'}). "
            "Give another --model_dir."
        )
