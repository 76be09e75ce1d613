"""One part of a network as a module for other programs: TF Hub, Keras, ``tf.saved_model.load``."""

from __future__ import annotations

import dataclasses
import os

import tensorflow as tf

from export.hub_readme import Described, describe_part, readme
from export.info import PART, STAGE_FILE, StageInfo, read_info, read_object, to_json
from export.reusable import Part, build_part, trainable_copy
from export.stage import specs_of
from tf_simclr.config import ConfigError, RunConfig
from tf_simclr.files.whole import whole_directory, write_text
from tf_simclr.model.network import Architecture, SimCLR
from tf_simclr.model.start import StartingPoint

README_FILE = "README.md"


def export_hub(config: RunConfig, start: StartingPoint) -> dict[str, str]:
    """Writes the module that ``config.export`` asks for of the network at ``start``; returns what to report.

    Raises:
        ConfigError: the network lacks the part, or something else lies at the directory.
    """
    part, info = config.export.export_part, read_info(start.path)
    check_part(info.architecture, part, start.path)
    directory = config.export.export_dir or os.path.join("runs", "hub", part)
    _check_free(directory)
    path = write_module(start.load(), info, part, directory, head_layer=config.export.head_layer)
    return {"mode": "export", "export_kind": "hub", "export_part": part, "start": start.path, "module": path}


def check_part(architecture: Architecture, part: str, path: str) -> None:
    """Raises ConfigError, naming the parts that there are, unless the network has the one asked for."""
    layers = [f"head_layer_{k}" for k in range(1, architecture.head_layers + 1)]
    parts = ["encoder", *(["projection_head"] if layers else []), *layers]
    if architecture.num_classes:
        parts.append("classifier")
    if part not in parts:
        raise ConfigError(
            f"--export_part={part} is not in --checkpoint={path}, which has: "
            f"{', '.join(parts)}. Use one of these, or give another --checkpoint."
        )


def write_module(
    network: SimCLR, info: StageInfo, part: str, directory: str, head_layer: int | None = None
) -> str:
    """Writes ``directory``, a Reusable SavedModel of one part of ``network``, and returns it.

    A module that is there is replaced; ``network`` stays as it is.
    """
    copy = trainable_copy(network)
    root = build_part(copy, part if head_layer is None else f"projection_head_layer_{head_layer}")
    described = describe_part(part, info)
    if part == "encoder":  # The encoder is a network in itself: a later stage can start from it.
        architecture = Architecture(encoder=info.architecture.encoder)
        info = dataclasses.replace(info, architecture=architecture, class_names=())

    with whole_directory(directory.rstrip("/")) as path:
        tf.saved_model.save(root, path, signatures={"serving_default": _signature(root, described)})
        write_text(os.path.join(path, STAGE_FILE), to_json(info, specs_of(root, copy), part))
        write_text(os.path.join(path, README_FILE), readme(described, info, root))
    return directory


def _signature(root: Part, described: Described) -> tf.types.experimental.ConcreteFunction:
    def call(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {described.output: root.__call__(inputs)}

    return tf.function(call, autograph=False).get_concrete_function(described.spec)


def _check_free(directory: str) -> None:
    """A module may be written again; nothing else is ever replaced."""
    if not tf.io.gfile.exists(directory):
        return
    is_directory = tf.io.gfile.isdir(directory)
    if is_directory and not tf.io.gfile.listdir(directory):
        return
    stage_file = os.path.join(directory, STAGE_FILE)
    if not (is_directory and tf.io.gfile.exists(stage_file) and PART in read_object(stage_file)):
        raise ConfigError(
            f"--export_dir={directory} exists and is no module of --mode=export, so it is not replaced. "
            "Name a directory that does not exist."
        )
