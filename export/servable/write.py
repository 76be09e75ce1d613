"""A servable on disk: a versioned directory that TF Serving finds whole or not at all."""

from __future__ import annotations

import json
import os

import tensorflow as tf

from export.locate import STAGE_IN_SERVABLE, whole_servables
from export.servable.batching import BATCHING_FILE, batching_text
from export.servable.deployment import write_deployment
from export.servable.signatures import Servable, build_servable
from export.servable.warmup import write_warmup
from export.stage import load_stage
from tf_simclr.config import ServableConfig, as_dict
from tf_simclr.files.whole import (
    clear_leftovers,
    copy_directory,
    numbered,
    remove_directory,
    whole_directory,
    write_text,
)

LABELS_FILE = os.path.join("assets.extra", "labels.txt")  # a class a line, in the order of the indices
SETTINGS_FILE = os.path.join("assets.extra", "servable.json")


def write_servable(stage: str, directory: str, config: ServableConfig) -> str:
    """Writes the next version of the servable of a stage's SavedModel; returns its path.

    ``directory``/NAME/<version>/, with NAME = ``config.export_name`` and version one
    above the highest, is built beside its place under a hidden name and renamed when
    whole. It carries a copy of ``stage``, so that it can be trained further, and
    evaluated, like a run. Afterwards the oldest versions beyond ``config.keep_versions``
    are removed and the deployment files in ``directory`` brought up to date. One
    process writes to a directory at a time.

    Raises:
        ConfigError: ``stage`` is damaged.
        StorageError: the disk is full or refuses.
        ValueError: called inside ``strategy.scope()``.
    """
    network, info = load_stage(stage)
    servable = build_servable(network, info, config)
    parent = os.path.join(directory, config.export_name)
    clear_leftovers(parent)
    path = os.path.join(parent, str(_next_version(parent)))
    with whole_directory(path) as writing:
        _save(servable, writing)
        write_warmup(writing, config.export_name, servable.signatures, config.allowed_batch_sizes)
        write_text(os.path.join(writing, BATCHING_FILE), batching_text(config))
        write_text(os.path.join(writing, SETTINGS_FILE), json.dumps(as_dict(config), indent=1))
        write_text(os.path.join(writing, LABELS_FILE), "".join(f"{name}\n" for name in info.class_names))
        copy_directory(stage, os.path.join(writing, STAGE_IN_SERVABLE))
    _remove_old(parent, config.keep_versions)
    write_deployment(directory)
    return path


def _save(servable: Servable, path: str) -> None:
    root = tf.__internal__.tracking.AutoTrackable()
    root.variables = list(servable.variables)
    tf.saved_model.save(root, path, signatures=servable.signatures)


def _next_version(parent: str) -> int:
    """Above every integer there, whole or not: TF Serving looks at all of them."""
    return max(map(int, numbered(parent)), default=0) + 1


def _remove_old(parent: str, keep: int) -> None:
    """Removes all but the newest ``keep`` versions; 0 keeps all."""
    for path in whole_servables(parent)[:-keep] if keep else []:
        remove_directory(path)
