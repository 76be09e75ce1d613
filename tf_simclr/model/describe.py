"""What a network has, needs and computes, told without allocating it (``--mode=describe``)."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Sequence

import tensorflow as tf
import tf_keras as keras

from tf_simclr.config import BASIC_BLOCK_DEPTHS, EncoderConfig
from tf_simclr.model.cost import Trace, kept_for_backward, multiply_adds, trace_training
from tf_simclr.model.encoder import BLOCK_GROUPS, FEATURES
from tf_simclr.model.network import Architecture, SimCLR

OUTPUT_OF_PART = {
    "stem": "initial_max_pool",
    **{name: name for name in BLOCK_GROUPS},
    "projection_head": "proj_head_output",
    "head_supervised": "logits_sup",
}
TABLE_WIDTH = 82  # characters


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a network, or a total of several."""

    name: str
    output_shape: tuple[int, ...]  # of one image; () for the total of all
    trainable_parameters: int
    parameters: int  # with the moving statistics
    multiply_adds: int  # of one image; one multiply-add is 2 FLOPs


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingMemory:
    """Bytes that one training step holds on one replica."""

    weights: int  # with the moving statistics
    gradients: int
    optimizer_slots: int
    activations: int  # kept from the forward for the backward pass

    @property
    def total(self) -> int:
        """All of them, in bytes."""
        return self.weights + self.gradients + self.optimizer_slots + self.activations


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """What :func:`describe` found. ``parts`` end with the totals ``encoder`` and ``network``."""

    architecture: Architecture
    image_size: int
    batch_size: int
    views: int
    parts: tuple[Part, ...]
    memory: TrainingMemory

    def part(self, name: str) -> Part:
        """Returns the part of that name.

        Raises:
            KeyError: the network has no such part.
        """
        return {part.name: part for part in self.parts}[name]

    def table(self) -> str:
        """Returns the description as plain text for a terminal."""
        return "\n".join((*_heading(self), "", *_part_lines(self.parts), "", *_memory_lines(self), ""))


def describe(
    architecture: Architecture, *, image_size: int, batch_size: int, views: int = 1, optimizer_slots: int = 1
) -> Description:
    """Returns parameters, multiply-adds and training memory of a network, without allocating weights.

    The real network is traced into a graph that never runs; its initialisers still draw
    seeds, so set the random seed afterwards. Images are ``image_size``
    px squares; a step takes ``batch_size`` images of ``views`` views each on one
    replica, and trains everything. A stem that is not decided follows the image size.

    Multiply-adds are those of the convolutions and matrix products of a forward pass
    of one image (one view); element by element work (norms, ReLUs, pooling) is left
    out. One multiply-add is 2 FLOPs.

    Memory counts float32 weights with their moving statistics, a gradient and
    ``optimizer_slots`` slots for every trainable variable, and the activations that
    the gradient operations read. Left out: the workspace of convolutions, gradients of
    activations (a few layers' at a time), the loss (its similarities are
    (views · batch)² · 4 bytes), the momentum network and queue, and the input pipeline.
    A training step on a CPU was measured at 1.1 to 1.3 times the total, and at 1.4 to
    1.7 times with oneDNN, which holds workspaces of its own.

    Raises:
        ValueError: a number is less than 1 (``optimizer_slots``: less than 0).
    """
    numbers = {"image_size": image_size, "batch_size": batch_size, "views": views}
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"{name} must be 1 or more. Received {value}.")
    if optimizer_slots < 0:
        raise ValueError(f"optimizer_slots must be 0 or more. Received {optimizer_slots}.")
    architecture = dataclasses.replace(architecture, encoder=architecture.encoder.with_stem_for(image_size))
    network = SimCLR(architecture)
    trace = trace_training(network, image_size)
    return Description(
        architecture=architecture,
        **numbers,
        parts=_parts(network, trace),
        memory=_memory(network, trace, batch_size * views, optimizer_slots),
    )


