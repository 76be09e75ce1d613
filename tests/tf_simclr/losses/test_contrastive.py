"""NT-Xent against the paper's algorithm 1, closed forms and golden numbers."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tf_simclr.losses.contrastive import contrastive_metrics, nt_xent

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "functions.npz")
CASES = [
    ("n8_d16_tau0.1_norm1", 0.1, True),
    ("n32_d128_tau0.5_norm1", 0.5, True),
    ("n6_d10_tau1.0_norm0", 1.0, False),
]


def random_views(rows=5, dim=7, seed=3):
    rng = np.random.RandomState(seed)
    return rng.standard_normal((2, rows, dim)).astype(np.float32)


def algorithm_1(view_1, view_2, temperature, hidden_norm=True):
    """Chen et al. 2020, algorithm 1, in float64 loops: rows 2k and 2k + 1 are two views of image k."""
    num_images = len(view_1)
    z = np.empty((2 * num_images, view_1.shape[1]))
    z[0::2], z[1::2] = view_1, view_2

    def similarity(i, j):
        product = float(np.dot(z[i], z[j]))
        return product / (np.linalg.norm(z[i]) * np.linalg.norm(z[j])) if hidden_norm else product

    def pair_loss(i, j):
        others = sum(np.exp(similarity(i, k) / temperature) for k in range(2 * num_images) if k != i)
        return -np.log(np.exp(similarity(i, j) / temperature) / others)

    total = sum(pair_loss(2 * k, 2 * k + 1) + pair_loss(2 * k + 1, 2 * k) for k in range(num_images))
    return total / (2 * num_images)


def gradients(view_1, view_2, **settings):
    view_1, view_2 = tf.constant(view_1), tf.constant(view_2)
    with tf.GradientTape() as tape:
        tape.watch([view_1, view_2])
        loss = nt_xent(view_1, view_2, **settings).loss
    return [gradient.numpy() for gradient in tape.gradient(loss, [view_1, view_2])]


@pytest.mark.parametrize("hidden_norm", [True, False])
@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_value_is_twice_algorithm_1_of_the_paper(temperature, hidden_norm):
    view_1, view_2 = random_views()
    output = nt_xent(view_1, view_2, temperature=temperature, hidden_norm=hidden_norm)
    np.testing.assert_allclose(
        output.loss, 2 * algorithm_1(view_1, view_2, temperature, hidden_norm), rtol=1e-5
    )


@pytest.mark.parametrize(("name", "temperature", "hidden_norm"), CASES)
def test_value_gradient_and_accuracy_equal_the_official_code(name, temperature, hidden_norm):
    z = GOLDEN[f"ntxent/{name}/z"]
    views = np.split(z, 2)
    output = nt_xent(*views, temperature=temperature, hidden_norm=hidden_norm)
    np.testing.assert_allclose(output.loss, GOLDEN[f"ntxent/{name}/loss"], rtol=1e-6)
    got = np.concatenate(gradients(*views, temperature=temperature, hidden_norm=hidden_norm))
    np.testing.assert_allclose(got, GOLDEN[f"ntxent/{name}/grad"], rtol=1e-4, atol=1e-6)
    accuracy, _ = contrastive_metrics(output.logits, output.labels)
    np.testing.assert_allclose(accuracy, GOLDEN[f"ntxent/{name}/contrast_acc"])


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_collapsed_views_cost_twice_log_2n_minus_1(rows):
    collapsed = np.ones((rows, 4), np.float32)
    output = nt_xent(collapsed, collapsed, temperature=0.1)
    np.testing.assert_allclose(output.loss, 2 * np.log(2 * rows - 1), rtol=1e-5, atol=1e-6)


def test_swapping_the_views_changes_nothing():
    view_1, view_2 = random_views()
    there = nt_xent(view_1, view_2, temperature=0.3).loss
    back = nt_xent(view_2, view_1, temperature=0.3).loss
    np.testing.assert_allclose(there, back, rtol=1e-6)


def test_permuting_the_images_permutes_the_gradient_and_keeps_the_loss():
    view_1, view_2 = random_views()
    order = np.array([3, 0, 4, 1, 2])
    plain = nt_xent(view_1, view_2, temperature=0.3).loss
    permuted = nt_xent(view_1[order], view_2[order], temperature=0.3).loss
    np.testing.assert_allclose(permuted, plain, rtol=1e-6)
    got = gradients(view_1[order], view_2[order], temperature=0.3)
    for expected, gradient in zip(gradients(view_1, view_2, temperature=0.3), got, strict=True):
        np.testing.assert_allclose(gradient, expected[order], rtol=1e-4, atol=1e-6)


def test_mixing_up_the_pairs_changes_the_loss():
    view_1, view_2 = random_views()
    plain = nt_xent(view_1, view_2, temperature=0.3).loss
    assert abs(plain - nt_xent(view_1, view_2[::-1].copy(), temperature=0.3).loss) > 1e-3


@pytest.mark.parametrize("scale", [0.0, 1e-8, 1e4])
def test_gradients_are_finite_at_a_low_temperature(scale):
    view_1, view_2 = scale * random_views()
    view_1[0] = 0.0
    assert np.isfinite(nt_xent(view_1, view_2, temperature=0.05).loss)
    for gradient in gradients(view_1, view_2, temperature=0.05):
        assert np.isfinite(gradient).all()


def test_half_precision_projections_give_a_float32_loss():
    view_1, view_2 = (tf.cast(view, tf.bfloat16) for view in random_views())
    output = nt_xent(view_1, view_2, temperature=0.1)
    assert output.loss.dtype == output.logits.dtype == tf.float32
    rounded = [np.asarray(tf.cast(view, tf.float32)) for view in (view_1, view_2)]
    np.testing.assert_allclose(output.loss, 2 * algorithm_1(*rounded, 0.1), rtol=1e-5)


def test_logits_are_the_cross_view_cosines_and_labels_the_diagonal():
    view_1, view_2 = random_views()
    output = nt_xent(view_1, view_2, temperature=0.5)
    cosine = np.dot(view_1[1], view_2[3]) / np.linalg.norm(view_1[1]) / np.linalg.norm(view_2[3])
    assert output.logits.shape == (5, 5)
    np.testing.assert_allclose(output.logits[1, 3], cosine / 0.5, rtol=1e-5)
    np.testing.assert_array_equal(output.labels, range(5))
    assert output.labels.dtype == tf.int64


def test_an_unknown_batch_size_works_in_a_graph():
    @tf.function(input_signature=[tf.TensorSpec([None, 7])] * 2)
    def loss(view_1, view_2):
        return nt_xent(view_1, view_2, temperature=0.5).loss

    view_1, view_2 = random_views()
    np.testing.assert_allclose(loss(view_1, view_2), 2 * algorithm_1(view_1, view_2, 0.5), rtol=1e-5)


def test_metrics_are_the_mean_accuracy_and_entropy_of_the_rows():
    logits = tf.constant([[0.0, 0.0, 0.0, 0.0], [100.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1e9, 0.0]])
    accuracy, entropy = contrastive_metrics(logits, tf.constant([0, 1, 2], tf.int64))
    np.testing.assert_allclose(accuracy, 2 / 3, rtol=1e-6)
    np.testing.assert_allclose(entropy, np.log(4) / 3, rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.0, -0.1, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match=r"temperature must be greater than 0. Received"):
        nt_xent(*random_views(), temperature=temperature)


@pytest.mark.parametrize("shape", [(5, 8), (4, 7), (5, 7, 1)])
def test_views_of_different_shapes_are_refused_with_both_shapes(shape):
    with pytest.raises(ValueError, match=r"Received projection_1 \(5, 7\), projection_2 \(") as error:
        nt_xent(random_views()[0], np.zeros(shape, np.float32), temperature=0.1)
    assert str(shape) in str(error.value)
