"""Both interfaces over one model, from the first look at its directory to the last answer."""

from __future__ import annotations

import os
import threading
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from export.server.gate import Gate
from export.server.grpc import ModelService, PredictionService
from export.server.model import Model
from export.server.predict import Predictor
from export.server.rest import RestServer
from tf_simclr.config import ConfigError, ServerConfig

HEALTH_NAMES = ("", "tensorflow.serving.PredictionService")
SPARE_THREADS = 16  # for status and health while every other thread waits for its turn
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Server:
    """Serves ``model`` on the ports of ``config``.

    Ports are open at once: until a version is loaded and warmed up, health is
    NOT_SERVING and predictions are UNAVAILABLE.

    Raises:
        ConfigError: a port is taken.
    """

    def __init__(self, model: Model, config: ServerConfig, max_batch_size: int) -> None:
        self._model = model
        self._config = config
        self._gate = Gate(os.cpu_count() or 1, config.max_queue)
        self._stopping, self._ready = threading.Event(), threading.Event()
        predictor = Predictor(model, self._gate, max_batch_size)
        max_bytes = config.max_request_mb * 2**20
        self._health = health.HealthServicer()
        self._set_health(NOT_SERVING)
        threads = (os.cpu_count() or 1) + config.max_queue + SPARE_THREADS
        self._grpc = self._grpc_server(predictor, max_bytes, threads)
        address = f"{config.host}:{config.grpc_port}"
        try:
            self.grpc_port = self._grpc.add_insecure_port(address)
            if not self.grpc_port:
                raise OSError("the port is taken")
        except (RuntimeError, OSError) as error:
            raise ConfigError(
                f"--grpc_port={config.grpc_port} cannot be used on {config.host}: is it taken?"
            ) from error
        try:
            self._rest = RestServer((config.host, config.rest_port), predictor, max_bytes, threads)
        except OSError as error:
            raise ConfigError(
                f"--rest_port={config.rest_port} cannot be used on {config.host}: {error.strerror}."
            ) from error
        self.rest_port = self._rest.server_port

    def start(self) -> None:
        """Begins to answer, and to look for versions."""
        self._grpc.start()
        threading.Thread(target=self._rest.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        threading.Thread(
            target=self._model.watch,
            args=(self._stopping, self._config.poll_seconds, self._looked),
            daemon=True,
        ).start()

    def wait_until_ready(self, seconds: float | None = None) -> bool:
        """Waits for the first version; returns whether it is there."""
        return self._ready.wait(seconds)

    def stop(self) -> bool:
        """Refuses new requests, finishes those that run or wait; returns whether all ended in time."""
        self._stopping.set()
        self._set_health(NOT_SERVING)
        ended = self._gate.close(self._config.drain_seconds)
        self._grpc.stop(grace=1.0).wait()  # The last answers are on their way.
        self._rest.shutdown()
        self._rest.server_close()
        return ended

    def _grpc_server(self, predictor: Predictor, max_bytes: int, threads: int) -> grpc.Server:
        options = [
            ("grpc.max_receive_message_length", max_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # Two servers on one port would share its requests.
        ]
        server = grpc.server(futures.ThreadPoolExecutor(threads), options=options)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(predictor, max_bytes), server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(predictor), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        return server

    def _looked(self) -> None:
        if self._model.number is not None and not self._ready.is_set() and not self._stopping.is_set():
            self._set_health(SERVING)
            self._ready.set()

    def _set_health(self, status: int) -> None:
        for name in HEALTH_NAMES:
            self._health.set(name, status)
