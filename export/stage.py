"""The SavedModel of a stage: written whole or not at all, and read back as a network."""

from __future__ import annotations

import os
from collections.abc import Sequence

import tensorflow as tf

from export.info import FORMAT_VERSION, STAGE_FILE, StageInfo, VariableSpec, read_info, to_json
from export.restore import load_variables
from export.reusable import build_reusable, trainable_copy
from export.signatures import build_signatures
from tf_simclr.model.network import SimCLR, build_network, named_variables

__all__ = ["FORMAT_VERSION", "StageInfo", "load_stage", "load_variables", "read_info", "write_stage"]

# Neither name is an integer, so neither TF Serving nor locate_stage takes it for a version.
WRITING_PREFIX = ".writing-"
REPLACED_PREFIX = ".replaced-"


def write_stage(network: SimCLR, info: StageInfo, directory: str) -> str:
    """Writes ``directory/<step>``, a Reusable SavedModel of ``network``, and returns its path.

    It's built beside its place, under a hidden name, and renamed when whole; one that
    is there already is replaced. ``network`` stays as it is. One process writes to a
    directory at a time.

    Raises:
        ValueError: called inside ``strategy.scope()``, or ``info`` describes another architecture.
    """
    if info.architecture != network.architecture:
        raise ValueError(
            f"info must describe the network that is written. Received {info.architecture} "
            f"for a network of {network.architecture}."
        )
    _clear_leftovers(directory)
    writing = os.path.join(directory, f"{WRITING_PREFIX}{info.step}")
    tf.io.gfile.makedirs(directory)
    _save(trainable_copy(network), info, writing)
    return _move_into_place(writing, directory, str(info.step))


def load_stage(path: str) -> tuple[SimCLR, StageInfo]:
    """Returns the network in the SavedModel at ``path``, nothing frozen, and its description.

    Raises:
        ConfigError: a file is missing, damaged or of another format version.
    """
    info = read_info(path)
    network = build_network(info.architecture)
    load_variables(network, path)
    return network, info


def _save(network: SimCLR, info: StageInfo, path: str) -> None:
    root = build_reusable(network)
    tf.saved_model.save(root, path, signatures=build_signatures(root, info.architecture))
    # The root's list is the order in which load_variables finds the values.
    names = {variable.ref(): name for name, variable in named_variables(network).items()}
    specs = [VariableSpec.of(names[variable.ref()], variable) for variable in root.variables]
    _write_text(os.path.join(path, STAGE_FILE), to_json(info, specs))


def _write_text(file: str, text: str) -> None:
    tf.io.gfile.makedirs(os.path.dirname(file))
    with tf.io.gfile.GFile(file, "w") as stream:
        stream.write(text)


def _move_into_place(writing: str, directory: str, name: str) -> str:
    final = os.path.join(directory, name)
    if not tf.io.gfile.exists(final):
        tf.io.gfile.rename(writing, final)
        return final
    replaced = os.path.join(directory, f"{REPLACED_PREFIX}{name}")
    tf.io.gfile.rename(final, replaced)
    try:
        tf.io.gfile.rename(writing, final)
    except BaseException:
        tf.io.gfile.rename(replaced, final)
        raise
    tf.io.gfile.rmtree(replaced)
    return final


def _clear_leftovers(directory: str) -> None:
    """Removes what an interrupted write left, after putting back a SavedModel caught between two renames."""
    for name in _names(directory):
        place = os.path.join(directory, name.removeprefix(REPLACED_PREFIX))
        if name.startswith(REPLACED_PREFIX) and not tf.io.gfile.exists(place):
            tf.io.gfile.rename(os.path.join(directory, name), place)
        elif name.startswith((WRITING_PREFIX, REPLACED_PREFIX)):
            tf.io.gfile.rmtree(os.path.join(directory, name))


def _names(directory: str) -> Sequence[str]:
    if not tf.io.gfile.isdir(directory):
        return ()
    return [name.rstrip("/") for name in tf.io.gfile.listdir(directory)]
