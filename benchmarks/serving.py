"""Answers of ``run.py --mode=serve`` over gRPC and REST to one client and to many at once."""

from __future__ import annotations

import contextlib
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures

import numpy as np
import tensorflow as tf

from benchmarks import steps
from benchmarks.measure import Found, Row, alternate, seconds_of
from export.client.grpc import ask_grpc
from export.client.rest import ask_rest
from export.servable.write import write_servable
from export.stage import write_stage
from tf_simclr.config import ServableConfig

ROOT = pathlib.Path(__file__).parents[1]
NETWORK = ("--resnet_depth=18",)
SIZE = 32  # px
CLIENTS = (1, 8, 64)
REQUESTS = 256
SIGNATURE = "serving_default"
NAME = "simclr"
TIMEOUT, RETRIES = 120.0, 8
READY = re.compile(rf"serving {NAME} version \d+: (grpc://\S+) (http://\S+)")

Call = Callable[[], object]


def run(
    *, network: tuple[str, ...] = NETWORK, clients: Sequence[int] = CLIENTS, requests: int = REQUESTS
) -> Found:
    """Measures requests of one JPEG image each; client and server share the machine."""
    image = tf.io.encode_jpeg(steps.noise(size=SIZE, count=1)[0]).numpy()
    with tempfile.TemporaryDirectory() as folder:
        servable = _servable(network, folder)
        alone = alternate({"alone": _directly(servable, image)}, repeats=requests // 4)["alone"]
        with serving(str(pathlib.Path(servable).parent)) as (grpc, rest):
            asking = {
                "gRPC": ask_grpc(grpc.removeprefix("grpc://"), NAME, TIMEOUT, RETRIES),
                "REST": ask_rest(rest, NAME, TIMEOUT, RETRIES),
            }
            rows = [
                _row(kind, count, lambda ask=ask: ask(SIGNATURE, [image]), requests, alone)  # type: ignore[misc]
                for kind, ask in asking.items()
                for count in clients
            ]
    return Found(rows=rows)


def _servable(network: tuple[str, ...], folder: str) -> str:
    trained = steps.supervised_stage(*network, size=SIZE, batch=1).network
    stage = write_stage(trained, steps.stage_info(trained, SIZE), f"{folder}/stage")
    return write_servable(stage, folder, ServableConfig())


def _directly(servable: str, image: bytes) -> Call:
    loaded = tf.saved_model.load(servable)
    batch = tf.constant([image])
    return lambda: loaded.signatures[SIGNATURE](image_bytes=batch)


@contextlib.contextmanager
def serving(directory: str) -> Iterator[tuple[str, str]]:
    """Runs a server of the versions in ``directory``; yields the addresses of gRPC and REST.

    Raises:
        RuntimeError: it ended before it was ready.
    """
    command = ["run.py", "--mode=serve", f"--checkpoint={directory}", "--grpc_port=0", "--rest_port=0"]
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        found = next((ready for line in process.stdout or () if (ready := READY.match(line))), None)
        if found is None:
            raise RuntimeError(f"python {' '.join(command)} ended before it was ready; run it to see why.")
        yield found[1], found[2]
    finally:
        process.terminate()
        process.wait()


def _row(kind: str, clients: int, request: Call, requests: int, alone: float) -> Row:
    latencies, seconds = _ask(request, clients, requests)
    p99 = float(np.percentile(latencies, 99))
    return Row(
        work=f"{kind}, {clients} client{'s' if clients > 1 else ''}, ResNet-18, {SIZE} px",
        value=requests / seconds,
        unit="images/s",
        yardstick="the servable in one process",
        yardstick_value=1 / alone,
        note=f"latency: median {1e3 * statistics.median(latencies):.0f} ms, "
        f"99 of 100 below {1e3 * p99:.0f} ms",
    )


def _ask(request: Call, clients: int, requests: int) -> tuple[list[float], float]:
    """Returns the seconds of every request of ``clients`` threads, and of all together."""
    request()
    start = threading.Barrier(clients + 1)

    def client() -> list[float]:
        start.wait()
        return [seconds_of(request) for _ in range(requests // clients)]

    with futures.ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(client) for _ in range(clients)]
        start.wait()
        begun = time.perf_counter()
        latencies = [seconds for future in running for seconds in future.result()]
        return latencies, time.perf_counter() - begun
