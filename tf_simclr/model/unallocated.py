"""Networks whose variables hold no memory: to read names, shapes and costs of what would not fit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf


@contextlib.contextmanager
def unallocated() -> Iterator[tf.Graph]:
    """Yields a graph that never runs; variables made inside have a name, shape and dtype and no value.

    Not a ``tf.Graph`` itself: Keras turns every layer class that is used inside one into its
    TensorFlow 1 form, which breaks each model of that class made before.
    """
    variables = tf.Graph()

    def create_handle_only(next_creator: Callable[..., tf.Variable], **options: Any) -> tf.Variable:
        scope = tf.get_current_name_scope()
        with variables.as_default(), tf.name_scope(f"{scope}/" if scope else ""):
            return next_creator(**options)

    graph = tf.__internal__.FuncGraph("unallocated")
    with tf.variable_creator_scope(create_handle_only), graph.as_default():
        yield graph
