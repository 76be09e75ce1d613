"""The gRPC side: PredictionService, ModelService and the standard health service."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from absl import logging
from google.protobuf.message import Message
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from export.server.predict import Predictor
from export.server.refusal import Refusal, invalid
from export.server.version import DEFAULT_SIGNATURE

POINTER_BYTES = 8  # of a string in an array, wherever the string itself lies
SIGNATURE_FIELD = "signature_def"


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; the other methods answer UNIMPLEMENTED."""

    def __init__(self, predictor: Predictor, max_tensor_bytes: int) -> None:
        self._predictor = predictor
        self._max_tensor_bytes = max_tensor_bytes

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Message:
        """Runs one signature; ``output_filter`` chooses among its outputs."""
        with _refusing(context):
            spec = request.model_spec
            inputs = {k: self._array(k, v) for k, v in request.inputs.items()}
            with self._predictor.version(spec.name, asked_version(spec)) as version:
                outputs = self._predictor.predict(
                    version, spec.signature_name, inputs, context.time_remaining()
                )
            response = predict_pb2.PredictResponse()
            response.model_spec.name = spec.name
            response.model_spec.version.value = version.number
            response.model_spec.signature_name = spec.signature_name or DEFAULT_SIGNATURE
            for name in _filtered(outputs, list(request.output_filter)):
                response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
            return response
        raise AssertionError  # context.abort has raised.

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Message:
        """Returns the signatures; ``signature_def`` is the only field that there is."""
        with _refusing(context):
            if list(request.metadata_field) != [SIGNATURE_FIELD]:
                raise invalid(f"metadata_field must be {SIGNATURE_FIELD}.")
            with self._predictor.version(
                request.model_spec.name, asked_version(request.model_spec)
            ) as version:
                response = get_model_metadata_pb2.GetModelMetadataResponse()
                response.model_spec.name = request.model_spec.name
                response.model_spec.version.value = version.number
                signatures = get_model_metadata_pb2.SignatureDefMap()
                for name, signature in version.signature_defs.items():
                    signatures.signature_def[name].CopyFrom(signature)
                response.metadata[SIGNATURE_FIELD].Pack(signatures)
                return response
        raise AssertionError

    def _array(self, name: str, proto: Any) -> np.ndarray:
        """A few bytes can describe a huge tensor of one repeated value, so its size is looked at before."""
        sizes = [dim.size for dim in proto.tensor_shape.dim]
        try:
            dtype = tf.as_dtype(proto.dtype)
            size = math.prod(sizes) * (POINTER_BYTES if dtype == tf.string else dtype.size)
            if min(sizes, default=0) < 0 or size > self._max_tensor_bytes:
                raise invalid(f"Input {name} is larger than {self._max_tensor_bytes} bytes.")
            return tf.make_ndarray(proto)
        except (TypeError, ValueError, KeyError, IndexError) as error:
            raise invalid(f"Input {name} is no whole tensor.") from error


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus; reloading a configuration is UNIMPLEMENTED, as there is one model."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Message:
        """Returns the states of the versions seen so far, or of the one asked for."""
        with _refusing(context):
            self._predictor.check_name(request.model_spec.name)
            asked = asked_version(request.model_spec)
            response = get_model_status_pb2.GetModelStatusResponse()
            for number, state in self._predictor.model.states().items():
                if asked in (None, number):
                    status = response.model_version_status.add(version=number, state=state.state)
                    status.status.error_code = 2 if state.error else 0  # UNKNOWN, OK
                    status.status.error_message = state.error
            if not response.model_version_status:
                raise Refusal("NOT_FOUND", f"Could not find any versions of model {request.model_spec.name}")
            return response
        raise AssertionError


def asked_version(spec: Any) -> int | None:
    """Returns the version of a ModelSpec; labels are refused, as nothing gives versions labels here."""
    if spec.WhichOneof("version_choice") == "version_label":
        raise invalid(f"Unrecognized servable version label: {spec.version_label}")
    return spec.version.value if spec.HasField("version") else None


def _filtered(outputs: dict[str, np.ndarray], names: list[str]) -> list[str]:
    unknown = sorted(set(names) - set(outputs))
    if unknown:
        raise invalid(
            f"output tensor alias not found in signature: {unknown[0]}. Outputs expected to be in the set "
            f"{{{','.join(sorted(outputs))}}}."
        )
    return names or list(outputs)


@contextlib.contextmanager
def _refusing(context: grpc.ServicerContext) -> Iterator[None]:
    """Turns a Refusal into a status, and anything else into INTERNAL without a word of what it was."""
    try:
        yield
    except Refusal as refusal:
        context.abort(getattr(grpc.StatusCode, refusal.code), str(refusal))
    except Exception:
        logging.exception("A request failed.")
        context.abort(grpc.StatusCode.INTERNAL, "The request failed; the server's log says why.")
