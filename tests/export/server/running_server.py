"""A server process, started as a user starts it, and clients made of other people's parts alone."""

import base64
import json
import pathlib
import re
import select
import signal
import subprocess
import sys
import time

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

ROOT = pathlib.Path(__file__).parents[3]
READY = re.compile(r"serving (\S+) version (\d+): grpc://(\S+) http://(\S+)\n")
START_SECONDS = 180


class RunningServer:
    """``--mode=serve`` in a process of its own."""

    def __init__(self, checkpoint, *flags):
        command = [sys.executable, "run.py", "--mode=serve", f"--checkpoint={checkpoint}", *flags]
        self.process = subprocess.Popen(
            [*command, "--grpc_port=0", "--rest_port=0"],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.name, self.version, self.grpc, self.rest = self._wait().groups()
        self.channel = grpc.insecure_channel(self.grpc)

    def _wait(self):
        readable, _, _ = select.select([self.process.stdout], [], [], START_SECONDS)
        line = self.process.stdout.readline() if readable else ""
        match = READY.fullmatch(line)
        if match is None:
            self.process.kill()
            raise AssertionError(f"not ready: {line!r} {self.process.communicate()}")
        return match

    def stop(self):
        """Returns the exit status and what was logged."""
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=60)
        return self.process.returncode, log


def by_stubs(server, images, signature="", timeout=60):
    """The outputs for encoded images, by nothing but the stubs of tensorflow-serving-api."""
    stub = prediction_service_pb2_grpc.PredictionServiceStub(server.channel)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = server.name
    request.model_spec.signature_name = signature
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(images, tf.string))
    response = stub.Predict(request, timeout=timeout)
    outputs = {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}
    return outputs, response.model_spec.version.value


def curl(url, body=None):
    """The status and the JSON of an answer, by nothing but curl."""
    data = [] if body is None else ["--data-binary", "@-"]
    finished = subprocess.run(
        ["curl", "-s", "-w", "\n%{http_code}", *data, url],
        input=body, capture_output=True, text=True, check=True,
    )  # fmt: skip
    text, _, status = finished.stdout.rpartition("\n")
    return int(status), json.loads(text)


def instances(images, **more):
    return json.dumps({"instances": [{"b64": base64.b64encode(image).decode()} for image in images], **more})


def wait_for(condition, seconds=60):
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
