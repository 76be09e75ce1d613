"""Every optimizer that the settings can name: its exclusions, its decay, and that it trains."""

import importlib.util
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.training import mirrored
from tf_simclr.config import ConfigError, OptimizerConfig
from tf_simclr.optim.build import build_optimizer, loss_decayed_variables
from tf_simclr.optim.groups import parameter_groups
from tf_simclr.optim.lars import LARS
from tf_simclr.optim.schedules import WarmupCosine

needs_addons = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_addons") is None,
    reason="tensorflow-addons has no release for this Python",
)
OPTIMIZERS = ["lars", "momentum", "adam", pytest.param("lamb", marks=needs_addons)]


def small_network():
    network = keras.Sequential(
        [keras.layers.Dense(3, name="dense"), keras.layers.BatchNormalization(name="norm")], name="network"
    )
    network.build([None, 2])
    head = keras.layers.Dense(2, name="supervised")
    head(tf.zeros([1, 3]))
    return network, head


def config_of(optimizer, **settings):
    return OptimizerConfig(optimizer=optimizer, **settings)


def variable_names(config, groups):
    return [variable.name for variable in loss_decayed_variables(config, groups)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_lowers_a_loss_of_tf_keras_variables_in_a_graph(name):
    network, head = small_network()
    config = config_of(name)
    schedule = WarmupCosine(0.05, 1, 40)
    optimizer = build_optimizer(config, schedule, parameter_groups(network, head))
    images = tf.constant(np.random.RandomState(0).standard_normal((8, 2)), tf.float32)
    variables = network.trainable_variables + head.trainable_variables
    traces = []

    @tf.function
    def step():
        traces.append(None)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(head(network(images, training=True)) - 1.0))
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    losses = [float(step()) for _ in range(20)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)  # the first rate of a warm-up is 0
    assert losses[-1] < 0.7 * losses[0]
    assert int(optimizer.iterations) == 20
    assert len(traces) <= 2
    np.testing.assert_allclose(optimizer.learning_rate, schedule(20 if name == "lamb" else 19), rtol=1e-6)


def test_lars_takes_settings_and_exclusions():
    network, head = small_network()
    groups = parameter_groups(network, head)
    optimizer = build_optimizer(config_of("lars", momentum=0.8, weight_decay=0.3), 0.1, groups)
    assert isinstance(optimizer, LARS)
    assert (optimizer.momentum, optimizer.coupled_weight_decay, optimizer.momentum_form) == (
        0.8,
        0.3,
        "classic",
    )
    assert optimizer.no_decay == optimizer.no_adaptation == groups.no_decay


def test_momentum_is_nesterov_without_decay_of_its_own():
    optimizer = build_optimizer(config_of("momentum", momentum=0.8), 0.5, parameter_groups(*small_network()))
    weight = tf.Variable(0.0)
    for _ in range(2):
        optimizer.apply_gradients([(tf.constant(1.0), weight)])
    # v1 = 1, w1 = -0.5 (1 + 0.8); v2 = 1.8, w2 = w1 - 0.5 (1 + 0.8 * 1.8).
    np.testing.assert_allclose(weight, -0.9 - 1.22, rtol=1e-6)
    assert optimizer.weight_decay is None


def test_adam_has_the_default_moments_and_no_decay_of_its_own():
    optimizer = build_optimizer(config_of("adam"), 0.5, parameter_groups(*small_network()))
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.9, 0.999, 1e-7)
    assert optimizer.weight_decay is None


def test_the_loss_decays_what_the_optimizer_leaves():
    groups = parameter_groups(*small_network())
    all_but_norm = ["dense/kernel:0", "dense/bias:0", "supervised/kernel:0", "supervised/bias:0"]
    assert variable_names(config_of("lars"), groups) == ["supervised/kernel:0"]
    assert variable_names(config_of("lamb"), groups) == []
    assert variable_names(config_of("momentum"), groups) == all_but_norm
    assert variable_names(config_of("adam"), groups) == all_but_norm


def lamb_change(variable, gradient, decay):
    """First LAMB step at rate 0.1 on one variable of a network that has them all."""
    network, head = small_network()
    target = {v.name: v for v in [*network.trainable_variables, *head.trainable_variables]}[variable]
    target.assign(tf.fill(target.shape, 2.0))
    optimizer = build_optimizer(config_of("lamb", weight_decay=decay), 0.1, parameter_groups(network, head))
    optimizer.apply_gradients([(tf.fill(target.shape, gradient), target)])
    return float(np.ravel(target)[0]) - 2.0


@needs_addons
def test_lamb_adapts_and_decays_only_what_is_not_excluded():
    # Bias-corrected first step of Adam: update = sign(gradient) = 1; plus decay * w = 0.5 * 2 = 1.
    # Adapted: rate * ||w|| / ||update|| * update = 0.1 * w = 0.2 whatever the update.
    assert lamb_change("dense/kernel:0", 1.0, 0.5) == pytest.approx(-0.2, rel=1e-4)
    for excluded in ("dense/bias:0", "norm/gamma:0", "norm/beta:0", "supervised/bias:0"):
        assert lamb_change(excluded, 1.0, 0.5) == pytest.approx(-0.1, rel=1e-4), excluded


@needs_addons
def test_lamb_decays_the_supervised_kernel_itself_and_does_not_adapt_it():
    assert lamb_change("supervised/kernel:0", 1.0, 0.5) == pytest.approx(
        -0.2, rel=1e-4
    )  # 0.1 * (1 + 0.5 * 2)
    assert lamb_change("supervised/kernel:0", 1.0, 2.0) == pytest.approx(-0.5, rel=1e-4)  # 0.1 * (1 + 2 * 2)


@needs_addons
def test_lamb_excludes_the_copies_of_every_replica():
    strategy = mirrored(2)
    with strategy.scope():
        network, head = small_network()
        bias = network.layers[0].bias
        bias.assign(tf.fill([3], 2.0))
        schedule = WarmupCosine(0.1, 0, 10**6)
        optimizer = build_optimizer(
            config_of("lamb", weight_decay=0.5), schedule, parameter_groups(network, head)
        )

    @tf.function
    def step():
        optimizer.apply_gradients([(tf.ones([3]) * 0.5, bias)])

    strategy.run(step)
    for copy in strategy.experimental_local_results(bias):
        np.testing.assert_allclose(copy, 2.0 - 0.1, rtol=1e-4)


def test_lamb_without_addons_says_what_to_use_instead(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_addons", None)
    monkeypatch.setitem(sys.modules, "tensorflow_addons.optimizers", None)
    with pytest.raises(ConfigError, match=r"Python 3.10 and 3.11.*Use --optimizer=lars or --optimizer=adam"):
        build_optimizer(config_of("lamb"), 0.1, parameter_groups(*small_network()))
