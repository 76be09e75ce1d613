"""What each variable of a network is called in the released files.

The official code exists for TensorFlow 1 and 2, and numbers its layers in the order in
which it makes them; a shortcut comes before the main path of its block. Three namings:

- ``tf1``: TensorFlow 1 checkpoints, ``base_model/conv2d_3/kernel``
- ``tf2``: variable names of TensorFlow 2, ``resnet/.../conv2d_3/kernel``
- ``key``: object graphs of TensorFlow 2 checkpoints, ``resnet_model/block_groups/0/.../conv2d/kernel``
"""

from __future__ import annotations

import collections
import dataclasses

from tf_simclr.config import BASIC_BLOCK_DEPTHS, BLOCKS_OF_DEPTH, EncoderConfig, HeadConfig, scaled_filters
from tf_simclr.model.blocks import BOTTLENECK_EXPANSION
from tf_simclr.model.layers import SK_MIN_DIM
from tf_simclr.model.network import Architecture

NAMINGS = ("tf1", "tf2", "key")
MOMENTS = ("moving_mean", "moving_variance")
Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReleasedVariable:
    """One variable: its name here, its three names there, and its shape."""

    ours: str
    tf1: str
    tf2: str
    key: str
    shape: Shape

    def name(self, naming: str) -> str:
        """Its name in one of ``NAMINGS``."""
        return str(getattr(self, naming))


def released_variables(architecture: Architecture) -> list[ReleasedVariable]:
    """Returns the variables of a network of ``architecture`` in the released code's order.

    Squeeze-and-excitation is in no release and not known here.
    """
    names = _Names()
    _encoder(names, architecture.encoder)
    width = architecture.encoder.feature_dim
    head = architecture.head
    for i in range(architecture.head_layers):
        is_hidden = i + 1 < head.num_layers
        names.head_layer(i, head, width, width if is_hidden else head.proj_out_dim, is_hidden)
    if architecture.num_classes:
        reads_output = architecture.logits_from == head.num_layers > 0
        names.supervised(head.proj_out_dim if reads_output else width, architecture.num_classes)
    return names.rows


class _Names:
    """Collects the rows, and counts the layers of each kind as Keras does."""

    def __init__(self) -> None:
        self.rows: list[ReleasedVariable] = []
        self._counts: collections.Counter[str] = collections.Counter()

    def next(self, kind: str) -> str:
        """``conv2d``, then ``conv2d_1`` and so on."""
        number = self._counts[kind]
        self._counts[kind] += 1
        return f"{kind}_{number}" if number else kind

    def _add(self, ours: str, tf1: str, tf2: str, key: str, shape: Shape) -> None:
        self.rows.append(ReleasedVariable(ours=ours, tf1=tf1, tf2=tf2, key=key, shape=shape))

    def conv(self, ours: str, tf2: str, key: str, shape: Shape, is_bare: bool = False) -> None:
        """A kernel; ``is_bare``: not inside of a layer that pads."""
        padding = "" if is_bare else self.next("conv2d_fixed_padding") + "/"
        layer = self.next("conv2d")
        self._add(
            f"encoder/{ours}/kernel",
            f"base_model/{layer}/kernel",
            f"resnet/{tf2}{padding}{layer}/kernel",
            f"resnet_model/{key}{'' if is_bare else '/conv2d'}/kernel",
            shape,
        )

    def norm(self, ours: str, tf2: str, key: str, channels: int) -> None:
        """The four variables of a batch norm of the encoder."""
        layer = self.next("batch_normalization")
        outer = layer.replace("batch_normalization", "batch_norm_relu")
        for kind in ("gamma", "beta", *MOMENTS):
            self._add(
                f"encoder/{ours}/{kind}",
                f"base_model/{layer}/{kind}",
                f"resnet/{tf2}{outer}/sync_{layer}/{kind}",
                f"resnet_model/{key}/bn/{kind}",
                (channels,),
            )

    def head_layer(self, i: int, head: HeadConfig, inputs: int, outputs: int, is_hidden: bool) -> None:
        """A layer of the projection head: kernel and batch norm; the last has no beta."""
        scope = "l_0" if head.proj_head_mode == "linear" else f"nl_{i}"
        tf1, tf2 = f"head_contrastive/{scope}", f"projection_head/{scope}"
        ours, key = f"projection_head/layer_{i + 1}", f"_projection_head/linear_layers/{i}"
        dense, norm = self.next("dense"), self.next("batch_normalization")
        outer = norm.replace("batch_normalization", "batch_norm_relu")
        self._add(
            f"{ours}/kernel",
            f"{tf1}/dense/kernel",
            f"{tf2}/{dense}/kernel",
            f"{key}/dense/kernel",
            (inputs, outputs),
        )
        for kind in ("gamma", *(("beta",) if is_hidden else ()), *MOMENTS):
            self._add(
                f"{ours}/norm/{kind}",
                f"{tf1}/batch_normalization/{kind}",
                f"{tf2}/{outer}/sync_{norm}/{kind}",
                f"{key}/bn_relu/bn/{kind}",
                (outputs,),
            )

    def supervised(self, inputs: int, classes: int) -> None:
        """The linear classifier."""
        dense = self.next("dense")
        for kind, shape in (("kernel", (inputs, classes)), ("bias", (classes,))):
            self._add(
                f"head_supervised/{kind}",
                f"head_supervised/linear_layer/dense/{kind}",
                f"head_supervised/linear_layer/{dense}/{kind}",
                f"supervised_head/linear_layer/dense/{kind}",
                shape,
            )


