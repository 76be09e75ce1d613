"""What a training step costs, read from its graph: multiply-adds, and tensors kept for the backward pass."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import tensorflow as tf
import tf_keras as keras

from tf_simclr.model.encoder import FEATURES
from tf_simclr.model.unallocated import unallocated

TRACED_IMAGES = 2  # costs are linear in the batch, and a large one overflows TensorFlow's int32 sizes
RESULTS = ("proj_head_output", "logits_sup")  # what a loss reads; without these, the features

# Outputs that share their input's memory wherever the number of elements stays the same:
# a pad by nothing, or a slice of everything, copies nothing either.
ALIASES = frozenset(
    ("ExpandDims", "Identity", "Pad", "Reshape", "Snapshot", "Squeeze", "StopGradient", "StridedSlice")
)
PARAMETERS = frozenset(("Const", "ReadVariableOp", "VarHandleOp"))  # there anyway, not made by the step
SHAPE_ONLY = frozenset(("Rank", "Shape", "ShapeN", "Size", "ZerosLike"))  # need no values, only a shape
RESERVE = ("FusedBatchNormV3", 5)  # workspace of cuDNN; its size is the kernel's own business


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trace:
    """A forward and backward pass of ``images`` images, as a graph that never runs."""

    images: int
    endpoints: Mapping[str, tf.Tensor]
    forward: Sequence[tf.Operation]
    gradients: Sequence[tf.Tensor]  # of the trainable variables that have one


def trace_training(network: keras.Model, image_size: int) -> Trace:
    """Traces a network that has no variables yet; those it gets then hold no memory.

    ``network`` maps images [batch, ``image_size``, ``image_size``, 3] to named tensors.
    """
    with unallocated() as graph:
        images = tf.compat.v1.placeholder(tf.float32, (TRACED_IMAGES, image_size, image_size, 3))
        endpoints = _call_without_autograph(network, images)
        forward = graph.get_operations()
        results = [endpoints[name] for name in RESULTS if name in endpoints] or [endpoints[FEATURES]]
        gradients = tf.gradients(results, network.trainable_variables)
    return Trace(
        images=TRACED_IMAGES,
        endpoints=endpoints,
        forward=forward,
        gradients=[gradient for gradient in gradients if gradient is not None],
    )


@tf.autograph.experimental.do_not_convert  # Keras would convert every layer, in five times the time.
def _call_without_autograph(network: keras.Model, images: tf.Tensor) -> dict[str, tf.Tensor]:
    return network(images, training=True)


def multiply_adds(operation: tf.Operation) -> int:
    """Multiply-adds of one operation for the whole batch; 0 for all but Conv2D and MatMul.

    Conv2D: out_h · out_w · k_h · k_w · c_in · c_out an image, products with padding
    included. MatMul: rows · inner · columns.

    Raises:
        ValueError: a shape is not static.
    """
    if operation.type == "Conv2D":
        kernel = operation.inputs[1].shape  # [k_h, k_w, c_in, c_out]
        return _elements(operation.outputs[0]) * math.prod(kernel[:3].as_list())
    if operation.type == "MatMul":
        inner = operation.inputs[0].shape[0 if operation.get_attr("transpose_a") else 1]
        return _elements(operation.outputs[0]) * inner
    return 0


def kept_for_backward(gradients: Iterable[tf.Tensor], forward: Iterable[tf.Operation]) -> list[tf.Tensor]:
    """Tensors of the ``forward`` operations that the computation of ``gradients`` reads.

    TensorFlow frees a tensor after its last reader, so these are what a training step
    holds when the backward pass begins. Of tensors that share memory only one is
    listed; variables and constants are not.

    Raises:
        ValueError: the shape of a tensor that may share memory is not static.
    """
    names = {operation.name for operation in forward}
    kept: dict[str, tf.Tensor] = {}
    seen: set[str] = set()
    waiting = [gradient.op for gradient in gradients]
    while waiting:
        operation = waiting.pop()
        if operation.name in seen or operation.name in names or operation.type in SHAPE_ONLY:
            continue
        seen.add(operation.name)
        for tensor in operation.inputs:
            waiting.append(tensor.op)
            if tensor.op.name in names and not _is_left_out(source := _owner_of_memory(tensor)):
                kept[source.name] = source
    return list(kept.values())


def _owner_of_memory(tensor: tf.Tensor) -> tf.Tensor:
    while tensor.op.type in ALIASES and _elements(tensor) == _elements(tensor.op.inputs[0]):
        tensor = tensor.op.inputs[0]
    return tensor


def _is_left_out(tensor: tf.Tensor) -> bool:
    return tensor.op.type in PARAMETERS or (tensor.op.type, tensor.value_index) == RESERVE


def _elements(tensor: tf.Tensor) -> int:
    elements = tensor.shape.num_elements()
    if elements is None:
        raise ValueError(
            f"The shape of {tensor.name} must be static. Received {tensor.shape}. "
            "Trace the network with a fixed batch and image size."
        )
    return int(elements)
