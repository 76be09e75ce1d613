"""What a stage takes over from the stage before it."""

from __future__ import annotations

import dataclasses

import tf_keras as keras

from tf_simclr.config import ConfigError, EncoderConfig, Mode, RunConfig
from tf_simclr.model.network import Architecture, named_variables
from tf_simclr.model.start import StartingPoint

# They change how a network trains, not which variables it has: a later stage may choose them anew.
NORM_FIELDS = ("batch_norm_decay", "global_bn")


def given_encoder(encoder: EncoderConfig, config: RunConfig) -> EncoderConfig:
    """Returns ``encoder`` with the fields replaced that the user gave as flags."""
    names = [field.name for field in dataclasses.fields(EncoderConfig) if field.name in config.given]
    return dataclasses.replace(encoder, **{name: getattr(config.encoder, name) for name in names})


def check_start(start: StartingPoint, config: RunConfig) -> None:
    """Compares the start with the mode and the flags, before any data is read.

    Raises:
        ConfigError: an architecture flag contradicts it, the projection head is too
            short, or the mode needs a classifier and it has none.
    """
    if config.mode is Mode.DISTILL:
        require_classifier(start)
        return  # Architecture flags are the student's.
    requested = _requested(start, config)
    if requested != start.architecture:
        start.require(requested)
    if config.mode in (Mode.FINETUNE, Mode.LINEAR_EVAL):
        finetune_layer(start, config)
    if config.mode is Mode.EVAL:
        require_classifier(start)


def _requested(start: StartingPoint, config: RunConfig) -> Architecture:
    """Returns the start's architecture as the given flags describe it."""
    architecture = start.architecture
    names = [field.name for field in dataclasses.fields(architecture.head) if field.name in config.given]
    head = dataclasses.replace(architecture.head, **{name: getattr(config.head, name) for name in names})
    shortened = architecture.head.num_layers - architecture.head_layers
    head_layers = max(0, head.num_layers - shortened)
    return dataclasses.replace(
        architecture,
        encoder=given_encoder(architecture.encoder, config),
        head=head,
        head_layers=head_layers,
        logits_from=min(architecture.logits_from, head_layers),
    )


def check_classes(start: StartingPoint, class_names: tuple[str, ...], dataset: str) -> None:
    """Raises ConfigError unless the start's classifier tells as many classes as the data has."""
    architecture = start.architecture
    if not class_names or len(class_names) == architecture.num_classes:
        return
    try:
        start.require(dataclasses.replace(architecture, num_classes=len(class_names)))
    except ConfigError as error:
        raise ConfigError(
            f"--dataset={dataset} has {len(class_names)} classes, and the classifier of "
            f"--{start.flag}={start.path} tells {architecture.num_classes}: {error}"
        ) from error


def finetune_layer(start: StartingPoint, config: RunConfig) -> int:
    """Returns the head layer that a classifier is put on (paper: 1 for a label fraction, 0 for all).

    Raises:
        ConfigError: the head has fewer layers.
    """
    available = start.architecture.head_layers
    selector = config.finetune.ft_proj_selector
    if selector is None:
        is_fraction = config.mode is Mode.FINETUNE and config.labels.is_subset
        return min(1, available) if is_fraction else 0
    if selector > available:
        raise ConfigError(
            f"--ft_proj_selector={selector} is beyond the projection head of --{start.flag}={start.path}, "
            f"which has {available} layers. Use 0 (the encoder's output) to {available}."
        )
    return selector


def require_classifier(start: StartingPoint) -> None:
    """Raises ConfigError unless the start can tell classes."""
    if not start.architecture.num_classes:
        raise ConfigError(
            f"--{start.flag}={start.path} has no classifier, so it cannot tell classes. "
            "Give the run directory of --mode=finetune, linear_eval, supervised or distill."
        )


def copy_values(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    """Copies the values of ``target``'s variables from those of equal name in ``source``.

    Raises:
        KeyError: ``source`` lacks one.
    """
    values = named_variables(source)
    for name, variable in named_variables(target).items():
        variable.assign(values[name])