def _encoder(names: _Names, config: EncoderConfig) -> None:
    channels = _stem(names, config)
    is_basic = config.resnet_depth in BASIC_BLOCK_DEPTHS
    block = _basic_block if is_basic else _bottleneck_block
    for group, blocks in enumerate(BLOCKS_OF_DEPTH[config.resnet_depth]):
        filters = scaled_filters(64 * 2**group, config.width_multiplier)
        for i in range(blocks):
            ours = f"block_group{group + 1}/block_{i}/"
            kind = names.next("residual_block" if is_basic else "bottleneck_block")
            tf2 = f"block_group{group + 1}/{kind}/"
            key = f"block_groups/{group}/layers/{i}/"
            outputs = filters * (1 if is_basic else BOTTLENECK_EXPANSION)
            if i == 0:
                # Before a ResNet-D shortcut's convolution stand an average pool and, where it strides, a pad.
                place = (1 if group == 0 else 2) if config.sk_ratio else 0
                layers = f"{key}{'shortcut_layers' if is_basic else 'projection_layers'}/"
                names.conv(f"{ours}shortcut/conv", tf2, f"{layers}{place}", (1, 1, channels, outputs))
                names.norm(f"{ours}shortcut/norm", tf2, f"{layers}{place + 1}", outputs)
            block(names, config, (ours, tf2, key), channels, filters)
            channels = outputs


def _stem(names: _Names, config: EncoderConfig) -> int:
    filters = scaled_filters(64, config.width_multiplier)
    sizes: list[tuple[int, int]] = [(3 if config.cifar_stem else 7, filters)]
    if config.sk_ratio and not config.cifar_stem:
        half = max(1, filters // 2)
        sizes = [(3, half), (3, half), (3, filters)]
    channels, place = 3, 0
    for i, (size, outputs) in enumerate(sizes, start=1):
        is_last = i == len(sizes)
        ours = "stem/" if is_last else f"stem/conv_{i}/"
        list_key = "initial_conv_relu_max_pool/"
        names.conv(f"{ours}conv", "", f"{list_key}{place}", (size, size, channels, outputs))
        place += 2 if is_last else 1  # The last convolution's output has a name, by a layer of its own.
        names.norm(f"{ours}norm", "", f"{list_key}{place}", outputs)
        place += 1
        channels = outputs
    return channels


def _basic_block(
    names: _Names, config: EncoderConfig, scopes: tuple[str, str, str], channels: int, filters: int
) -> None:
    del config
    ours, tf2, key = scopes
    for i, inputs in ((1, channels), (2, filters)):
        place = 2 * (i - 1)
        layers = f"{key}conv2d_bn_layers/"
        names.conv(f"{ours}conv_{i}/conv", tf2, f"{layers}{place}", (3, 3, inputs, filters))
        names.norm(f"{ours}conv_{i}/norm", tf2, f"{layers}{place + 1}", filters)


def _bottleneck_block(
    names: _Names, config: EncoderConfig, scopes: tuple[str, str, str], channels: int, filters: int
) -> None:
    ours, tf2, key = scopes
    layers = f"{key}conv_relu_dropblock_layers/"  # Every third layer drops blocks, and has no variable.
    names.conv(f"{ours}conv_1/conv", tf2, f"{layers}0", (1, 1, channels, filters))
    names.norm(f"{ours}conv_1/norm", tf2, f"{layers}1", filters)
    if config.sk_ratio:
        sk = f"{tf2}{names.next('sk__conv2d')}/"
        _selective_kernel(names, config, (f"{ours}selective_kernel/", sk, f"{layers}3/"), filters)
        place = 5
    else:
        names.conv(f"{ours}conv_2/conv", tf2, f"{layers}3", (3, 3, filters, filters))
        names.norm(f"{ours}conv_2/norm", tf2, f"{layers}4", filters)
        place = 6
    outputs = filters * BOTTLENECK_EXPANSION
    names.conv(f"{ours}conv_3/conv", tf2, f"{layers}{place}", (1, 1, filters, outputs))
    names.norm(f"{ours}conv_3/norm", tf2, f"{layers}{place + 1}", outputs)


def _selective_kernel(
    names: _Names, config: EncoderConfig, scopes: tuple[str, str, str], filters: int
) -> None:
    ours, tf2, key = scopes
    narrow = max(int(filters * config.sk_ratio), SK_MIN_DIM)
    names.conv(f"{ours}streams/conv", tf2, f"{key}conv2d_fixed_padding", (3, 3, filters, 2 * filters))
    names.norm(f"{ours}streams/norm", tf2, f"{key}batch_norm_relu", 2 * filters)
    names.conv(f"{ours}reduce/conv", tf2, f"{key}conv2d_0", (1, 1, filters, narrow), is_bare=True)
    names.norm(f"{ours}reduce/norm", tf2, f"{key}batch_norm_relu_1", narrow)
    names.conv(f"{ours}expand", tf2, f"{key}conv2d_1", (1, 1, narrow, 2 * filters), is_bare=True)
