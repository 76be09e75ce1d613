"""Requests that no client would send: each is answered, in time, and says nothing of the server's insides."""

import base64
import http.client
import json
import pathlib

import grpc
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis import predict_pb2

from export.server.model import Model
from export.server.server import Server
from tests.export.server.running_server import by_stubs
from tf_simclr.config import ServerConfig

SECONDS = 30
ANSWERS = {200, 400, 404, 429, 501, 503}
CODES = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"}
FORBIDDEN = ("Traceback", 'File "', ".py", "site-packages", str(pathlib.Path.cwd()))
PREDICT = "/tensorflow.serving.PredictionService/Predict"
bounded = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))

blobs = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF"]).flatmap(
        lambda head: st.binary(max_size=60).map(lambda tail: head + tail)
    ),
)
encoded = blobs.map(lambda data: {"b64": base64.b64encode(data).decode()})
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), encoded),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)
names = st.sampled_from(["image_bytes", "images", "serving_default", "logits", "embed", "", "b64", "x"])
bodies = st.fixed_dictionaries(
    {},
    optional={
        "instances": st.one_of(
            values, st.lists(encoded, max_size=6), st.lists(st.dictionaries(names, values))
        ),
        "inputs": st.one_of(values, st.dictionaries(names, values, max_size=2)),
        "signature_name": st.one_of(names, values),
        "more": values,
    },
)
paths = st.one_of(
    st.just("/v1/models/tiny:predict"),
    st.text("/v1models:tinyprdcersonl.%0123 ", max_size=30).map(lambda text: "/" + text.replace(" ", "%20")),
)
DTYPES = ["string", "float32", "uint8", "int64", "bool", "complex64", "float16"]


@pytest.fixture(scope="module")
def server(servable):
    model = Model("tiny", str(servable.directory / "tiny"))
    server = Server(model, ServerConfig(grpc_port=0, rest_port=0, max_request_mb=1), max_batch_size=4)
    server.start()
    assert server.wait_until_ready(120)
    server.name = "tiny"
    server.channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
    yield server
    server.stop()


def ask(server, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=SECONDS)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def check(status, text):
    assert status in ANSWERS, (status, text)
    answer = json.loads(text)
    assert status == 200 or set(answer) == {"error"}
    assert not any(word in text for word in FORBIDDEN), text


@bounded
@given(body=bodies)
def test_any_json_is_answered(server, body):
    check(*ask(server, "POST", "/v1/models/tiny:predict", json.dumps(body)))


@bounded
@given(method=st.sampled_from(["GET", "POST"]), path=paths, body=st.binary(max_size=60))
def test_any_bytes_on_any_path_are_answered(server, method, path, body):
    check(*ask(server, method, path, body))


@st.composite
def tensors(draw):
    """Whole tensors and such whose shape, type and content do not fit together."""
    proto = tf.make_tensor_proto(draw(st.lists(blobs, max_size=6)), tf.string)
    if draw(st.booleans()):
        shape = draw(st.lists(st.integers(0, 5), max_size=4))
        proto = tf.make_tensor_proto(np.zeros(shape, draw(st.sampled_from(DTYPES[1:]))))
    if draw(st.booleans()):
        proto.dtype = draw(st.integers(0, 60))
    if draw(st.booleans()):
        proto.tensor_shape.dim.add(size=draw(st.integers(-2, 2**62)))
    return proto


@bounded
@given(
    inputs=st.dictionaries(names, tensors(), max_size=2),
    signature=names,
    filters=st.lists(names, max_size=2),
    version=st.one_of(st.none(), st.integers(-1, 3)),
)
def test_any_tensors_are_answered(server, inputs, signature, filters, version):
    request = predict_pb2.PredictRequest(output_filter=filters)
    request.model_spec.name, request.model_spec.signature_name = "tiny", signature
    if version is not None:
        request.model_spec.version.value = version
    for name, tensor in inputs.items():
        request.inputs[name].CopyFrom(tensor)
    code, text = call(server, request.SerializeToString())
    assert code is None or code in CODES, (code, text)


@bounded
@given(message=st.binary(max_size=80))
def test_any_message_is_answered(server, message):
    code, text = call(server, message)
    assert code is None or code in CODES or "deserializing" in text, (code, text)  # gRPC's own answer


def call(server, message):
    """The code and text with which raw bytes to Predict are refused, or (None, "")."""
    try:
        server.channel.unary_unary(PREDICT)(message, timeout=SECONDS)
    except grpc.RpcError as error:
        assert not any(word in error.details() for word in FORBIDDEN), error.details()
        return error.code().name, error.details()
    return None, ""


def test_it_serves_as_before_after_all_of_them(server):
    outputs, version = by_stubs(server, [b"broken"])
    assert version == 1 and outputs["valid"].tolist() == [False]
