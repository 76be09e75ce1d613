"""Finds and opens the variables of a released network; runs no graph."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from export.audit import audit_saved_model
from export.locate import SAVED_MODEL_FILE
from tf_simclr.config import ConfigError
from tf_simclr.errors import first_line
from tf_simclr.files.whole import listed, numbered

INDEX = ".index"
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
VARIABLES = os.path.join("variables", "variables")  # in a SavedModel
WHAT_TO_GIVE = (
    "Give a TensorFlow 1 or 2 checkpoint (model.ckpt-250228, or the directory that it lies in), "
    "a SavedModel, or a .tar.gz of one of them."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stored:
    """A variable in a file: its key there, its name, its shape and its dtype."""

    key: str
    name: str  # of the tf.Variable; the key where the file has no names
    path: str  # in the object graph; the key where the file has none
    shape: tuple[int, ...]
    dtype: str


class VariablesFile:
    """A checkpoint, opened; ``stored`` has all that is in it.

    Raises:
        ConfigError: a file is missing, cut short or damaged.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        try:
            self._reader = tf.compat.v1.train.NewCheckpointReader(prefix)
            shapes = self._reader.get_variable_to_shape_map()
            dtypes = self._reader.get_variable_to_dtype_map()
            names = self._names() if OBJECT_GRAPH in shapes else {}
        except (tf.errors.OpError, ValueError, IndexError) as error:
            raise self._damaged(error) from error
        self.stored = [
            Stored(
                key=key,
                name=names.get(key) or key,
                path=key.removesuffix(VALUE),
                shape=tuple(shapes[key]),
                dtype=dtypes[key].name,
            )
            for key in sorted(shapes)
            if key != OBJECT_GRAPH and (not names or key.endswith(VALUE))
        ]

    def value(self, stored: Stored) -> np.ndarray:
        """Returns a variable's value; raises ConfigError if it can't be read."""
        try:
            return self._reader.get_tensor(stored.key)
        except (tf.errors.OpError, ValueError, IndexError) as error:
            raise self._damaged(error, stored.name) from error

    @property
    def step(self) -> int:
        """The value of ``global_step``; 0 where there is none."""
        for stored in self.stored:
            if stored.path == "global_step" and stored.shape == ():
                return max(0, int(self.value(stored)))
        return 0

    def _names(self) -> dict[str, str]:
        graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
            self._reader.get_tensor(OBJECT_GRAPH)
        )
        attributes = (attribute for node in graph.nodes for attribute in node.attributes)
        return {attribute.checkpoint_key: attribute.full_name for attribute in attributes}

    def _damaged(self, error: Exception, name: str = "") -> ConfigError:
        at = f", at {name}" if name else ""
        reason = first_line(error)
        return ConfigError(
            f"{self.prefix}.* is damaged or cut short{at} ({reason}). "
            "Copy or download all of its files again."
        )


def find_variables(path: str, flag: str, trusted: bool) -> str:
    """Returns the prefix of the checkpoint that ``path`` means; a SavedModel is looked through first.

    ``path`` is a checkpoint's prefix or one of its files, or a directory with a
    checkpoint (the newest), a SavedModel, or one other directory that has them.

    Raises:
        ConfigError: there is none, or more than one; or the SavedModel could do more than compute.
    """
    prefix = _as_prefix(path)
    if prefix is not None:
        return prefix
    directory = path.rstrip("/")
    while tf.io.gfile.isdir(directory):
        if tf.io.gfile.exists(os.path.join(directory, SAVED_MODEL_FILE)):
            audit_saved_model(directory, trusted)
            return os.path.join(directory, VARIABLES)
        prefix = _newest_checkpoint(directory)
        if prefix is not None:
            return prefix
        inner = _inner_directory(directory, flag)
        if inner is None:
            raise ConfigError(f"--{flag}={path} holds neither a checkpoint nor a SavedModel. {WHAT_TO_GIVE}")
        directory = inner
    exists = tf.io.gfile.exists(path)
    problem = "is no checkpoint" if exists else "does not exist"
    raise ConfigError(f"--{flag}={path} {problem}. {WHAT_TO_GIVE}")


def _as_prefix(path: str) -> str | None:
    for prefix in (path, path.removesuffix(INDEX), path.removesuffix(".meta"), path.split(".data-")[0]):
        if tf.io.gfile.exists(prefix + INDEX) and not tf.io.gfile.isdir(prefix):
            return prefix
    return None


def _newest_checkpoint(directory: str) -> str | None:
    """Returns what the file ``checkpoint`` names; else the only one that there is."""
    try:
        latest = tf.train.latest_checkpoint(directory)
    except (tf.errors.OpError, ValueError):  # A file of that name which is something else.
        latest = None
    if latest is not None:
        return latest
    found = [name for name in listed(directory) if name.endswith(INDEX)]
    if len(found) > 1:
        raise ConfigError(
            f"{directory} holds several checkpoints: {', '.join(found)}. Name one of them, without {INDEX}."
        )
    return os.path.join(directory, found[0].removesuffix(INDEX)) if found else None


def _inner_directory(directory: str, flag: str) -> str | None:
    """Returns ``saved_model``, the newest version, or the only directory in it."""
    names = [name for name in listed(directory) if tf.io.gfile.isdir(os.path.join(directory, name))]
    versions = [name for name in numbered(directory) if name in names]
    if "saved_model" in names:
        chosen = "saved_model"
    elif versions:
        chosen = versions[-1]
    elif len(names) == 1:
        (chosen,) = names
    elif names:
        raise ConfigError(
            f"{directory} holds several directories: {', '.join(names)}. Name one of them in --{flag}."
        )
    else:
        return None
    return os.path.join(directory, chosen)