def _parts(network: SimCLR, trace: Trace) -> tuple[Part, ...]:
    encoder = network.encoder
    layers = [encoder.stem, *encoder.block_groups, network.projection_head, network.classifier]
    shapes = {name: tuple(tensor.shape[1:].as_list()) for name, tensor in trace.endpoints.items()}
    rows = [(layer, OUTPUT_OF_PART[layer.name]) for layer in layers if layer is not None]
    parts = [_part(layer, shapes[output], trace) for layer, output in rows if output in shapes]
    return (*parts, _part(encoder, shapes[FEATURES], trace), _part(network, (), trace))


def _part(layer: keras.layers.Layer, output_shape: tuple[int, ...], trace: Trace) -> Part:
    inside = [op for op in trace.forward if layer.name in op.name.split("/")]
    return Part(
        name="network" if isinstance(layer, SimCLR) else layer.name,
        output_shape=output_shape,
        trainable_parameters=_elements(layer.trainable_variables),
        parameters=_elements(layer.variables),
        multiply_adds=sum(multiply_adds(op) for op in inside) // trace.images,
    )


def _memory(network: SimCLR, trace: Trace, images: int, optimizer_slots: int) -> TrainingMemory:
    gradients = _elements(network.trainable_variables) * tf.float32.size
    kept = kept_for_backward(trace.gradients, trace.forward)
    # Without an axis of images it is a statistic of the batch.
    fixed = sum(_bytes(tensor) for tensor in kept if tensor.shape.rank < 2)
    growing = sum(_bytes(tensor) for tensor in kept if tensor.shape.rank >= 2)
    return TrainingMemory(
        weights=_elements(network.variables) * tf.float32.size,
        gradients=gradients,
        optimizer_slots=gradients * optimizer_slots,
        activations=fixed + growing // trace.images * images,
    )


def _bytes(tensor: tf.Tensor) -> int:
    return tensor.shape.num_elements() * tensor.dtype.size


def _elements(variables: Sequence[tf.Variable]) -> int:
    return sum(variable.shape.num_elements() for variable in variables)


def selective_kernels(encoder: EncoderConfig) -> str:
    """Returns a sentence on where ``sk_ratio`` takes effect in this encoder."""
    if not encoder.sk_ratio:
        return "off (sk_ratio 0)"
    resnet_d = "ResNet-D shortcuts" if encoder.cifar_stem else "ResNet-D stem and shortcuts"
    if encoder.resnet_depth in BASIC_BLOCK_DEPTHS:
        return (
            f"not in depth {encoder.resnet_depth}, whose blocks are basic; sk_ratio {encoder.sk_ratio:g} "
            f"switches on only {resnet_d}, as in the released networks"
        )
    return f"in every block (sk_ratio {encoder.sk_ratio:g}), with {resnet_d}"


def _heading(description: Description) -> list[str]:
    encoder = description.architecture.encoder
    size = description.image_size
    return [
        f"ResNet-{encoder.resnet_depth} {encoder.width_multiplier:g}x, images {size}x{size}x3",
        *textwrap.wrap(f"Selective kernels: {selective_kernels(encoder)}.", TABLE_WIDTH),
    ]


def _part_lines(parts: Sequence[Part]) -> list[str]:
    row = "{:<17}{:>14}{:>15}{:>18}{:>18}".format
    lines = [row("part", "output", "trainable", "with statistics", "multiply-adds")]
    for part in parts:
        shape = "x".join(str(length) for length in part.output_shape)
        counts = (part.trainable_parameters, part.parameters, part.multiply_adds)
        lines.append(row(part.name, shape, *(f"{count:,}" for count in counts)))
    return [
        *lines,
        "Multiply-adds: convolutions and matrix products of one image in a forward pass.",
        "1 multiply-add = 2 FLOPs.",
    ]


def _memory_lines(description: Description) -> list[str]:
    memory = description.memory
    rows = dataclasses.asdict(memory) | {"total": memory.total}
    views = "" if description.views == 1 else f" x {description.views} views"
    return [
        f"Training memory at batch {description.batch_size}{views} a replica:",
        *(f"  {name.replace('_', ' '):<16}{size / 2**20:>14,.1f} MiB" for name, size in rows.items()),
        "Left out: workspace of convolutions, loss, momentum network, queue, input pipeline.",
    ]
