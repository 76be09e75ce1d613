"""What a servable answers: four signatures over one folded network."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import tensorflow as tf

from export.info import StageInfo
from export.reusable import IMAGES, is_classifier
from export.servable.folded import folded_copy
from export.servable.images import decode_batch, prepare_batch
from tf_simclr.config import ServableConfig
from tf_simclr.model.encoder import FEATURES
from tf_simclr.model.network import SimCLR

ENCODED = tf.TensorSpec([None], tf.string, name="image_bytes")
ALL_SIGNATURES = ("serving_default", "images", "embed", "logits")
NO_CLASS = -1  # index of an image without an answer; its name is ""

Answers = dict[str, tf.Tensor]
Answer = Callable[[tf.Tensor, tf.Tensor], Answers]
Prepare = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class Servable(NamedTuple):
    """Concrete functions by the names of their signatures, and the variables that they read."""

    signatures: dict[str, Any]
    variables: tuple[tf.Variable, ...]  # none, but of a network too large for constants


def build_servable(
    network: SimCLR, info: StageInfo, config: ServableConfig, names: Collection[str] = ALL_SIGNATURES
) -> Servable:
    """Returns the signatures of a servable of ``network``, those in ``names`` that it has.

    Inputs: ``image_bytes``, string [batch], or ``images``, float32 [batch, h, w, 3] in
    [0, 1]; both are cropped and resized as evaluation does. Every output has the
    batch in front, and ``valid``, bool [batch], says which images could be read; the
    others' values are 0, their class -1 and "".

    - ``serving_default``: ``image_bytes`` → of a classifier the likeliest k classes, likeliest
      first: ``class_indices`` int64, ``class_names`` string and ``probabilities`` float32, each
      [batch, k]; without a classifier as ``embed``
    - ``images``: ``images`` → the same
    - ``embed``: ``image_bytes`` → ``features``, float32 [batch, d]
    - ``logits`` (of a classifier): ``image_bytes`` → ``logits``, float32 [batch, classes]

    Raises:
        ValueError: called inside ``strategy.scope()``.
    """
    folded = folded_copy(network)  # held until the end: functions hold their variables weakly
    run = _network_function(folded, info.image_size)
    answers = _answers(info, config.top_k)
    answers["images"] = answers["serving_default"]
    signatures = {
        name: _signature(*_preparation(name, info.image_size, config.max_image_pixels), run, answer)
        for name, answer in answers.items()
        if name in names
    }
    return Servable(signatures, tuple(run.variables))


def _preparation(name: str, size: int, max_pixels: int) -> tuple[Prepare, tf.TensorSpec]:
    """Returns what makes images and valid of a signature's input, and the input."""
    if name == "images":
        return lambda images: prepare_batch(images, size), IMAGES
    return lambda encoded: decode_batch(encoded, size, max_pixels), ENCODED


def _signature(prepare: Prepare, spec: tf.TensorSpec, run: Any, answer: Answer) -> Any:
    def call(inputs: tf.Tensor) -> Answers:
        images, valid = prepare(inputs)
        return _blank_invalid(answer(*run(images)), valid)

    return tf.function(call, autograph=False).get_concrete_function(spec)


def _answers(info: StageInfo, k: int) -> dict[str, Answer]:
    """Returns, by signature, the functions (features, logits) → outputs."""

    def embed(features: tf.Tensor, logits: tf.Tensor) -> Answers:
        del logits
        return {"features": features}

    def raw(features: tf.Tensor, logits: tf.Tensor) -> Answers:
        del features
        return {"logits": logits}

    if not is_classifier(info.architecture):
        return {"serving_default": embed, "embed": embed}
    return {"serving_default": _top_k(info, k), "embed": embed, "logits": raw}


def _network_function(folded: SimCLR, size: int) -> Any:
    """Returns images [batch, size, size, 3] → (features, logits); traced once, to hold its weights once."""
    classifies = is_classifier(folded.architecture)

    def call(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        endpoints = folded(images, training=False)
        features = endpoints[FEATURES]
        return features, endpoints["logits_sup"] if classifies else tf.zeros([tf.shape(images)[0], 0])

    spec = tf.TensorSpec([None, size, size, 3], tf.float32)
    return tf.function(call, autograph=False).get_concrete_function(spec)


def _top_k(info: StageInfo, k: int) -> Answer:
    classes = info.architecture.num_classes
    names = info.class_names or tuple(str(i) for i in range(classes))

    def answer(features: tf.Tensor, logits: tf.Tensor) -> Answers:
        del features
        probabilities, indices = tf.math.top_k(tf.nn.softmax(logits), min(k, classes))
        return {
            "class_indices": tf.cast(indices, tf.int64),
            "class_names": tf.gather(tf.constant(names), indices),
            "probabilities": probabilities,
        }

    return answer


def _blank_invalid(answers: Answers, valid: tf.Tensor) -> Answers:
    blanks: dict[str, Any] = {"class_indices": NO_CLASS, "class_names": ""}

    def blank(name: str, values: tf.Tensor) -> tf.Tensor:
        return tf.where(valid[:, tf.newaxis], values, tf.cast(blanks.get(name, 0), values.dtype))

    return {name: blank(name, values) for name, values in answers.items()} | {"valid": valid}
