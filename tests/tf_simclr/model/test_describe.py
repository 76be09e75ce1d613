"""Parameters, multiply-adds and memory, against published counts and loops over the layer table."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

from tf_simclr.config import EncoderConfig, HeadConfig
from tf_simclr.model.describe import describe, selective_kernels
from tf_simclr.model.network import Architecture, build_network

PUBLISHED = {  # (depth, width, selective kernels): encoder parameters with moving statistics
    (50, 1, False): 23_561_152,
    (50, 1, True): 35_277_408,
    (50, 2, False): 94_013_312,
    (50, 2, True): 140_428_864,
    (101, 1, False): 42_605_504,
    (101, 1, True): 64_786_144,
    (101, 2, False): 169_981_824,
    (101, 2, True): 257_377_984,
    (152, 1, False): 58_295_232,
    (152, 1, True): 89_119_584,
    (152, 2, False): 232_556_416,
    (152, 2, True): 353_752_896,
    (152, 3, True): 795_235_360,
}
FLOAT_BYTES = 4


def slow_when_deep(key):
    return pytest.param(*key, marks=[pytest.mark.slow] if key[0] > 50 else [])


def encoder_only(**options):
    return Architecture(encoder=EncoderConfig(**options))


def small(**options):
    head = {"head": HeadConfig(), "head_layers": 3, "num_classes": 10, "logits_from": 1}
    return Architecture(encoder=EncoderConfig(resnet_depth=18, width_multiplier=0.25, **options), **head)


@dataclasses.dataclass
class LayerTable:
    """A plain ResNet restated as (kernel, stride, channels in and out, input size) of every convolution."""

    convs: list[tuple[int, int, int, int, int]] = dataclasses.field(default_factory=list)
    kept: int = 0  # elements an image of inputs, ReLU outputs and poolings that the backward pass reads

    def conv(self, kernel, stride, channels_in, channels_out, size):
        self.convs.append((kernel, stride, channels_in, channels_out, size))
        if stride > 1 and kernel > 1:
            self.kept += (size + kernel - 1) ** 2 * channels_in  # the padded copy of the input
        return -(-size // stride)

    def multiply_adds(self):
        total = 0
        for kernel, stride, channels_in, channels_out, size in self.convs:
            total += (-(-size // stride)) ** 2 * kernel * kernel * channels_in * channels_out
        return total

    def parameters(self):
        return sum(k * k * channels_in * out + 4 * out for k, _, channels_in, out, _ in self.convs)

    def activation_bytes(self, batch):
        total = self.kept * batch
        for _, stride, _, out, size in self.convs:
            total += (-(-size // stride)) ** 2 * out * batch  # before normalisation
            total += 2 * out  # the batch's mean and variance
        return total * FLOAT_BYTES


def resnet_50_at(size):
    table = LayerTable()
    size = table.conv(7, 2, 3, 64, size)
    table.kept += size * size * 64  # ReLU
    size = -(-size // 2)
    table.kept += size * size * 64  # max-pool
    channels = 64
    for group, blocks in enumerate([3, 4, 6, 3]):
        inner = 64 * 2**group
        for block in range(blocks):
            stride = 2 if group > 0 and block == 0 else 1
            if block == 0:
                table.conv(1, stride, channels, 4 * inner, size)
            table.conv(1, 1, channels, inner, size)
            table.kept += size * size * inner
            size = table.conv(3, stride, inner, inner, size)
            table.kept += size * size * inner
            table.conv(1, 1, inner, 4 * inner, size)
            table.kept += size * size * 4 * inner
            channels = 4 * inner
    return table


def cifar_resnet_18_at(size):
    table = LayerTable()
    table.kept += size * size * 3  # the image
    table.conv(3, 1, 3, 64, size)
    table.kept += size * size * 64
    channels = 64
    for group in range(4):
        filters = 64 * 2**group
        for block in range(2):
            stride = 2 if group > 0 and block == 0 else 1
            if block == 0:
                table.conv(1, stride, channels, filters, size)
            size = table.conv(3, stride, channels, filters, size)
            table.kept += size * size * filters
            table.conv(3, 1, filters, filters, size)
            table.kept += size * size * filters
            channels = filters
    return table


@pytest.mark.parametrize(("depth", "width", "selective"), [slow_when_deep(key) for key in PUBLISHED])
def test_encoder_has_the_published_number_of_parameters(depth, width, selective):
    architecture = encoder_only(
        resnet_depth=depth, width_multiplier=width, sk_ratio=0.0625 if selective else 0.0, cifar_stem=False
    )
    description = describe(architecture, image_size=224, batch_size=1)
    assert description.part("encoder").parameters == PUBLISHED[depth, width, selective]


@pytest.mark.parametrize(
    ("table", "options", "size"),
    [
        (resnet_50_at, {"resnet_depth": 50}, 224),
        (resnet_50_at, {"resnet_depth": 50}, 97),
        (cifar_resnet_18_at, {"resnet_depth": 18}, 32),
    ],
)
def test_a_plain_resnet_costs_what_its_layer_table_says(table, options, size):
    batch = 6
    description = describe(encoder_only(**options), image_size=size, batch_size=batch)
    expected = table(size)
    assert description.part("encoder").multiply_adds == expected.multiply_adds()
    assert description.part("encoder").parameters == expected.parameters()
    assert description.memory.activations == expected.activation_bytes(batch)


def test_resnet_50_at_224_pixels_takes_about_4_09_billion_multiply_adds():
    assert resnet_50_at(224).multiply_adds() == 4_087_136_256


@pytest.mark.parametrize(
    "options",
    [
        {
            "resnet_depth": 18,
            "cifar_stem": True,
            "sk_ratio": 0.0625,
            "se_ratio": 0.25,
            "width_multiplier": 0.5,
        },
        {"resnet_depth": 50, "cifar_stem": False},
        {"resnet_depth": 50, "cifar_stem": False, "sk_ratio": 0.0625, "width_multiplier": 0.3},
    ],
)
def test_a_built_network_has_the_described_parameters_and_shapes(options):
    architecture = Architecture(
        encoder=EncoderConfig(**options), head=HeadConfig(), head_layers=3, num_classes=7, logits_from=1
    )
    network = build_network(architecture)
    description = describe(architecture, image_size=64, batch_size=2)
    built = {layer.name: layer for layer in (network.encoder.stem, *network.encoder.block_groups)}
    built |= {"projection_head": network.projection_head, "head_supervised": network.classifier}
    built |= {"encoder": network.encoder, "network": network}
    assert [part.name for part in description.parts] == list(built)
    for name, layer in built.items():
        part = description.part(name)
        assert part.parameters == sum(np.prod(v.shape) for v in layer.variables), name
        assert part.trainable_parameters == sum(np.prod(v.shape) for v in layer.trainable_variables), name
    endpoints = network(tf.zeros((1, 64, 64, 3)))
    assert description.part("stem").output_shape == tuple(endpoints["initial_max_pool"].shape[1:])
    assert description.part("block_group3").output_shape == tuple(endpoints["block_group3"].shape[1:])
    assert description.part("projection_head").output_shape == (128,)
    assert description.part("head_supervised").output_shape == (7,)


def test_totals_are_the_sums_of_their_parts():
    description = describe(small(), image_size=32, batch_size=2)
    for field in ("trainable_parameters", "parameters", "multiply_adds"):
        values = [getattr(part, field) for part in description.parts]
        *encoder, head, classifier, encoder_total, network_total = values
        assert encoder_total == sum(encoder)
        assert network_total == encoder_total + head + classifier


def test_heads_multiply_matrices():
    description = describe(small(), image_size=32, batch_size=3, views=2)
    width = 128  # 512 / 4
    assert description.part("projection_head").multiply_adds == 2 * width * width + width * 128
    assert description.part("head_supervised").multiply_adds == width * 10


def test_a_network_without_heads_lists_none():
    description = describe(encoder_only(resnet_depth=18, width_multiplier=0.25), image_size=32, batch_size=2)
    names = [part.name for part in description.parts]
    assert names == ["stem", *(f"block_group{i}" for i in range(1, 5)), "encoder", "network"]


def test_memory_follows_batch_views_and_slots():
    one = describe(small(), image_size=32, batch_size=4).memory
    two = describe(small(), image_size=32, batch_size=2, views=2, optimizer_slots=2).memory
    weights = build_network(small(cifar_stem=True)).trainable_variables
    trainable_bytes = sum(np.prod(v.shape) for v in weights) * FLOAT_BYTES
    assert one.activations == two.activations
    assert one.gradients == one.optimizer_slots == trainable_bytes
    assert two.optimizer_slots == 2 * trainable_bytes
    assert one.total == one.weights + one.gradients + one.optimizer_slots + one.activations


def test_an_undecided_stem_follows_the_image_size():
    assert describe(small(), image_size=32, batch_size=1).architecture.encoder.cifar_stem
    assert not describe(small(), image_size=33, batch_size=1).architecture.encoder.cifar_stem


def test_describing_leaves_earlier_and_later_networks_working():
    # Squeeze-and-excitation makes Keras layers while it is built; Keras models made inside a
    # tf.Graph would turn the classes of all others into those of TensorFlow 1.
    network = build_network(small(cifar_stem=True, se_ratio=0.25))
    images = tf.random.uniform((2, 32, 32, 3))
    expected, ancestors = network(images)["logits_sup"], type(network.encoder).__mro__
    describe(small(se_ratio=0.25), image_size=32, batch_size=1)
    np.testing.assert_array_equal(network(images)["logits_sup"], expected)
    again = build_network(small(cifar_stem=True, se_ratio=0.25))
    assert again(images)["logits_sup"].shape == (2, 10)
    assert type(network.encoder).__mro__ == ancestors


@pytest.mark.parametrize("images", [3, 7])
def test_costs_depend_on_no_detail_of_the_trace(images, monkeypatch):
    architecture = Architecture(
        encoder=EncoderConfig(resnet_depth=50, width_multiplier=0.25, sk_ratio=0.0625, se_ratio=0.25),
        head=HeadConfig(),
        head_layers=3,
        num_classes=10,
    )
    expected = describe(architecture, image_size=32, batch_size=21)
    monkeypatch.setattr("tf_simclr.model.cost.TRACED_IMAGES", images)
    assert describe(architecture, image_size=32, batch_size=21) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "off (sk_ratio 0)"),
        (
            {"sk_ratio": 0.0625, "cifar_stem": False},
            "in every block (sk_ratio 0.0625), with ResNet-D stem and shortcuts",
        ),
        ({"sk_ratio": 0.5, "cifar_stem": True}, "in every block (sk_ratio 0.5), with ResNet-D shortcuts"),
        (
            {"sk_ratio": 0.0625, "resnet_depth": 34, "cifar_stem": False},
            "not in depth 34, whose blocks are basic; sk_ratio 0.0625 switches on only "
            "ResNet-D stem and shortcuts, as in the released networks",
        ),
    ],
)
def test_where_selective_kernels_apply_is_said(options, expected):
    assert selective_kernels(EncoderConfig(**options)) == expected


def test_the_table_names_every_part_and_adds_up():
    description = describe(small(sk_ratio=0.0625), image_size=32, batch_size=8, views=2)
    table = description.table()
    for part in description.parts:
        row = next(line.split() for line in table.splitlines() if line.startswith(part.name + " "))
        assert row[-3:] == [
            f"{n:,}" for n in (part.trainable_parameters, part.parameters, part.multiply_adds)
        ]
    assert re.search(r"^block_group2 +16x16x32 ", table, re.MULTILINE)
    assert "Training memory at batch 8 x 2 views a replica:" in table
    assert "1 multiply-add = 2 FLOPs" in table
    assert "Selective kernels: not in depth 18" in table
    sizes = [float(size.replace(",", "")) for size in re.findall(r" ([\d,.]+) MiB", table)]
    assert sum(sizes[:-1]) == pytest.approx(sizes[-1], abs=0.3)
    assert max(len(line) for line in table.splitlines()) <= 88


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"batch_size": 0}, "batch_size must be 1 or more. Received 0."),
        ({"views": -1}, "views must be 1 or more. Received -1."),
        ({"image_size": 0}, "image_size must be 1 or more. Received 0."),
        ({"optimizer_slots": -2}, "optimizer_slots must be 0 or more. Received -2."),
    ],
)
def test_senseless_numbers_are_refused(numbers, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        describe(small(), **({"image_size": 32, "batch_size": 1} | numbers))
