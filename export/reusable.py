"""A network as the callable, trainable object of TF Hub's Reusable SavedModel interface."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_simclr.model.encoder import FEATURES, Encoder
from tf_simclr.model.network import Architecture, SimCLR, build_network, named_variables

IMAGES = tf.TensorSpec([None, None, None, 3], tf.float32, name="images")
PartFunction = Callable[..., Any]  # (tensor, training=False) -> tensor, or a dictionary of tensors


class Part(tf.__internal__.tracking.AutoTrackable):
    """A function of one tensor with the attributes of the Reusable SavedModel interface.

    ``__call__(tensor, training=False)``; ``train_call(tensor)``, the same with training
    fixed to True, which Keras 3's ``TFSMLayer(call_training_endpoint="train_call")``
    asks for; ``variables``; ``trainable_variables``; ``regularization_losses``, empty.
    A tf.Module would lose the lists when saved, a tf.train.Checkpoint add a counter to each part.
    """

    def __init__(
        self,
        call: PartFunction,
        spec: tf.TensorSpec,
        variables: Sequence[tf.Variable],
        trainable_variables: Sequence[tf.Variable],
    ) -> None:
        self.variables = list(variables)
        self.trainable_variables = list(trainable_variables)
        self.regularization_losses: list[PartFunction] = []
        function = self.__call__ = traced(call, spec)

        def train_call(inputs: tf.Tensor) -> Any:
            return function(inputs, training=True)

        self.train_call = tf.function(train_call, autograph=False)
        self.train_call.get_concrete_function(spec)


def traced(call: PartFunction, spec: tf.TensorSpec) -> PartFunction:
    """Returns a tf.function of ``call``, traced for both values of ``training``.

    Saving traces a tf.function anew, and once more for each that calls it; here that
    costs one operation, as ``call`` itself is traced only the once.
    """
    inner = tf.function(call, autograph=False)
    modes = {training: inner.get_concrete_function(spec, training=training) for training in (False, True)}

    @tf.function(autograph=False)
    @functools.wraps(call)  # keeps the name of the first argument
    def function(inputs: tf.Tensor, training: bool = False) -> Any:
        return modes[training](inputs)

    for training in modes:
        function.get_concrete_function(spec, training=training)
    return function


def is_classifier(architecture: Architecture) -> bool:
    """Whether a network's product is its logits; a detached probe's are not."""
    return architecture.num_classes > 0 and not architecture.detach_logits


def trainable_copy(network: SimCLR) -> SimCLR:
    """Returns a network of equal values in which no layer is frozen.

    A frozen layer's batch norm runs in inference mode, and what a finished stage had
    frozen must not bind a later user. The copy's variables are plain ones on the CPU,
    so no function traced from it holds a collective operation of a strategy.

    Raises:
        ValueError: called inside ``strategy.scope()``.
    """
    if tf.distribute.has_strategy():
        raise ValueError("A network is exported outside strategy.scope(). Leave the scope before writing.")
    with tf.device("/cpu:0"):
        copy = build_network(network.architecture)
    values = named_variables(network)
    for name, variable in named_variables(copy).items():
        variable.assign(values[name].numpy())
    return copy


def build_reusable(network: SimCLR) -> Part:
    """Returns the root object of a SavedModel of ``network``, a :func:`trainable_copy`.

    The root and its parts (those that the network has) carry the attributes that
    :class:`Part` lists. Images are float32 [batch, h, w, 3] in [0, 1].

    - root: images → logits [batch, classes] of a classifier, else features [batch, d];
      ``variables`` are all of the network's, ``trainable_variables`` those behind this result
    - ``encoder``: images → features
    - ``projection_head``: features → the last layer's output
    - ``projection_head_layer_k``: the output of layer k - 1 (k = 1: features) → that of layer k
    - ``classifier``: the output of head layer ``logits_from`` (0: features) → logits

    ``endpoints(images, training=False)`` → the network's named activations.
    """
    architecture = network.architecture
    encoder = _encoder_part(network.encoder)
    layers = [_layer_part(layer) for layer in network.projection_head.projection_layers]
    classifier = None if network.classifier is None else _classifier_part(network.classifier)
    used = [encoder]
    if classifier is not None and is_classifier(architecture):
        used += [*layers[: architecture.logits_from], classifier]
    root = Part(
        lambda images, training=False: _through(used, images, training),
        IMAGES,
        network.variables,
        [variable for part in used for variable in part.trainable_variables],
    )
    root.endpoints = traced(_endpoints(architecture, encoder, layers, classifier), IMAGES)
    root.encoder = encoder
    for k, layer in enumerate(layers, start=1):
        setattr(root, f"projection_head_layer_{k}", layer)
    if layers:
        root.projection_head = _head_part(network, layers)
    if classifier is not None:
        root.classifier = classifier
    return root


def build_part(network: SimCLR, name: str) -> Part:
    """Returns one of the parts that :func:`build_reusable` lists, without the rest.

    Raises:
        KeyError: the network has no part of that name.
    """
    builders: dict[str, Callable[[], Part]] = {"encoder": lambda: _encoder_part(network.encoder)}
    layers = network.projection_head.projection_layers
    if layers:
        builders["projection_head"] = lambda: _head_part(network, [_layer_part(layer) for layer in layers])
    for k, layer in enumerate(layers, start=1):
        builders[f"projection_head_layer_{k}"] = functools.partial(_layer_part, layer)
    if network.classifier is not None:
        builders["classifier"] = functools.partial(_classifier_part, network.classifier)
    return builders[name]()


def _encoder_part(encoder: Encoder) -> Part:
    endpoints = traced(lambda images, training=False: encoder(images, training=training), IMAGES)
    part = Part(
        lambda images, training=False: endpoints(images, training=training)[FEATURES],
        IMAGES,
        encoder.variables,
        encoder.trainable_variables,
    )
    part.endpoints = endpoints
    return part


def _layer_part(layer: keras.layers.Layer) -> Part:
    def call(features: tf.Tensor, training: bool = False) -> tf.Tensor:
        return layer(features, training=training)

    return Part(call, _features(layer.kernel.shape[0]), layer.variables, layer.trainable_variables)


def _head_part(network: SimCLR, layers: Sequence[Part]) -> Part:
    def call(features: tf.Tensor, training: bool = False) -> tf.Tensor:
        return _through(layers, features, training)

    head = network.projection_head
    spec = _features(network.architecture.encoder.feature_dim)
    return Part(call, spec, head.variables, head.trainable_variables)


def _classifier_part(classifier: keras.layers.Layer) -> Part:
    def call(features: tf.Tensor, training: bool = False) -> tf.Tensor:
        del training  # A linear layer has one mode; the interface asks for the argument.
        return classifier(features)

    spec = _features(classifier.kernel.shape[0])
    return Part(call, spec, classifier.variables, classifier.trainable_variables)


def _through(parts: Sequence[Part], inputs: tf.Tensor, training: bool) -> tf.Tensor:
    for part in parts:
        inputs = part.__call__(inputs, training=training)
    return inputs


def _endpoints(
    architecture: Architecture, encoder: Part, layers: Sequence[Part], classifier: Part | None
) -> PartFunction:
    """Returns what ``SimCLR.call`` computes, of the parts' traced functions."""

    def call(images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        endpoints = dict(encoder.endpoints(images, training=training))
        hidden = [endpoints[FEATURES]]
        for layer in layers:
            hidden.append(layer.__call__(hidden[-1], training=training))
        if layers:
            endpoints["proj_head_input"], endpoints["proj_head_output"] = hidden[0], hidden[-1]
        if classifier is not None:
            inputs = hidden[architecture.logits_from]
            if architecture.detach_logits:
                inputs = tf.stop_gradient(inputs)
            endpoints["logits_sup"] = classifier.__call__(inputs)
        return endpoints

    return call


def _features(width: int) -> tf.TensorSpec:
    return tf.TensorSpec([None, width], tf.float32, name="features")
