"""The signatures of a stage's SavedModel, for TF Serving and for ``tf.saved_model.load``."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from export.reusable import IMAGES, Part, PartFunction, is_classifier
from tf_simclr.model.network import Architecture


def build_signatures(root: Part, architecture: Architecture) -> dict[str, Any]:
    """Returns the signatures of ``build_reusable``'s root: images → a dictionary, in inference mode.

    ``images``: float32 [batch, h, w, 3] in [0, 1]; any batch and image size.

    - ``serving_default``: of a classifier as of :func:`_predictions`, else as ``embed``
    - ``embed``: ``features``, float32 [batch, d]
    - ``logits`` (with a classifier or probe): ``logits``, float32 [batch, classes]
    - ``project`` (with a projection head): ``projection``, float32 [batch, p], the last layer's output
    """

    def embed(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": root.encoder.__call__(images)}

    def classify(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return _predictions(root.__call__(images))

    def logits(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": root.endpoints(images)["logits_sup"]}

    def project(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"projection": root.projection_head.__call__(root.encoder.__call__(images))}

    functions: dict[str, PartFunction] = {"embed": embed}
    functions["serving_default"] = classify if is_classifier(architecture) else embed
    if architecture.num_classes:
        functions["logits"] = logits
    if architecture.head_layers:
        functions["project"] = project
    return {
        name: tf.function(call, autograph=False).get_concrete_function(IMAGES)
        for name, call in functions.items()
    }


def _predictions(logits: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns logits and probabilities [batch, classes] and classes, int64 [batch], the likeliest's."""
    return {
        "logits": logits,
        "probabilities": tf.nn.softmax(logits),
        "classes": tf.argmax(logits, axis=-1, output_type=tf.int64),
    }
