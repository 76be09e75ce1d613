"""Several processes in one run: who writes where, and that all stand at the same step."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator

import tensorflow as tf

from tf_simclr.config import ConfigError
from tf_simclr.errors import WorkerLostError, first_line
from tf_simclr.train.checkpoint import resumed_from

# What a run goes on from, besides its checkpoints.
CONTINUED = ("config.json", "metrics.jsonl", "image_checks.json")
CHECKPOINTS = "checkpoints"


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes: the only one, or the first of several workers."""
    return bool(strategy.extended.should_checkpoint)


def has_workers(strategy: tf.distribute.Strategy) -> bool:
    """Whether several processes share the run."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def own_directory(model_dir: str, strategy: tf.distribute.Strategy, *, overwrite: bool = False) -> str:
    """Returns the run directory of this process: the chief's is ``model_dir``.

    Saving a checkpoint takes part of all workers, so another worker writes everything too,
    into a temporary folder that ends with the process. It begins with copies from ``model_dir``
    (unless ``overwrite``), so that all decide alike; the chief waits until they are made.
    """
    if is_chief(strategy):
        path = model_dir
    else:
        path = tempfile.mkdtemp(prefix="tf_simclr-worker-")
        atexit.register(shutil.rmtree, path, ignore_errors=True)
        if not overwrite:
            _copy_run(model_dir, path)
    _gathered(strategy, 0)
    return path


def _copy_run(source: str, target: str) -> None:
    checkpoints = resumed_from(os.path.join(source, CHECKPOINTS))
    os.makedirs(os.path.join(target, CHECKPOINTS))
    for name in (*CONTINUED, *(os.path.join(CHECKPOINTS, one) for one in checkpoints)):
        _copy(os.path.join(source, name), os.path.join(target, name))


def _copy(source: str, target: str) -> None:
    if not tf.io.gfile.exists(source):
        return
    if not tf.io.gfile.isdir(source):
        tf.io.gfile.copy(source, target)
        return
    os.makedirs(target)
    for name in tf.io.gfile.listdir(source):
        _copy(os.path.join(source, name), os.path.join(target, name.rstrip("/")))


def require_same_step(strategy: tf.distribute.Strategy, step: int) -> None:
    """Compares the steps from which the workers go on.

    Raises:
        ConfigError: they differ, so the workers do not see the same files.
    """
    steps = _gathered(strategy, step)
    if len(set(steps)) > 1:
        raise ConfigError(
            f"The workers go on from different steps: {steps}. --model_dir must be one folder that all of "
            "them see, such as a network file system or a bucket."
        )


def agreement(strategy: tf.distribute.Strategy) -> Callable[[bool], bool]:
    """Returns a function from this worker's answer to that of all: whether one of them says yes."""
    if not has_workers(strategy):
        return bool
    exchange = _exchange(strategy)
    return lambda answer: any(exchange(int(answer)))


@contextlib.contextmanager
def noticing_lost_workers(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns what TensorFlow reports when another worker is gone into WorkerLostError."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError) as error:
        if not has_workers(strategy):
            raise
        raise WorkerLostError(
            "Another worker of this run is gone or does not answer. End all of them and start each again "
            "with its command: they go on from the last checkpoint. "
            f"TensorFlow says: {first_line(error)}"
        ) from error


def _gathered(strategy: tf.distribute.Strategy, number: int) -> list[int]:
    """Returns the number of every replica; waits for all workers."""
    return _exchange(strategy)(number) if strategy.num_replicas_in_sync > 1 else [number]


def _exchange(strategy: tf.distribute.Strategy) -> Callable[[int], list[int]]:
    def gather(number: tf.Tensor) -> tf.Tensor:
        return tf.distribute.get_replica_context().all_gather(number[tf.newaxis], axis=0)

    @tf.function(autograph=False)
    def everywhere(number: tf.Tensor) -> tf.Tensor:
        return strategy.run(gather, args=(number,))

    def exchange(number: int) -> list[int]:
        gathered = everywhere(tf.constant(number, tf.int64))
        return [int(one) for one in strategy.experimental_local_results(gathered)[0].numpy()]

    return exchange
