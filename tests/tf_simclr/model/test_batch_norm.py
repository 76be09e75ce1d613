"""Batch norm against a restatement in NumPy, on one replica and on two."""

import numpy as np
import pytest
import tensorflow as tf

from tf_simclr.model.batch_norm import EPSILON, BatchNorm

SHAPES = {"features": (6, 3), "images": (4, 5, 2, 3)}


def normalised(x, mean, variance, gamma, beta):
    return (x - mean) / np.sqrt(variance + EPSILON) * gamma + beta


def random_layer(shape, **options):
    layer = BatchNorm(momentum=0.8, **options)
    layer.build(tf.TensorShape(shape))
    for weight in layer.weights:
        weight.assign(np.random.uniform(0.5, 1.5, weight.shape))
    return layer


def statistics(layer):
    return layer.moving_mean.numpy(), layer.moving_variance.numpy()


def random_inputs(shape):
    return (np.random.standard_normal(shape) * [0.5, 1.0, 3.0] + [1.0, -2.0, 0.0]).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("center", [True, False])
def test_training_normalises_by_the_batch_and_moves_biased_statistics(shape, center):
    layer, x = random_layer(shape, center=center), random_inputs(shape)
    (old_mean, old_variance), axes = statistics(layer), tuple(range(len(shape) - 1))
    mean, variance = x.mean(axes), x.var(axes)
    beta = layer.beta.numpy() if center else 0.0
    expected = normalised(x, mean, variance, layer.gamma.numpy(), beta)
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.8 * old_mean + 0.2 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.8 * old_variance + 0.2 * variance, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("center", [True, False])
def test_inference_normalises_by_the_moving_statistics_and_leaves_them(shape, center):
    layer, x = random_layer(shape, center=center), random_inputs(shape)
    before = statistics(layer)
    expected = normalised(x, *before, layer.gamma.numpy(), layer.beta.numpy() if center else 0.0)
    np.testing.assert_allclose(layer(x, training=False), expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(statistics(layer), before)


def test_a_layer_without_centre_has_no_beta():
    names = [weight.name for weight in random_layer((2, 3), center=False).weights]
    assert [name.split("/")[-1] for name in names] == ["gamma:0", "moving_mean:0", "moving_variance:0"]


def test_a_new_layer_starts_as_promised():
    for zero_gamma, gamma in ((False, 1.0), (True, 0.0)):
        layer = BatchNorm(zero_gamma=zero_gamma)
        layer.build(tf.TensorShape((None, 2)))
        starts = [weight.numpy().tolist() for weight in layer.weights]
        assert starts == [[gamma] * 2, [0.0] * 2, [0.0] * 2, [1.0] * 2]


def test_a_frozen_layer_is_in_inference_mode_even_in_training():
    layer, x = random_layer((4, 5, 2, 3)), random_inputs((4, 5, 2, 3))
    before, expected = statistics(layer), layer(x, training=False)
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True), expected)
    np.testing.assert_array_equal(statistics(layer), before)


def test_a_batch_of_one_feature_vector_has_no_variance():
    layer, x = random_layer((1, 3)), random_inputs((1, 3))
    old_mean, old_variance = statistics(layer)
    np.testing.assert_allclose(layer(x, training=True), layer.beta[tf.newaxis], rtol=0, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.8 * old_mean + 0.2 * x[0], rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.8 * old_variance, rtol=1e-5)


def test_a_batch_of_one_image_is_normalised_over_its_pixels():
    layer, x = random_layer((1, 5, 2, 3)), random_inputs((1, 5, 2, 3))
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    expected = normalised(x, mean, variance, layer.gamma.numpy(), layer.beta.numpy())
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=0, atol=1e-5)


# Two replicas.


def train_on_one(layer, x, weights):
    """Outputs, and the inputs' gradient of a loss that weighs every output differently."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=True)
        loss = tf.reduce_sum(weights * tf.sin(outputs))
    return outputs, tape.gradient(loss, x)


def train_on_two(shape, values, x, weights, **options):
    """Halves of the batch on two logical CPU devices; returns outputs, input gradients, statistics."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        layer = random_layer(shape, **options)
        layer.set_weights(values)

    @tf.function
    def replicated(halves, half_weights):
        return strategy.run(lambda a, b: train_on_one(layer, a, b), (halves, half_weights))

    halves = [
        strategy.experimental_distribute_values_from_function(
            lambda context, whole=whole: tf.split(whole, 2)[context.replica_id_in_sync_group]
        )
        for whole in (x, weights)
    ]
    results = replicated(*halves)
    outputs, gradients = (np.concatenate(strategy.experimental_local_results(result)) for result in results)
    return outputs, gradients, statistics(layer)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("center", [True, False])
def test_two_replicas_with_global_statistics_equal_one(shape, center):
    x = tf.constant(random_inputs(shape))
    weights = tf.constant(random_inputs(shape))
    one = random_layer(shape, center=center)
    values = one.get_weights()
    outputs, gradient = train_on_one(one, x, weights)
    both = train_on_two(shape, values, x, weights, center=center)
    np.testing.assert_allclose(both[0], outputs, rtol=0, atol=1e-5)
    np.testing.assert_allclose(both[1], gradient, rtol=0, atol=1e-5)
    np.testing.assert_allclose(both[2], statistics(one), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_two_replicas_with_local_statistics_normalise_their_own_halves(shape):
    x = tf.constant(random_inputs(shape))
    weights = tf.constant(random_inputs(shape))
    one = random_layer(shape)
    values, (old_mean, old_variance) = one.get_weights(), statistics(one)
    both = train_on_two(shape, values, x, weights, global_bn=False)
    halves, axes = np.split(x.numpy(), 2), tuple(range(len(shape) - 1))
    gamma, beta = one.gamma.numpy(), one.beta.numpy()
    expected = [normalised(half, half.mean(axes), half.var(axes), gamma, beta) for half in halves]
    np.testing.assert_allclose(both[0], np.concatenate(expected), rtol=0, atol=1e-5)
    mean = np.mean([half.mean(axes) for half in halves], axis=0)
    variance = np.mean([half.var(axes) for half in halves], axis=0)
    np.testing.assert_allclose(both[2][0], 0.8 * old_mean + 0.2 * mean, rtol=0, atol=1e-5)
    np.testing.assert_allclose(both[2][1], 0.8 * old_variance + 0.2 * variance, rtol=0, atol=1e-5)
