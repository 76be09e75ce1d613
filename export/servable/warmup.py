"""Requests that a server runs before it takes traffic: ``assets.extra/tf_serving_warmup_requests``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

WARMUP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
MAX_RECORDS = 1000  # TF Serving refuses to load a version with more.
SIDE = 16  # px; the graph resizes, so the network sees images of its own size, and the file stays small


def write_warmup(path: str, name: str, signatures: Mapping[str, Any], batch_sizes: Sequence[int]) -> None:
    """Writes one Predict request of every signature and batch size into the SavedModel at ``path``.

    ``signatures``: concrete functions of one input, ``image_bytes`` or ``images``.

    Raises:
        ValueError: there would be more requests than TF Serving takes.
    """
    if len(signatures) * len(batch_sizes) > MAX_RECORDS:
        raise ValueError(
            f"TF Serving takes at most {MAX_RECORDS} warm-up requests. Received {len(signatures)} signatures "
            f"with {len(batch_sizes)} batch sizes."
        )
    file = os.path.join(path, WARMUP_FILE)
    tf.io.gfile.makedirs(os.path.dirname(file))
    with tf.io.TFRecordWriter(file) as writer:
        for log in _logs(name, signatures, batch_sizes):
            writer.write(log.SerializeToString())


def read_warmup(path: str) -> Iterator[Any]:
    """Yields the PredictRequests in the SavedModel at ``path``; none where it has no such file."""
    from tensorflow_serving.apis import prediction_log_pb2

    file = os.path.join(path, WARMUP_FILE)
    if tf.io.gfile.exists(file):
        for record in tf.data.TFRecordDataset(file).as_numpy_iterator():
            yield prediction_log_pb2.PredictionLog.FromString(record).predict_log.request


def _logs(name: str, signatures: Mapping[str, Any], batch_sizes: Sequence[int]) -> Iterator[Any]:
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    one = {
        "image_bytes": tf.io.encode_jpeg(pixels).numpy(),
        "images": (pixels / 255).astype(np.float32),
    }
    for signature_name, function in signatures.items():
        (input_name,) = (spec.name for spec in function.structured_input_signature[0])
        for size in batch_sizes:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature_name
            batch = tf.make_tensor_proto(np.stack([np.array(one[input_name])] * size))
            request.inputs[input_name].CopyFrom(batch)
            yield prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
