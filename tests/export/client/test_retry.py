"""What is tried again, how often, and when it ends."""

import http.server
import json
import threading
from concurrent import futures

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from export.client.grpc import ask_grpc
from export.client.rest import ask_rest
from export.client.retry import LONGEST_WAIT, TryAgain, with_retries
from tf_simclr.errors import ServerError


class Flaky:
    """Raises TryAgain so many times, then answers."""

    def __init__(self, failures):
        self.failures, self.calls = failures, 0

    def __call__(self):
        self.calls += 1
        if self.calls <= self.failures:
            raise TryAgain("The server is busy.")
        return "answer"


def test_waits_are_random_below_a_bound_that_doubles_up_to_ten_seconds(monkeypatch):
    bounds, slept = [], []
    monkeypatch.setattr("random.uniform", lambda low, high: bounds.append((low, high)) or high)
    assert with_retries(Flaky(9), retries=9, sleep=slept.append) == "answer"
    assert bounds == [(0, min(10, 0.1 * 2**i)) for i in range(9)]
    assert slept == [high for _, high in bounds] and LONGEST_WAIT == 10


@pytest.mark.parametrize("retries", [0, 2])
def test_after_the_last_try_the_error_says_what_happened(retries):
    flaky = Flaky(100)
    with pytest.raises(ServerError, match=f"The server is busy. Tried {retries + 1} times"):
        with_retries(flaky, retries, sleep=lambda _: None)
    assert flaky.calls == retries + 1


class FlakyPredictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, codes):
        self.codes = list(codes)

    def Predict(self, request, context):
        if self.codes:
            context.abort(self.codes.pop(0), "planted")
        images = tf.make_ndarray(request.inputs["image_bytes"])
        response = predict_pb2.PredictResponse()
        response.outputs["length"].CopyFrom(tf.make_tensor_proto([len(image) for image in images]))
        return response


@pytest.fixture
def grpc_server(no_waiting):
    """Returns a function from the codes that the first calls end with to an address."""
    servers = []

    def start(*codes):
        server = grpc.server(futures.ThreadPoolExecutor(2))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(FlakyPredictions(codes), server)
        port = server.add_insecure_port("localhost:0")
        server.start()
        servers.append(server)
        return f"localhost:{port}"

    yield start
    for server in servers:
        server.stop(None)


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr("export.client.retry.FIRST_WAIT", 0.0)


def test_grpc_is_tried_again_where_the_server_may_answer_later(grpc_server):
    address = grpc_server(grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    answer = ask_grpc(address, "m", 10.0, retries=2)("embed", [b"abc", b"\0"])
    assert answer["length"].tolist() == [3, 1]


@pytest.mark.parametrize(
    "codes, retries, says",
    [
        ([grpc.StatusCode.UNAVAILABLE] * 3, 2, "UNAVAILABLE: planted. Tried 3 times"),
        ([grpc.StatusCode.NOT_FOUND], 2, "NOT_FOUND: planted.$"),
    ],
)
def test_grpc_gives_up_with_the_servers_words(grpc_server, codes, retries, says):
    ask = ask_grpc(grpc_server(*codes), "m", 10.0, retries)
    with pytest.raises(ServerError, match=says):
        ask("embed", [b"abc"])


def test_nobody_at_the_address_is_told(unused_port):
    with pytest.raises(ServerError, match="UNAVAILABLE"):
        ask_grpc(f"localhost:{unused_port}", "m", 5.0, 0)("embed", [b"a"])
    with pytest.raises(ServerError, match="does not answer"):
        ask_rest(f"http://localhost:{unused_port}", "m", 5.0, 0)("embed", [b"a"])


@pytest.fixture
def unused_port():
    with http.server.HTTPServer(("localhost", 0), http.server.BaseHTTPRequestHandler) as server:
        return server.server_port


@pytest.fixture
def rest_server(no_waiting):
    """Returns a function from a list of (status, body) to a URL; the last one stays."""
    servers = []

    def start(*replies):
        replies = list(replies)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                status, body = replies.pop(0) if len(replies) > 1 else replies[0]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://localhost:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_rest_is_tried_again_where_the_server_may_answer_later(rest_server):
    url = rest_server((503, '{"error": "busy"}'), (504, "late"), (200, '{"outputs": {"length": [3]}}'))
    assert ask_rest(url, "m", 10.0, retries=2)("embed", [b"abc"])["length"].tolist() == [3]


@pytest.mark.parametrize(
    "reply, says",
    [
        ((404, json.dumps({"error": "Servable not found"})), "answered 404: Servable not found.$"),
        ((503, "<html>busy</html>"), "answered 503: <html>busy</html>. Tried 2 times"),
        ((200, "<html>hello</html>"), "not as a model server does"),
        ((200, '{"predictions": []}'), "not as a model server does"),
    ],
)
def test_rest_gives_up_with_the_servers_words(rest_server, reply, says):
    with pytest.raises(ServerError, match=says):
        ask_rest(rest_server(reply), "m", 10.0, retries=1)("embed", [b"abc"])
