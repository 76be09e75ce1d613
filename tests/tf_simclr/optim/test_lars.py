"""LARS: one step by hand, golden steps with a falling rate, exclusions, state, replicas."""

import inspect
import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.training import mirrored
from tf_simclr.optim.lars import LARS
from tf_simclr.optim.schedules import WarmupCosine

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "functions.npz")
SHAPES = {"kernel": (5, 4), "bias": (4,), "gamma": (4,), "zero_kernel": (3, 3)}
EXCLUDED = ("bias:0", "gamma:0")


def unflatten(flat):
    ends = np.cumsum([math.prod(shape) for shape in SHAPES.values()])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(flat, ends), SHAPES.values(), strict=True)]


def golden_variables(form):
    initial = unflatten(GOLDEN[f"lars/{form}/init"])
    return [tf.Variable(value, name=name) for value, name in zip(initial, SHAPES, strict=True)]


def golden_optimizer(form, rate=None):
    rate = rate or WarmupCosine(2.0, 0, 10)
    return LARS(rate, weight_decay=0.01, momentum_form=form, no_decay=EXCLUDED, no_adaptation=EXCLUDED)


def flatten(variables):
    return np.concatenate([np.ravel(variable) for variable in variables])


@pytest.mark.parametrize("form", ["classic", "nesterov", "popular"])
def test_eight_steps_with_a_falling_rate_equal_the_official_code(form):
    variables, optimizer = golden_variables(form), golden_optimizer(form)
    for step, gradients in enumerate(GOLDEN[f"lars/{form}/grads"]):
        optimizer.apply_gradients(zip(map(tf.constant, unflatten(gradients)), variables, strict=True))
        np.testing.assert_allclose(
            flatten(variables), GOLDEN[f"lars/{form}/vars"][step], rtol=1e-5, atol=1e-6
        )


def two_steps_by_hand(form):
    """w = (3, 4), g = (0, 10), decay 0.5, eeta 0.1, momentum 0.9, rates 1 and 0.5."""
    w, g, v = np.array([3.0, 4.0]), np.array([0.0, 10.0]), np.zeros(2)
    for rate in (1.0, 0.5):
        decayed = g + 0.5 * w
        if form == "popular":
            v = 0.9 * v + decayed
            w = w - rate * 0.1 * np.linalg.norm(w) / np.linalg.norm(v) * v
        else:
            step = rate * 0.1 * np.linalg.norm(w) / np.linalg.norm(decayed) * decayed
            v = 0.9 * v + step
            w = w - (0.9 * v + step if form == "nesterov" else v)
    return w


@pytest.mark.parametrize("form", ["classic", "nesterov", "popular"])
def test_two_steps_equal_the_update_equation(form):
    rates = keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 0.5])
    optimizer = LARS(rates, weight_decay=0.5, eeta=0.1, momentum_form=form)
    weight = tf.Variable([3.0, 4.0])
    for _ in range(2):
        optimizer.apply_gradients([(tf.constant([0.0, 10.0]), weight)])
    np.testing.assert_allclose(weight, two_steps_by_hand(form), rtol=1e-6)


def one_step(weight, gradient, **settings):
    variable = tf.Variable(weight, name="w")
    LARS(0.5, eeta=0.1, **settings).apply_gradients([(tf.constant(gradient), variable)])
    return variable.numpy()


def test_a_zero_weight_moves_by_the_plain_gradient():
    np.testing.assert_allclose(one_step([0.0, 0.0], [3.0, 4.0]), [-1.5, -2.0])


def test_a_zero_gradient_leaves_the_weight():
    np.testing.assert_array_equal(one_step([3.0, 4.0], [0.0, 0.0]), [3.0, 4.0])


def test_with_a_zero_gradient_decay_alone_shrinks_by_the_trust_coefficient():
    # ratio * decay * w = eeta * w, whatever the decay.
    np.testing.assert_allclose(one_step([3.0, 4.0], [0.0, 0.0], weight_decay=0.2), [2.85, 3.8], rtol=1e-6)


def test_a_weight_outside_decay_is_still_adapted():
    # ratio = 0.1 * 5 / 10; the step is 0.5 * ratio * gradient.
    got = one_step([3.0, 4.0], [0.0, 10.0], weight_decay=0.2, no_decay=["w:0"])
    np.testing.assert_allclose(got, [3.0, 4.0 - 0.25], rtol=1e-6)


def test_a_weight_outside_adaptation_is_still_decayed():
    got = one_step([3.0, 4.0], [0.0, 10.0], weight_decay=0.2, no_adaptation=["w:0"])
    np.testing.assert_allclose(got, [3.0 - 0.5 * 0.6, 4.0 - 0.5 * 10.8], rtol=1e-6)


def test_names_are_exact_and_not_patterns():
    # "w" is part of "w2:0", and as a pattern it would match.
    variables = [tf.Variable([1.0], name="w"), tf.Variable([1.0], name="w2")]
    optimizer = LARS(1.0, weight_decay=0.5, no_decay=["w:0"], no_adaptation=["w:0", "w2:0"])
    optimizer.apply_gradients([(tf.constant([0.0]), variable) for variable in variables])
    np.testing.assert_allclose([variable.numpy()[0] for variable in variables], [1.0, 0.5])


def test_names_that_match_no_variable_are_refused():
    optimizer = LARS(1.0, no_decay=["sync_batch_normalization/gamma:0", "bias:0"])
    with pytest.raises(ValueError, match=r"None of the 2 names in no_decay is a trained variable.*'w:0'"):
        optimizer.build([tf.Variable([1.0], name="w")])


