"""Batches of a tf.data service in the order of their numbers, and an end to waiting for lost ones.

A data worker that dies takes the batches with it that it was making. A service without workers, or without
its dispatcher, gives nothing and says nothing.
"""

from __future__ import annotations

import contextlib
import queue
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from absl import logging

from tf_simclr.config import ConfigError
from tf_simclr.data.auto_cache import SHARE, free_memory
from tf_simclr.errors import WorkerLostError, first_line

MIN_WAITING, MAX_WAITING = 8, 124  # batches that may wait for an earlier one, which a slow worker has
PATIENCE = 60  # s that the earlier one is given, once half as many wait
NOTICE, SILENCE = 30, 600  # s without any batch: until a line says so, and until the run ends

_TRANSIENT = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
_FORGOTTEN = re.compile("Failed to get (split|tasks)")  # by a dispatcher that was started anew
_AGAIN = "Start the same command again; it goes on from the last checkpoint."


def in_order(numbered: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the batches of ``numbered``, elements (number int64 [], batch), from number 0 on.

    Raises, when it is iterated within :func:`explained`:
        WorkerLostError: a batch did not come.
        ConfigError: a batch cannot be made.
    """

    def ordered() -> Iterator[Any]:
        waiting: dict[int, Any] = {}
        turn = most = 0
        for number, batch in _arriving(numbered):
            waiting[int(number)] = batch
            most = most or most_waiting(batch)
            while turn in waiting:
                yield waiting.pop(turn)
                turn += 1
            if len(waiting) > most:
                raise WorkerLostError(
                    f"The tf.data service lost batch {turn}, for which {most} others have waited: one of its "
                    f"workers ended. {_AGAIN}"
                )
            if len(waiting) > most // 2:
                time.sleep(PATIENCE / (most - most // 2))

    spec = numbered.element_spec[1]
    return tf.data.Dataset.from_generator(ordered, output_signature=spec).prefetch(tf.data.AUTOTUNE)


def most_waiting(batch: Any) -> int:
    """How many batches like ``batch`` may wait: a quarter of the free memory, within bounds."""
    size = sum(tensor.dtype.size * tensor.shape.num_elements() for tensor in tf.nest.flatten(batch))
    return min(MAX_WAITING, max(MIN_WAITING, int(SHARE * free_memory() / size)))


def _arriving(stream: tf.data.Dataset) -> Iterator[Any]:
    """Yields the elements of ``stream``, which a thread reads. Raises WorkerLostError when none comes."""
    arrived: queue.Queue[Any] = queue.Queue(maxsize=1)
    end, is_left = object(), threading.Event()

    def read() -> None:
        try:
            for element in stream:
                arrived.put(element)
                if is_left.is_set():
                    return
            arrived.put(end)
        except Exception as error:
            arrived.put(error)

    threading.Thread(target=read, daemon=True).start()
    try:
        while (element := _next(arrived)) is not end:
            if isinstance(element, Exception):
                raise _reason(element) from element
            yield element
    finally:
        is_left.set()
        with contextlib.suppress(queue.Empty):
            arrived.get_nowait()


def _next(arrived: queue.Queue[Any]) -> Any:
    """Returns what comes next; raises WorkerLostError after SILENCE seconds."""
    for waited in range(NOTICE, SILENCE + 1, NOTICE):
        try:
            return arrived.get(timeout=NOTICE)
        except queue.Empty:
            logging.warning(
                "The tf.data service has given no batch for %d s. Do its dispatcher and a worker run?", waited
            )
    raise WorkerLostError(
        f"The tf.data service has given no batch for {SILENCE} s: its dispatcher or all of its workers "
        "ended. Start these again, the dispatcher first, and then the same command; it goes on from the last "
        "checkpoint."
    )


def _reason(error: Exception) -> Exception:
    """What a user shall read of an error that the service passed on."""
    said = plain_reason(error)
    if isinstance(error, _TRANSIENT) or _FORGOTTEN.search(said):
        return WorkerLostError(f"The dispatcher of the tf.data service ended ({said}). {_AGAIN}")
    return ConfigError(
        f"The workers of --data_service cannot make a batch ({said}). They need the TensorFlow of this "
        "machine in the same version, and must see the images under the same path."
    )


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turns what TensorFlow makes of an error in a stream of :func:`in_order` into that error again."""
    try:
        yield
    except tf.errors.OpError as error:
        found = re.search(r"(WorkerLostError|ConfigError): (.*)", str(error))
        if found is None:
            raise
        kind = WorkerLostError if found[1] == "WorkerLostError" else ConfigError
        raise kind(found[2]) from error


def plain_reason(error: Exception) -> str:
    """The first line of TensorFlow's text, without the names of its operations."""
    return re.sub(r"\{\{.*?\}\} |:? *\[Op:.*", "", first_line(error))
