"""One version of a servable in memory."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from export.audit import audit_saved_model, read_saved_model
from export.servable.warmup import MAX_RECORDS, read_warmup
from export.servable.write import SETTINGS_FILE

DEFAULT_SIGNATURE = "serving_default"
NOT_SIGNATURES = ("__saved_model_init_op", "__saved_model_train_op")

SignatureDefs = dict[str, meta_graph_pb2.SignatureDef]


class Version:
    """Signatures that can be called, and what they take and give.

    ``number``; ``signature_defs``; ``max_batch_size``, the largest that was warmed up, or
    None where the SavedModel doesn't say.
    """

    def __init__(self, number: int, path: str, trusted: bool) -> None:
        audit_saved_model(path, trusted)
        self.number = number
        self.signature_defs = _signature_defs(path)
        self.max_batch_size = _max_batch_size(path)
        self._loaded = tf.saved_model.load(path)  # Its variables live as long as it.
        self._warm_up(path)

    def run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature, by name."""
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        return {k: v.numpy() for k, v in self._loaded.signatures[signature](**tensors).items()}

    def _warm_up(self, path: str) -> None:
        """Replays the warm-up requests; as in TF Serving, one that fails makes the load fail."""
        requests = list(read_warmup(path))
        if len(requests) > MAX_RECORDS:
            raise ValueError(f"There are {len(requests)} warm-up requests; {MAX_RECORDS} are allowed.")
        for request in requests:
            inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
            self.run(request.model_spec.signature_name or DEFAULT_SIGNATURE, inputs)


def _signature_defs(path: str) -> SignatureDefs:
    meta_graph = read_saved_model(path).meta_graphs[0]
    return {k: v for k, v in meta_graph.signature_def.items() if k not in NOT_SIGNATURES}


def _max_batch_size(path: str) -> int | None:
    file = os.path.join(path, SETTINGS_FILE)
    if not tf.io.gfile.exists(file):
        return None
    with tf.io.gfile.GFile(file, "r") as stream:
        settings: Any = json.loads(stream.read())
    return int(settings["max_batch_size"])
