"""Full training state on disk: network, optimizer, step, and what else a stage learns.

checkpoints/<step>/state.*        TensorFlow's checkpoint
checkpoints/<step>/window.json    what was measured since the last line of the metrics
checkpoints/<step>/manifest.json  digests of both
checkpoints/best.json             which step had the best evaluation
checkpoints/damaged-<step>/       one that could not be read back
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from absl import logging

from tf_simclr.config import ConfigError
from tf_simclr.errors import first_line
from tf_simclr.files.manifest import DamagedError, verify
from tf_simclr.files.storing import storing
from tf_simclr.files.whole import (
    clear_leftovers,
    numbered,
    remove_directory,
    rename_directory,
    whole_directory,
    write_text,
)
from tf_simclr.model.network import SimCLR

STATE = "state"
WINDOW_FILE = "window.json"
BEST_FILE = "best.json"
DAMAGED_PREFIX = "damaged-"


def resumed_from(directory: str) -> list[str]:
    """Returns what of the checkpoints in ``directory`` decides how a run goes on, as names in it.

    The newest whole one, damaged ones that are newer, and the one with the best evaluation.
    """
    names = []
    for name in reversed(numbered(directory)):
        names.append(name)
        try:
            verify(os.path.join(directory, name))
            break
        except DamagedError:
            continue
    if best := _best_of(directory):
        names += [BEST_FILE, str(best["step"])]
    return sorted(set(names))


def _best_of(directory: str) -> dict[str, Any]:
    """Returns step and top-1 of the best evaluation whose checkpoint is there; {} without one."""
    try:
        with tf.io.gfile.GFile(os.path.join(directory, BEST_FILE)) as file:
            best = json.loads(file.read())
        return best if str(best["step"]) in numbered(directory) else {}
    except (tf.errors.NotFoundError, ValueError, KeyError, TypeError):
        return {}


class Checkpoints:
    """The newest ``keep`` checkpoints of a run, and the one with the best evaluation."""

    def __init__(
        self,
        directory: str,
        network: SimCLR,
        optimizer: Any,
        keep: int,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if hasattr(optimizer, "build"):  # Else a restore would come before the slots it fills.
            optimizer.build(network.trainable_variables)
        self._directory, self._keep = directory, keep
        self._step = optimizer.iterations
        self._checkpoint = tf.train.Checkpoint(network=network, optimizer=optimizer, **(extra or {}))

    def restore(self) -> tuple[int, dict[str, Any]]:
        """Fills network and optimizer from the newest whole checkpoint, if there is any.

        A damaged one is named, and set aside under another name.

        Returns:
            The steps done, and the ``window`` that was saved with them.

        Raises:
            ConfigError: all checkpoints are damaged, or the newest is of another network.
        """
        clear_leftovers(self._directory)
        damaged: dict[str, DamagedError] = {}
        for name in reversed(numbered(self._directory)):
            try:
                verify(self._path(name))
            except DamagedError as error:
                damaged[name] = error
                continue
            # Not earlier: a run without any whole one must not look like a new run at the next start.
            for bad, reason in damaged.items():
                self._set_aside(bad, reason)
            return self._read(name)
        if damaged:
            raise ConfigError(
                f"No checkpoint in {self._directory} is whole: {next(iter(damaged.values()))} "
                "Copy them again, or give --overwrite to start anew (the old run is kept beside it)."
            )
        return 0, {}

    def save(self, window: Mapping[str, Any] | None = None) -> None:
        """Writes a checkpoint of the current step, unless it is there already; removes the oldest ones.

        ``window``: what :meth:`restore` shall give back with it, JSON-ready.

        Raises:
            StorageError: the disk is full or refuses; the earlier checkpoints are whole.
        """
        step = str(int(self._step.numpy()))
        if step in numbered(self._directory):
            return
        with whole_directory(self._path(step)) as writing:
            self._checkpoint.write(os.path.join(writing, STATE))
            write_text(os.path.join(writing, WINDOW_FILE), json.dumps(dict(window or {})) + "\n")
        best = _best_of(self._directory).get("step")
        for name in numbered(self._directory)[: -self._keep]:
            if int(name) != best:
                remove_directory(self._path(name))

    def is_best(self, top_1: float) -> bool:
        """Whether ``top_1`` is above that of every evaluation so far whose checkpoint is there."""
        return top_1 > _best_of(self._directory).get("top_1", -1.0)

    def note_best(self, step: int, top_1: float) -> None:
        """Keeps the checkpoint of ``step`` until a better one comes."""
        write_text(self._path(BEST_FILE), json.dumps({"step": step, "top_1": top_1}) + "\n")

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _read(self, name: str) -> tuple[int, dict[str, Any]]:
        path = self._path(name)
        try:
            self._checkpoint.read(os.path.join(path, STATE)).assert_existing_objects_matched()
        except (tf.errors.OpError, ValueError, AssertionError) as error:
            reason = first_line(error)
            raise ConfigError(
                f"The checkpoint {path} is of another network ({reason}). Give another --model_dir, or "
                "--overwrite to start anew (the old run is kept beside it)."
            ) from error
        step = int(self._step.numpy())
        logging.info("Resuming from step %d (%s).", step, path)
        with tf.io.gfile.GFile(os.path.join(path, WINDOW_FILE)) as file:
            return step, json.loads(file.read())

    def _set_aside(self, name: str, error: DamagedError) -> None:
        place = self._path(f"{DAMAGED_PREFIX}{name}")
        logging.warning("%s The checkpoint before it is used; this one is moved to %s.", error, place)
        with storing(place):
            if tf.io.gfile.exists(place):
                remove_directory(place)
            rename_directory(self._path(name), place)
