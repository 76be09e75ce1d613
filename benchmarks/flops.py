"""Floating-point operations of a traced function, counted from its graph."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

FLOPS_PER_MULTIPLY_ADD = 2
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# Position, among an operation's inputs, of the tensor as large as the convolution's output.
_BACKPROP_OUTPUT = 2


def flops(function: Any, *arguments: Any) -> int:
    """Returns those of the convolutions and matrix products that one call does, backward pass included.

    ``function``: a ``tf.function``; the shapes of its tensors must be static. Products
    with padding count; what is neither convolution nor matrix product does not.
    """
    return FLOPS_PER_MULTIPLY_ADD * _of_graph(function.get_concrete_function(*arguments).graph)


def _of_graph(graph: Any) -> int:
    return sum(_multiply_adds(operation) for operation in graph.get_operations())


def _multiply_adds(operation: tf.Operation) -> int:
    if operation.type in CALLS:
        called = operation.graph._get_function(operation.get_attr("f").name)
        return _of_graph(called.graph)
    inputs, output = operation.inputs, operation.outputs[0] if operation.outputs else None
    if operation.type == "Conv2D":
        return _elements(output) * _products(inputs[1])
    if operation.type == "Conv2DBackpropInput":
        return _elements(inputs[_BACKPROP_OUTPUT]) * _products(inputs[1])
    if operation.type == "Conv2DBackpropFilter":
        return _elements(inputs[_BACKPROP_OUTPUT]) * _products(output)
    if operation.type == "MatMul":
        return _elements(output) * inputs[0].shape[0 if operation.get_attr("transpose_a") else 1]
    return 0


def _elements(tensor: tf.Tensor) -> int:
    return math.prod(tensor.shape.as_list())


def _products(kernel: tf.Tensor) -> int:
    """Returns the multiply-adds of one output value of a kernel [h, w, in, out]."""
    return math.prod(kernel.shape.as_list()[:3])
