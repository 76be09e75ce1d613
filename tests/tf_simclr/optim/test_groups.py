"""Which variables are excluded, decayed in the loss, or neither, by the layers of a small network."""

import pytest
import tensorflow as tf
import tf_keras as keras

from tf_simclr.optim.groups import parameter_groups


class ScaleOnlyNorm(keras.layers.Layer):
    """Stands for the project's own batch norm: not a Keras one, and without beta."""

    is_batch_norm = True

    def build(self, input_shape):
        self.gamma = self.add_weight("gamma", (input_shape[-1],), initializer="ones")
        self.beta = None
        self.moving_mean = self.add_weight("moving_mean", (input_shape[-1],), trainable=False)

    def call(self, inputs):
        return inputs * self.gamma


class Network(keras.Model):
    """Layers as attributes and in a list, and one layer inside another."""

    def __init__(self):
        super().__init__(name="network")
        self.stem = keras.layers.Conv2D(2, 1, use_bias=False, name="stem")
        self.norm = keras.layers.BatchNormalization(name="oddly_named")
        self.head = [keras.layers.Dense(3, name="bias_free_name"), ScaleOnlyNorm(name="plain")]
        self.nested = keras.Sequential([keras.layers.Dense(2, use_bias=False, name="inner")], name="nested")

    def call(self, images):
        x = tf.reduce_mean(self.norm(self.stem(images)), axis=[1, 2])
        for layer in self.head:
            x = layer(x)
        return self.nested(x)


def built_network():
    network = Network()
    network(tf.zeros([1, 2, 2, 3]))
    return network


def built_head(name="supervised"):
    head = keras.layers.Dense(4, name=name)
    head(tf.zeros([1, 3]))  # not build(), which would name the variables just "kernel:0" and "bias:0"
    return head


def test_norms_biases_and_the_supervised_head_are_excluded():
    network, head = built_network(), built_head()
    groups = parameter_groups(network, head)
    expected = [network.norm.gamma, network.norm.beta, network.head[0].bias, network.head[1].gamma]
    expected += [head.kernel, head.bias]
    assert groups.no_decay == groups.no_adaptation == {variable.name for variable in expected}
    assert len(groups.no_decay) == 6


def test_the_supervised_kernel_and_not_its_bias_is_a_head_kernel():
    network, head = built_network(), built_head()
    groups = parameter_groups(network, head)
    assert len(groups.head_kernels) == 1
    assert groups.head_kernels[0] is head.kernel


def test_everything_but_batch_norm_can_decay_in_the_loss():
    network, head = built_network(), built_head()
    decayed = {id(variable) for variable in parameter_groups(network, head).decayed_in_loss}
    dense = network.head[0]
    inner = network.nested.layers[0]
    expected = [network.stem.kernel, dense.kernel, dense.bias, inner.kernel, head.kernel, head.bias]
    assert decayed == {id(variable) for variable in expected}


def test_without_a_supervised_head_there_is_no_head_kernel():
    groups = parameter_groups(built_network())
    assert groups.head_kernels == []
    assert len(groups.no_decay) == 4


def test_a_head_inside_the_network_is_counted_once():
    head = built_head()
    network = built_network()
    network.supervised = head
    groups = parameter_groups(network, head)
    assert len(groups.head_kernels) == 1
    assert len(groups.decayed_in_loss) == 6
    assert {head.kernel.name, head.bias.name} <= groups.no_decay


def test_functional_models_and_frozen_layers_work_too():
    inputs = keras.Input([3])
    frozen = keras.layers.Dense(2, name="frozen")
    frozen.trainable = False
    outputs = keras.layers.BatchNormalization(name="bn")(keras.layers.Dense(2, name="free")(frozen(inputs)))
    groups = parameter_groups(keras.Model(inputs, outputs))
    assert groups.no_decay == {"bn/gamma:0", "bn/beta:0", "free/bias:0"}
    assert [variable.name for variable in groups.decayed_in_loss] == ["free/kernel:0", "free/bias:0"]


def test_a_network_without_variables_is_refused():
    with pytest.raises(ValueError, match=r"'idle' has no trainable variables. Build it by calling it"):
        parameter_groups(keras.layers.Dense(3, name="idle"))


def test_one_name_for_an_excluded_and_a_decayed_variable_is_refused():
    network = keras.Sequential([keras.layers.Dense(3, name="same")])
    network.build([None, 3])
    with pytest.raises(ValueError, match=r"1 names belong both .*: same/kernel:0. Give the layers"):
        parameter_groups(network, built_head("same"))
