"""Batch norm folded into the weights: the same outputs, and none of it left."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from export.servable import folded
from export.servable.folded import folded_copy
from tf_simclr.config import EncoderConfig, HeadConfig
from tf_simclr.model.network import Architecture, build_network

HEAD = HeadConfig(num_proj_layers=2, proj_out_dim=4)
CLASSIFIER = Architecture(
    encoder=EncoderConfig(), head=HEAD, head_layers=2, num_classes=3, logits_from=1
)  # The encoder is replaced by each test.
ENCODERS = {
    "basic_cifar": {"resnet_depth": 18, "cifar_stem": True},
    "bottleneck": {"resnet_depth": 50, "cifar_stem": False},
    "selective_kernels": {"resnet_depth": 50, "sk_ratio": 0.0625, "cifar_stem": False},
    "squeeze_excite": {"resnet_depth": 50, "se_ratio": 0.25, "cifar_stem": True},
}


def network_of(name, fill):
    encoder = EncoderConfig(width_multiplier=0.125, **ENCODERS[name])
    network = build_network(dataclasses.replace(CLASSIFIER, encoder=encoder))
    fill(network)
    return network


@pytest.fixture
def images():
    return np.random.RandomState(5).uniform(size=(2, 32, 32, 3)).astype(np.float32)


@pytest.mark.parametrize("name", ENCODERS)
def test_outputs_are_those_of_the_network(name, fill, images):
    network = network_of(name, fill)
    wanted = network(images)
    found = folded_copy(network)(images)
    assert found.keys() == wanted.keys()
    for endpoint in set(found) - {"initial_conv"}:  # before the norm, so the folding changes it
        scale = np.abs(wanted[endpoint]).max()
        np.testing.assert_allclose(found[endpoint] / scale, wanted[endpoint] / scale, atol=1e-4, rtol=0)


def test_no_batch_norm_and_no_variable_is_left(fill, images):
    copy = folded_copy(network_of("bottleneck", fill))
    function = tf.function(copy, autograph=False).get_concrete_function(tf.TensorSpec([None, None, None, 3]))
    operations = {operation.type for operation in function.graph.get_operations()}
    assert not {name for name in operations if "BatchNorm" in name or "Variable" in name}
    assert {"Conv2D", "BiasAdd", "Relu"} <= operations


def test_weights_too_large_for_a_graph_stay_variables(fill, images, monkeypatch):
    network = network_of("basic_cifar", fill)
    monkeypatch.setattr(folded, "MAX_CONSTANT_BYTES", 1000)
    copy = folded_copy(network)
    assert copy.variables
    logits = copy(images)["logits_sup"]
    np.testing.assert_allclose(logits, network(images)["logits_sup"], atol=1e-4)


def test_the_network_is_left_as_it_was(fill, images):
    network = network_of("selective_kernels", fill)
    before = network(images)["logits_sup"].numpy()
    folded_copy(network)
    np.testing.assert_array_equal(network(images)["logits_sup"], before)
