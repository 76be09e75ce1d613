"""How the images of a pipeline share this machine's cores: one image a thread, several waiting."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

# A thread waits while a compiled program or a bigger operation runs elsewhere: with one a core, cores idle.
_THREADS_A_CORE = 3
# Images come in order, so others are made while a slow one (all colours change) keeps its place.
_CALLS_A_CORE = 4


def parallel_map(stream: tf.data.Dataset, function: Callable[..., Any]) -> tf.data.Dataset:
    """Returns ``stream.map(function)`` in order, at full speed from the first element on."""
    return stream.map(function, num_parallel_calls=_CALLS_A_CORE * _cores(), deterministic=True)


def own_threads() -> tf.data.ThreadingOptions:
    """Threads of a pipeline, apart from those that the training step computes with."""
    options = tf.data.ThreadingOptions()
    options.private_threadpool_size = _THREADS_A_CORE * _cores()
    options.max_intra_op_parallelism = 1
    return options


def _cores() -> int:
    return os.cpu_count() or 1
