import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from export.reusable import trainable_copy
from export.stage import load_stage, write_stage
from tf_simclr.model.network import named_variables

KINDS = ("pretrain", "pretrain_with_probe", "finetune_from_0", "linear_eval_from_1", "finetune_from_2")


@pytest.mark.parametrize("kind", KINDS)
def test_a_reloaded_network_equals_the_written_one(written, images, kind):
    stage = written(kind)
    network, info = load_stage(stage.path)
    assert info == stage.info
    expected, actual = named_variables(stage.network), named_variables(network)
    assert set(actual) == set(expected)
    for name, variable in expected.items():
        np.testing.assert_array_equal(actual[name].numpy(), variable.numpy(), err_msg=name)
    endpoints = network(images)
    for name, value in stage.network(images).items():
        np.testing.assert_allclose(endpoints[name], value, rtol=0, atol=1e-5, err_msg=name)


def test_writing_leaves_the_live_network_frozen_and_a_reloaded_one_is_not(written):
    stage = written("linear_eval_from_1")
    assert len(stage.network.trainable_variables) == 2
    network, _ = load_stage(stage.path)
    stored = sum("/moving_" in name for name in named_variables(network))
    assert len(network.trainable_variables) == len(network.variables) - stored


def test_a_network_is_loaded_into_the_variables_of_a_strategy_and_copied_out_of_them(written):
    stage = written("pretrain_with_probe")
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        network, _ = load_stage(stage.path)
    copy = named_variables(trainable_copy(network))
    for name, variable in named_variables(stage.network).items():
        for replica in named_variables(network)[name].values:
            np.testing.assert_array_equal(replica.numpy(), variable.numpy(), err_msg=name)
        np.testing.assert_array_equal(copy[name].numpy(), variable.numpy(), err_msg=name)
        assert not hasattr(copy[name], "values")


def test_writing_inside_a_strategy_scope_is_refused(written, tmp_path):
    stage = written("pretrain")
    with (
        tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope(),
        pytest.raises(ValueError, match=r"outside strategy\.scope\(\). Leave the scope before writing"),
    ):
        write_stage(stage.network, stage.info, str(tmp_path))


def test_a_description_of_another_network_is_refused(written, tmp_path):
    stage = written("pretrain")
    other = dataclasses.replace(stage.info, architecture=written("finetune_from_0").info.architecture)
    with pytest.raises(ValueError, match="info must describe the network that is written"):
        write_stage(stage.network, other, str(tmp_path))


def test_the_checkpoint_inside_holds_the_network_s_variables_and_nothing_else(written):
    stage = written("pretrain_with_probe")
    shapes = tf.train.load_checkpoint(f"{stage.path}/variables/variables").get_variable_to_shape_map()
    assert len(set(shapes) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}) == len(stage.network.variables)
