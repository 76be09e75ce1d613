"""``--mode=serve``: a model server for laptops and tests."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from export.info import STAGE_FILE
from export.locate import SAVED_MODEL_FILE
from export.servable.write import write_servable
from export.server.model import Model
from export.server.server import Server
from export.start import open_start
from tf_simclr.config import ConfigError, RunConfig
from tf_simclr.files.whole import numbered


def serve(config: RunConfig, start: None = None) -> None:
    """Serves ``config.checkpoint`` until SIGTERM or SIGINT, then finishes what is in flight.

    Prints one line when it is ready.

    Raises:
        ConfigError: there is nothing to serve, or a port is taken.
    """
    del start  # It looks at the directory by itself: a servable isn't the stage that it was made of.
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _servable(config) as (name, directory):
        model = Model(name, directory, trusted=config.export.trust_saved_model)
        server = Server(model, config.server, config.servable.max_batch_size)
        server.start()
        _announce(server, model, config, stop)
        stop.wait()
        logging.info("Stopping: finishing what is in flight.")
        if not server.stop():
            logging.warning("Requests were cut off after --drain_seconds=%s.", config.server.drain_seconds)


@contextlib.contextmanager
def _servable(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Yields the model's name and the directory of its versions; a run is exported for the time being."""
    path = config.checkpoint or ""
    if _is_servable_directory(path):
        for name in sorted(config.given & {"top_k", "max_image_pixels"}):
            logging.warning("--%s changes nothing: --checkpoint=%s was exported with its own.", name, path)
        named = config.servable.export_name if "export_name" in config.given else None
        yield named or os.path.basename(os.path.normpath(path)), path
        return
    start = open_start(path, "checkpoint", config.export.trust_saved_model)
    logging.info("--checkpoint=%s: exporting %s for this server.", path, start.path)
    with tempfile.TemporaryDirectory(prefix="tf_simclr-") as directory:
        write_servable(start.path, directory, config.servable)
        yield config.servable.export_name, os.path.join(directory, config.servable.export_name)


def _is_servable_directory(path: str) -> bool:
    """Whether its numbered folders are SavedModels, and not those of a stage."""
    versions = [os.path.join(path, name) for name in numbered(path)]
    return any(
        tf.io.gfile.exists(os.path.join(version, SAVED_MODEL_FILE))
        and not tf.io.gfile.exists(os.path.join(version, STAGE_FILE))
        for version in versions
    )


def _announce(server: Server, model: Model, config: RunConfig, stop: threading.Event) -> None:
    """Waits for the first version and prints where it answers."""
    while not server.wait_until_ready(0.1) and not stop.is_set():
        states = model.states()
        if states and all(state.error for state in states.values()):
            server.stop()
            raise ConfigError(
                f"No version in --checkpoint={config.checkpoint} can be loaded; the log above says why. "
                "Export it again: `python run.py --mode=export --export_kind=serving`."
            )
    if not stop.is_set():
        host = config.server.host
        where = f"grpc://{host}:{server.grpc_port} http://{host}:{server.rest_port}"
        print(f"serving {model.name} version {model.number}: {where}", flush=True)
