"""What a stage's SavedModel says about itself: ``assets/stage.json``."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

import tf_simclr
from export.typed_json import from_json
from tf_simclr.config import TRAINING_MODES, ConfigError, Mode
from tf_simclr.files.manifest import DamagedError, verify
from tf_simclr.model.network import Architecture

FORMAT_VERSION = 1
STAGE_FILE = os.path.join("assets", "stage.json")
WHOLE_PART = "encoder"  # a part that is a network in itself
PART = "part"  # only in a module that holds a part of a stage's network
STAGES = (*(mode.value for mode in TRAINING_MODES), Mode.IMPORT.value)
CROP_PROPORTION = 0.875  # of the side; 224 of 256, the usual ImageNet evaluation crop
COPY_AGAIN = "Copy the SavedModel again, or repeat the stage that wrote it."
UNCROPPED_MAX_SIZE = 32  # px; up to here images enter the network whole


@dataclasses.dataclass(frozen=True, kw_only=True)
class VariableSpec:
    """Name, shape and dtype of one variable of the network."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, name: str, variable: tf.Variable) -> VariableSpec:
        """Returns what describes ``variable``."""
        return cls(name=name, shape=tuple(variable.shape.as_list()), dtype=variable.dtype.name)

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageInfo:
    """Which stage made a network, what the network is and what images it expects.

    ``image_size`` is in pixels; ``class_names`` stand in the order of the logits, and
    are empty where there are none; ``step`` counts optimizer steps.

    Raises:
        ConfigError: a value is impossible, or names and classes differ in number.
    """

    stage: str
    architecture: Architecture
    image_size: int
    class_names: tuple[str, ...] = ()
    step: int

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ConfigError(f"stage must be one of {', '.join(STAGES)}. Received {self.stage!r}.")
        if self.image_size < 1 or self.step < 0:
            raise ConfigError(
                "image_size must be at least 1 and step at least 0. "
                f"Received {self.image_size} and {self.step}."
            )
        if self.architecture.encoder.cifar_stem is None:
            raise ConfigError("cifar_stem must be decided. Use EncoderConfig.with_stem_for(image_size).")
        classes, names = self.architecture.num_classes, len(self.class_names)
        if classes and names and classes != names:
            raise ConfigError(f"class_names must name all {classes} classes, or none. Received {names}.")

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How an image becomes the network's input; follows from the image size."""
        return {
            "range": [0, 1],
            "channels": "RGB",
            "crop_proportion": CROP_PROPORTION if self.image_size > UNCROPPED_MAX_SIZE else None,
            "resize": "bicubic",
        }


def to_json(info: StageInfo, variables: Sequence[VariableSpec], part: str | None = None) -> str:
    """Returns the text of ``stage.json``; ``part`` is what a module has of the network, None the whole."""
    values = {
        "format_version": FORMAT_VERSION,
        **({} if part is None else {PART: part}),
        **dataclasses.asdict(info),
        "preprocessing": info.preprocessing,
        "versions": {
            "tensorflow": tf.__version__,
            "tf_simclr": tf_simclr.__version__,
        },
        "variables": [dataclasses.asdict(spec) for spec in variables],
    }
    return json.dumps(values, indent=1)


def read_info(path: str) -> StageInfo:
    """Returns the description in the SavedModel at ``path``.

    Raises:
        ConfigError: the file is missing, damaged or of another format version.
    """
    return read_stage_file(path)[0]


def read_stage_file(path: str) -> tuple[StageInfo, tuple[VariableSpec, ...]]:
    """Returns the description and the variables, in the order in which the SavedModel holds them.

    Raises:
        ConfigError: as :func:`read_info`.
    """
    file = os.path.join(path, STAGE_FILE)
    values = read_object(file)
    if values.get("format_version") != FORMAT_VERSION:
        found = values.get("format_version")
        raise ConfigError(
            f"{file} has format_version {found!r}; this program reads {FORMAT_VERSION}. "
            "Use the version of tf_simclr that wrote it, or repeat the stage with this one."
        )
    part = values.pop(PART, None)
    if part not in (None, WHOLE_PART):
        raise ConfigError(
            f"{path} is a module of {part} alone, so no stage can start from it. "
            "Give the run directory that it was exported from, or a module of the encoder."
        )
    try:
        described = _parse(values)
    except ConfigError as error:
        raise ConfigError(f"{file} is damaged: {error} {COPY_AGAIN}") from error
    verify_saved_model(path, [STAGE_FILE])
    return described


def verify_saved_model(path: str, names: Iterable[str] | None = None) -> None:
    """Compares the files of a SavedModel, or those in ``names``, with its manifest.

    Raises:
        ConfigError: one is missing or has changed.
    """
    try:
        verify(path, names)
    except DamagedError as error:
        raise ConfigError(f"{error} {COPY_AGAIN}") from error


def read_object(file: str) -> dict[str, Any]:
    """Returns the JSON object in a ``stage.json``; raises ConfigError as :func:`read_info`."""
    try:
        with tf.io.gfile.GFile(file, "rb") as stream:
            values = json.loads(stream.read().decode("utf-8"))
    except tf.errors.NotFoundError as error:
        raise ConfigError(
            f"{file} does not exist, so this is no SavedModel of a stage. "
            "Give the model_dir of a run of `python run.py --mode=pretrain` (or a later stage)."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is damaged: it is no JSON ({error}). {COPY_AGAIN}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file} is damaged: it must hold a JSON object. Repeat the stage that wrote it.")
    return values


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Versions:
    tensorflow: str
    tf_simclr: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Extras:
    versions: _Versions
    variables: tuple[VariableSpec, ...]


def _parse(values: Mapping[str, Any]) -> tuple[StageInfo, tuple[VariableSpec, ...]]:
    extra_names = ("versions", "variables")
    extras = from_json(_Extras, {name: values[name] for name in extra_names if name in values}, "stage")
    elsewhere = ("format_version", "preprocessing", *extra_names)
    info = from_json(StageInfo, {k: v for k, v in values.items() if k not in elsewhere}, "stage")
    if values.get("preprocessing") != info.preprocessing:
        raise ConfigError(
            f"stage.preprocessing must be {info.preprocessing} for images of {info.image_size} px. "
            f"Found {values.get('preprocessing')!r}."
        )
    return info, extras.variables
