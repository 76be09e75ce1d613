import tensorflow as tf
import tf_keras as keras

from tf_simclr.config import EncoderConfig
from tf_simclr.model.network import Architecture, build_network, named_variables
from tf_simclr.model.unallocated import unallocated

SMALL = Architecture(encoder=EncoderConfig(resnet_depth=18, width_multiplier=0.25, cifar_stem=True))


def test_a_network_made_before_works_after():
    before = build_network(SMALL)
    with unallocated():
        shapes = {name: tuple(v.shape) for name, v in named_variables(build_network(SMALL)).items()}
    assert shapes == {name: tuple(v.shape) for name, v in named_variables(before).items()}
    assert before(tf.zeros((2, 16, 16, 3)))["final_avg_pool"].shape == (2, 128)


def test_variables_have_no_value():
    with unallocated() as graph:
        layer = keras.layers.Dense(1 << 30)
        layer.build((None, 1 << 20))  # 4 PiB
    assert layer.kernel.shape == (1 << 20, 1 << 30)
    assert not tf.executing_eagerly() or layer.kernel.graph is not graph