def test_a_missing_gradient_skips_its_variable():
    variables = [tf.Variable([1.0], name="a"), tf.Variable([1.0], name="b")]
    optimizer = LARS(1.0, no_adaptation=["a:0", "b:0"])
    optimizer.build(variables)
    optimizer.apply_gradients([(None, variables[0]), (tf.constant([0.25]), variables[1])])
    np.testing.assert_allclose([variable.numpy()[0] for variable in variables], [1.0, 0.75])


def test_repeated_indices_of_a_sparse_gradient_add_up():
    table = tf.Variable([[1.0], [2.0]], name="table")
    gradient = tf.IndexedSlices(tf.constant([[0.25], [0.5]]), tf.constant([1, 1]), tf.constant([2, 1]))
    LARS(1.0, no_adaptation=["table:0"]).apply_gradients([(gradient, table)])
    np.testing.assert_allclose(table, [[1.0], [1.25]])


def test_configuration_names_every_argument_and_keeps_the_exclusions():
    optimizer = LARS(
        WarmupCosine(2.0, 1, 10), 0.8, 0.3, 0.002, "popular", {"b:0", "a:0"}, frozenset({"c:0"}), "mine"
    )
    config = optimizer.get_config()
    assert set(config) == set(inspect.signature(LARS.__init__).parameters) - {"self"}
    assert config["no_decay"] == ["a:0", "b:0"]
    for again in (
        LARS.from_config(optimizer.get_config()),
        keras.optimizers.deserialize(keras.optimizers.serialize(optimizer)),
    ):
        assert isinstance(again, LARS)
        assert again.get_config() == config
        assert again.no_adaptation == {"c:0"}


def test_keras_own_decoupled_decay_stays_off():
    assert LARS(1.0, weight_decay=0.5).weight_decay is None
    assert one_step([2.0], [0.0], weight_decay=0.5, no_decay=["w:0"])[0] == 2.0


def test_the_second_step_does_not_trace_again():
    variables, optimizer, traces = golden_variables("classic"), golden_optimizer("classic"), []

    @tf.function
    def step(gradients):
        traces.append(None)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    for index in range(3):
        step([tf.constant(g) for g in unflatten(GOLDEN["lars/classic/grads"][index])])
    # TensorFlow itself traces a function twice when its first trace creates variables.
    assert len(traces) <= 2
    before = len(traces)
    step([tf.constant(g) for g in unflatten(GOLDEN["lars/classic/grads"][3])])
    assert len(traces) == before
    np.testing.assert_allclose(flatten(variables), GOLDEN["lars/classic/vars"][3], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("build_before_restore", [True, False])
def test_a_restored_run_continues_as_the_unbroken_one(tmp_path, build_before_restore):
    gradients = [unflatten(flat) for flat in GOLDEN["lars/classic/grads"]]
    variables, optimizer = golden_variables("classic"), golden_optimizer("classic")
    for index in range(4):
        optimizer.apply_gradients(zip(map(tf.constant, gradients[index]), variables, strict=True))
    path = tf.train.Checkpoint(variables=variables, optimizer=optimizer).save(str(tmp_path / "state"))

    variables = [
        tf.Variable(tf.zeros_like(variable), name=name)
        for variable, name in zip(variables, SHAPES, strict=True)
    ]
    optimizer = golden_optimizer("classic")
    if build_before_restore:
        optimizer.build(variables)
    status = tf.train.Checkpoint(variables=variables, optimizer=optimizer).restore(path)
    for index in range(4, 8):
        optimizer.apply_gradients(zip(map(tf.constant, gradients[index]), variables, strict=True))
    status.assert_existing_objects_matched()
    np.testing.assert_allclose(flatten(variables), GOLDEN["lars/classic/vars"][7], rtol=1e-5, atol=1e-6)
    assert int(optimizer.iterations) == 8


@pytest.mark.parametrize("make", [lambda: mirrored(2), lambda: tf.distribute.OneDeviceStrategy("CPU:0")])
@pytest.mark.parametrize("build_early", [True, False])
def test_steps_inside_a_strategy_equal_the_plain_ones_on_every_replica(make, build_early):
    strategy = make()
    with strategy.scope():
        variables, optimizer = golden_variables("classic"), golden_optimizer("classic")
        if build_early:
            optimizer.build(variables)

    @tf.function
    def step(gradients):
        def update():
            # Keras sums over replicas.
            shares = [gradient / strategy.num_replicas_in_sync for gradient in gradients]
            optimizer.apply_gradients(zip(shares, variables, strict=True))

        strategy.run(update)

    for index in range(8):
        step([tf.constant(g) for g in unflatten(GOLDEN["lars/classic/grads"][index])])
    for replica in range(strategy.num_replicas_in_sync):
        values = [strategy.experimental_local_results(variable)[replica] for variable in variables]
        np.testing.assert_allclose(flatten(values), GOLDEN["lars/classic/vars"][7], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\). Received 1.0"),
        ({"weight_decay": -0.1}, "weight_decay must be 0 or more. Received -0.1"),
        ({"eeta": 0.0}, "eeta must be greater than 0. Received 0.0"),
        (
            {"momentum_form": "heavy"},
            "momentum_form='heavy' is not valid. Use one of: classic, nesterov, popular",
        ),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LARS(0.1, **settings)
