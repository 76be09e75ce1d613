"""What a network is, told from names and shapes; nothing is allocated, so that large ones are quick too."""

import dataclasses

import pytest

from export.released.infer import infer_architecture
from export.released.names import NAMINGS, released_variables
from export.released.naming import canonical
from tf_simclr.config import ConfigError, EncoderConfig, HeadConfig
from tf_simclr.model.network import Architecture


def _released(depth, width, sk_ratio=0.0, **encoder):
    return Architecture(
        encoder=EncoderConfig(
            resnet_depth=depth,
            width_multiplier=width,
            sk_ratio=sk_ratio,
            **{"cifar_stem": False, **encoder},
        ),
        head=HeadConfig(),
        head_layers=3,
        num_classes=1000,
    )


SIZES = [(depth, width, sk) for depth in (50, 101, 152) for width in (1, 2) for sk in (0, 1)]
SIMCLR_HEAD = {"head": HeadConfig(num_proj_layers=2), "head_layers": 2}
NO_HEAD = {"head": HeadConfig(proj_head_mode="none"), "head_layers": 0}
NETWORKS = {
    **{f"r{depth}_{width}x_sk{sk}": _released(depth, width, 0.0625 * sk) for depth, width, sk in SIZES},
    "r152_3x_sk1": _released(152, 3, 0.0625),
    "r200_1x_sk1": _released(200, 1, 0.0625),
    **{f"simclrv1_{width}x": dataclasses.replace(_released(50, width), **SIMCLR_HEAD) for width in (1, 2, 4)},
    "no classifier": dataclasses.replace(_released(50, 1), num_classes=0),
    "supervised": dataclasses.replace(_released(50, 1), **NO_HEAD),
    "cifar": dataclasses.replace(_released(18, 1, cifar_stem=True), num_classes=10),
    "cifar, selective kernels": dataclasses.replace(
        _released(50, 0.25, 0.0625, cifar_stem=True), num_classes=10
    ),
    "basic, ResNet-D": _released(34, 0.25, 0.0625),
    "cut head": dataclasses.replace(_released(50, 1), head_layers=1),
    "wide head": dataclasses.replace(
        _released(50, 1), head=HeadConfig(num_proj_layers=4, proj_out_dim=64), head_layers=4
    ),
    "linear head": dataclasses.replace(
        _released(18, 0.5), head=HeadConfig(proj_head_mode="linear", num_proj_layers=1), head_layers=1
    ),
    "classifier on the projection": dataclasses.replace(_released(18, 1), logits_from=3),
    "other sk_ratio": _released(50, 2, 0.125),
}


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("name", NETWORKS)
def test_an_architecture_comes_back_from_its_names_and_shapes(name, naming):
    wanted = NETWORKS[name]
    if name == "linear head" and naming == "key":
        head = HeadConfig(num_proj_layers=1)  # The object graph doesn't tell it from a head of one layer.
        wanted = dataclasses.replace(wanted, head=head)
    assert infer_architecture(shapes_of(wanted, naming), naming) == wanted


def shapes_of(architecture, naming):
    shapes = {row.name(naming): row.shape for row in released_variables(architecture)}
    return {form: shapes[name] for form, name in canonical(shapes, naming).items()}


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("name", ["r50_1x_sk0", "r50_1x_sk1", "cifar"])
def test_one_lost_or_distorted_variable_does_not_change_what_the_network_is(name, naming):
    """So that an error can name it, in place of half of the network."""
    wanted = NETWORKS[name]
    shapes = shapes_of(wanted, naming)
    stem = next(iter(shapes))  # Its own shape tells the stem.
    for changed in list(shapes)[::11]:
        if "head" not in changed:
            fewer = {other: shape for other, shape in shapes.items() if other != changed}
            size = 32 if wanted.encoder.cifar_stem else 224
            assert infer_architecture(fewer, naming, size) == wanted, changed
            distorted = shapes | {changed: (5, *shapes[changed][1:])}
            assert changed == stem or infer_architecture(distorted, naming) == wanted, changed


def test_something_else_is_no_network():
    with pytest.raises(ConfigError, match=r"it is no ResNet of SimCLR: the nearest is ResNet-\d+, of whose"):
        infer_architecture({"base_model/conv2d/kernel": (7, 7, 3, 64)}, "tf1")
