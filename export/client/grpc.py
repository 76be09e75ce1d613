"""A model server's gRPC interface: TF Serving's, or that of ``--mode=serve``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from export.client.answers import Ask
from export.client.retry import TryAgain, with_retries
from tf_simclr.errors import ServerError

PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def ask_grpc(address: str, model: str, timeout: float, retries: int) -> Ask:
    """Returns a function that asks ``model`` at ``address`` (host:port); ``timeout`` in seconds a try."""
    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(address, UNLIMITED))

    def once(request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        try:
            return stub.Predict(request, timeout=timeout)
        except grpc.RpcError as error:
            text = f"grpc://{address} answered {error.code().name}: {error.details()}."
            raise TryAgain(text) if error.code() in PASSING else ServerError(text) from error

    def ask(signature: str, encoded: Sequence[bytes]) -> Mapping[str, np.ndarray]:
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = model, signature
        request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(list(encoded), tf.string))
        response = with_retries(lambda: once(request), retries)
        return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}

    return ask
