"""The released names, against the golden files and against this project's own networks."""

import math

import pytest

from export.released.names import released_variables
from tests import golden_network
from tf_simclr.config import EncoderConfig, HeadConfig
from tf_simclr.model.network import Architecture, build_network, named_variables
from tf_simclr.model.unallocated import unallocated


@pytest.mark.parametrize("name", golden_network.NETWORKS)
def test_names_and_shapes_are_those_of_the_official_code(name):
    golden, rows = golden_network.description(name), released_variables(golden_network.architecture(name))
    official = {entry: tuple(shape) for entry, shape, _ in golden["variables"]}
    assert {f"{row.tf2}:0": row.shape for row in rows} == official
    if "tf1_variables" in golden:  # In creation order.
        assert [(row.tf1, list(row.shape)) for row in rows] == [
            (entry, shape) for entry, shape, _ in golden["tf1_variables"]
        ]


def test_paths_in_the_object_graph_follow_the_official_attributes():
    keys = {
        row.ours: row.key for row in released_variables(golden_network.architecture("resnet50_1x_sk1_64px"))
    }
    assert (
        keys["encoder/stem/conv_1/conv/kernel"] == "resnet_model/initial_conv_relu_max_pool/0/conv2d/kernel"
    )
    # conv, norm, conv, norm, conv, the layer called initial_conv, norm
    assert keys["encoder/stem/norm/beta"] == "resnet_model/initial_conv_relu_max_pool/6/bn/beta"
    block = "resnet_model/block_groups/2/layers/0"
    ours = "encoder/block_group3/block_0"
    # pad, pool, conv, norm
    assert keys[f"{ours}/shortcut/conv/kernel"] == f"{block}/projection_layers/2/conv2d/kernel"
    # conv, norm, drop, selective kernel, drop, conv, norm, drop
    main = f"{block}/conv_relu_dropblock_layers"
    assert (
        keys[f"{ours}/selective_kernel/streams/conv/kernel"] == f"{main}/3/conv2d_fixed_padding/conv2d/kernel"
    )
    assert keys[f"{ours}/selective_kernel/reduce/norm/gamma"] == f"{main}/3/batch_norm_relu_1/bn/gamma"
    assert keys[f"{ours}/selective_kernel/expand/kernel"] == f"{main}/3/conv2d_1/kernel"
    assert keys[f"{ours}/conv_3/norm/moving_mean"] == f"{main}/6/bn/moving_mean"
    assert keys["projection_head/layer_2/norm/gamma"] == "_projection_head/linear_layers/1/bn_relu/bn/gamma"
    assert keys["head_supervised/bias"] == "supervised_head/linear_layer/dense/bias"


ARCHITECTURES = {
    "basic, ResNet-D": Architecture(
        encoder=EncoderConfig(resnet_depth=18, width_multiplier=0.25, sk_ratio=0.0625, cifar_stem=False)
    ),
    "basic, CIFAR stem, linear head": Architecture(
        encoder=EncoderConfig(resnet_depth=34, width_multiplier=0.5, cifar_stem=True),
        head=HeadConfig(proj_head_mode="linear", proj_out_dim=16),
        head_layers=1,
        num_classes=5,
        logits_from=1,
    ),
    "bottleneck, selective kernels, CIFAR stem, cut head": Architecture(
        encoder=EncoderConfig(resnet_depth=50, width_multiplier=0.25, sk_ratio=0.25, cifar_stem=True),
        head=HeadConfig(),
        head_layers=1,
        num_classes=3,
        logits_from=1,
    ),
    "bottleneck, odd width": Architecture(
        encoder=EncoderConfig(resnet_depth=50, width_multiplier=0.3, cifar_stem=False),
        head=HeadConfig(num_proj_layers=2, proj_out_dim=8),
        head_layers=2,
    ),
}


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_every_variable_of_our_network_has_a_row_of_its_shape(architecture):
    rows = released_variables(architecture)
    with unallocated():
        variables = named_variables(build_network(architecture))
    assert {row.ours: row.shape for row in rows} == {
        name: tuple(variable.shape) for name, variable in variables.items()
    }
    for naming in ("tf1", "tf2", "key"):
        assert len({row.name(naming) for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("depth", "width", "sk_ratio", "millions"),  # of the official code, without and with moving statistics
    [
        (50, 1, 0, (23.508, 23.561)),
        (50, 2, 0.0625, (140.306, 140.429)),
        (101, 1, 0, (42.500, 42.606)),
        (152, 1, 0.0625, (88.941, 89.120)),
    ],
)
def test_the_rows_of_an_encoder_hold_the_published_number_of_parameters(depth, width, sk_ratio, millions):
    encoder = EncoderConfig(resnet_depth=depth, width_multiplier=width, sk_ratio=sk_ratio, cifar_stem=False)
    rows = released_variables(Architecture(encoder=encoder))
    counts = [(math.prod(row.shape), "/moving_" in row.ours) for row in rows]
    trained = sum(count for count, is_moving in counts if not is_moving)
    assert (round(trained / 1e6, 3), round(sum(count for count, _ in counts) / 1e6, 3)) == millions
