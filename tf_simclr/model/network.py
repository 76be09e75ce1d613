"""The network of every stage: encoder, projection head, linear classifier."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_simclr.config import EncoderConfig, HeadConfig
from tf_simclr.model.encoder import ENCODER_ENDPOINTS, FEATURES, Encoder
from tf_simclr.model.heads import LinearClassifier, ProjectionHead

NO_HEAD = HeadConfig(proj_head_mode="none")
ENDPOINTS = (*ENCODER_ENDPOINTS, "proj_head_input", "proj_head_output", "logits_sup")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Architecture:
    """What a network is made of; a SavedModel carries it as JSON.

    ``head_layers`` of the head described by ``head`` are there. ``num_classes`` 0
    means no linear classifier; otherwise it reads the output of head layer
    ``logits_from`` (0 = the encoder), without passing a gradient back if
    ``detach_logits`` (the online probe of pretraining).
    """

    encoder: EncoderConfig
    head: HeadConfig = NO_HEAD
    head_layers: int = 0
    num_classes: int = 0
    logits_from: int = 0
    detach_logits: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.head_layers <= self.head.num_layers:
            raise ValueError(
                f"head_layers must be in 0..{self.head.num_layers}. Received {self.head_layers}."
            )
        if not 0 <= self.logits_from <= self.head_layers:
            raise ValueError(f"logits_from must be in 0..{self.head_layers}. Received {self.logits_from}.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Architecture:
        """Inverse of ``dataclasses.asdict``.

        Raises:
            TypeError: a field is unknown or missing.
        """
        parts = {"encoder": EncoderConfig(**values["encoder"]), "head": HeadConfig(**values["head"])}
        return cls(**(dict(values) | parts))


class SimCLR(keras.Model):
    """Encoder, projection head and linear classifier of one :class:`Architecture`.

    Images float [batch, h, w, 3] in [0, 1] → dictionary of the activations in
    ``ENDPOINTS`` that the architecture has.
    """

    def __init__(
        self, architecture: Architecture | Mapping[str, Any], zero_init_logits: bool = False
    ) -> None:
        super().__init__(name="simclr")
        if not isinstance(architecture, Architecture):
            architecture = Architecture.from_dict(architecture)
        self.architecture = architecture
        self.zero_init_logits = zero_init_logits
        self.encoder = Encoder(**dataclasses.asdict(architecture.encoder))
        self.projection_head = ProjectionHead(
            **dataclasses.asdict(architecture.head),
            keep_layers=architecture.head_layers,
            batch_norm_decay=architecture.encoder.batch_norm_decay,
            global_bn=architecture.encoder.global_bn,
            name="projection_head",
            dtype="float32",  # Heads are small, and what losses compare is float32.
        )
        self.classifier = (
            LinearClassifier(
                architecture.num_classes, zero_init_logits, name="head_supervised", dtype="float32"
            )
            if architecture.num_classes
            else None
        )

    def call(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Returns the named activations."""
        endpoints = dict(self.encoder(images, training=training))
        hidden = self.projection_head(endpoints[FEATURES], training=training)
        if len(hidden) > 1:
            endpoints["proj_head_input"] = hidden[0]
            endpoints["proj_head_output"] = hidden[-1]
        if self.classifier is not None:
            inputs = hidden[self.architecture.logits_from]
            if self.architecture.detach_logits:
                inputs = tf.stop_gradient(inputs)
            endpoints["logits_sup"] = self.classifier(inputs)
        return endpoints

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument."""
        return {
            "architecture": dataclasses.asdict(self.architecture),
            "zero_init_logits": self.zero_init_logits,
        }


def build_network(architecture: Architecture, *, zero_init_logits: bool = False) -> SimCLR:
    """Returns a network with its variables created."""
    network = SimCLR(architecture, zero_init_logits)
    # AutoGraph finds nothing to convert in the layers, and takes ten times as long to look as they to build.
    tf.autograph.experimental.do_not_convert(network.build)((None, None, None, 3))
    return network


def projection(endpoints: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Returns what the contrastive loss compares: the head's output, or the features without a head."""
    return endpoints.get("proj_head_output", endpoints[FEATURES])


def named_variables(layer: keras.layers.Layer) -> dict[str, tf.Variable]:
    """Returns the variables by name, such as ``encoder/block_group1/block_0/conv_1/kernel``.

    Raises:
        ValueError: two variables share a name.
    """
    named: dict[str, tf.Variable] = {}
    for variable in layer.variables:
        name = variable.name.removesuffix(":0")
        if name in named:
            raise ValueError(
                f"Two variables are called {name}; names of layers must be unique in their parent."
            )
        named[name] = variable
    return named
