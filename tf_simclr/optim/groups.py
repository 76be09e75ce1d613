"""Which variables the optimizer treats differently, chosen by layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf
import tf_keras as keras


class ParameterGroups(NamedTuple):
    """Trainable variables that are treated unlike the others (official LARS exclusions)."""

    no_decay: frozenset[str]  # names: batch norm, biases, everything in the supervised head
    no_adaptation: frozenset[str]  # names: the same, they step with the raw learning rate
    head_kernels: list[tf.Variable]  # supervised head without its biases
    decayed_in_loss: list[tf.Variable]  # everything but batch norm, for optimizers without decay of their own


def parameter_groups(
    network: keras.layers.Layer, supervised_head: keras.layers.Layer | None = None
) -> ParameterGroups:
    """Groups the trainable variables of a built network and its supervised head.

    Batch norm is a ``keras.layers.BatchNormalization`` or a layer whose class says
    ``is_batch_norm = True``; a bias is what a layer holds as ``bias``. Layers, not name
    patterns, decide, so a renamed layer keeps its treatment. ``supervised_head`` may be
    part of ``network`` or stand beside it.

    Raises:
        ValueError: ``network`` has no trainable variables, or one name belongs both to
            an excluded variable and to another (optimizers go by name).
    """
    head_variables = supervised_head.trainable_variables if supervised_head is not None else []
    variables = _unique([*network.trainable_variables, *head_variables])
    if not variables:
        raise ValueError(
            f"The network {network.name!r} has no trainable variables. "
            "Build it by calling it on a batch of images, and leave some layers trainable."
        )
    layers = [*_layers(network), *(_layers(supervised_head) if supervised_head is not None else [])]
    norm_ids = {id(v) for layer in layers if is_batch_norm(layer) for v in layer.trainable_variables}
    bias_ids = {id(layer.bias) for layer in layers if getattr(layer, "bias", None) is not None}
    excluded_ids = norm_ids | bias_ids | {id(v) for v in head_variables}
    excluded = frozenset(v.name for v in variables if id(v) in excluded_ids)
    _require_distinct(excluded, [v.name for v in variables if id(v) not in excluded_ids])
    return ParameterGroups(
        no_decay=excluded,
        no_adaptation=excluded,
        head_kernels=[v for v in head_variables if id(v) not in norm_ids | bias_ids],
        decayed_in_loss=[v for v in variables if id(v) not in norm_ids],
    )


def is_batch_norm(layer: keras.layers.Layer) -> bool:
    """Whether a layer is batch normalisation, Keras's or this project's."""
    return (
        isinstance(layer, keras.layers.BatchNormalization) or getattr(layer, "is_batch_norm", False) is True
    )


def _layers(root: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """Yields a layer and all layers inside it."""
    yield root
    for module in root.submodules:
        if isinstance(module, keras.layers.Layer):
            yield module


def _unique(variables: list[tf.Variable]) -> list[tf.Variable]:
    """Returns the variables without repetitions, in their first order."""
    return list({id(variable): variable for variable in variables}.values())


def _require_distinct(excluded: frozenset[str], others: list[str]) -> None:
    shared = sorted(excluded.intersection(others))
    if shared:
        raise ValueError(
            f"{len(shared)} names belong both to a variable without weight decay and to one with it: "
            f"{', '.join(shared[:5])}. Give the layers that hold them different names."
        )
