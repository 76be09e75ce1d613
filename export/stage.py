"""The SavedModel of a stage: written whole or not at all, and read back as a network."""

from __future__ import annotations

import os

import tensorflow as tf

from export.info import FORMAT_VERSION, STAGE_FILE, StageInfo, VariableSpec, read_info, to_json
from export.restore import load_variables
from export.reusable import Part, build_reusable, trainable_copy
from export.signatures import build_signatures
from tf_simclr.files.whole import clear_leftovers, whole_directory, write_text
from tf_simclr.model.network import SimCLR, build_network, named_variables

__all__ = ["FORMAT_VERSION", "StageInfo", "load_stage", "load_variables", "read_info", "write_stage"]


def write_stage(network: SimCLR, info: StageInfo, directory: str) -> str:
    """Writes ``directory/<step>``, a Reusable SavedModel of ``network``, and returns its path.

    It's built beside its place, under a hidden name, sealed with a manifest and renamed;
    one that is there already is replaced. ``network`` stays as it is. One process writes
    to a directory at a time.

    Raises:
        StorageError: the disk is full or refuses.
        ValueError: called inside ``strategy.scope()``, or ``info`` describes another architecture.
    """
    if info.architecture != network.architecture:
        raise ValueError(
            f"info must describe the network that is written. Received {info.architecture} "
            f"for a network of {network.architecture}."
        )
    clear_leftovers(directory)
    path = os.path.join(directory, str(info.step))
    with whole_directory(path) as writing:
        _save(trainable_copy(network), info, writing)
    return path


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
    write_text(os.path.join(path, STAGE_FILE), to_json(info, specs_of(root, network)))


def specs_of(root: Part, network: SimCLR) -> list[VariableSpec]:
    """Describes the variables of a root or part of ``network`` in the order of its list.

    That is the order in which ``load_variables`` finds the values.
    """
    names = {variable.ref(): name for name, variable in named_variables(network).items()}
    return [VariableSpec.of(names[variable.ref()], variable) for variable in root.variables]
