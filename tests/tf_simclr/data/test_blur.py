from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tf_simclr.data import blur

GOLDEN = Path(__file__).parents[2] / "golden" / "functions.npz"
IMAGES = np.random.default_rng(0).uniform(0, 1, (3, 40, 40, 3)).astype(np.float32)


def seed(number):
    return tf.constant([number, 5], tf.int64)


def restated_blur(image, sigma, radius):
    """Two-dimensional sum over the window, with zeros beyond the border."""
    weights = np.array([np.exp(-(k**2) / (2 * sigma**2)) for k in range(-radius, radius + 1)])
    weights /= weights.sum()
    padded = np.pad(image.astype(np.float64), ((radius, radius), (radius, radius), (0, 0)))
    out = np.zeros(image.shape)
    for i, row in enumerate(weights):
        for j, column in enumerate(weights):
            out += row * column * padded[i : i + image.shape[0], j : j + image.shape[1]]
    return out


@pytest.mark.parametrize("kernel_size", [4, 22])
@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.0])
def test_blur_gives_the_golden_pixels(kernel_size, sigma):
    with np.load(GOLDEN) as golden:
        found = blur.gaussian_blur(golden["image/input"], sigma, kernel_size)
        np.testing.assert_allclose(found, golden[f"image/blur_k{kernel_size}_sigma{sigma}"], atol=1e-5)


@pytest.mark.parametrize(("kernel_size", "radius"), [(3, 1), (4, 2), (6, 3), (22, 11)])
def test_blur_is_the_weighted_sum_over_an_odd_window(kernel_size, radius):
    found = blur.gaussian_blur(IMAGES, 1.3, kernel_size)
    np.testing.assert_allclose(found[1], restated_blur(IMAGES[1], 1.3, radius), atol=1e-5)


def test_only_selected_images_are_blurred():
    found = blur.random_blur(tf.constant(IMAGES), seed(0), tf.constant([False, True, False])).numpy()
    np.testing.assert_array_equal(found[[0, 2]], IMAGES[[0, 2]])
    assert np.abs(found[1] - IMAGES[1]).max() > 1e-3


def test_one_sigma_between_0_1_and_2_serves_the_whole_batch(monkeypatch):
    sigmas = []

    def record(images, sigma, kernel_size):
        sigmas.append((float(sigma), kernel_size))
        return images

    monkeypatch.setattr(blur, "gaussian_blur", record)
    for k in range(300):
        blur.random_blur(tf.constant(IMAGES), seed(k), tf.constant([True] * 3))
    values = np.array([sigma for sigma, _ in sigmas])
    assert len(values) == 300 and 0.1 <= values.min() < 0.2 and 1.9 < values.max() <= 2.0
    assert abs(values.mean() - 1.05) < 0.1 and {size for _, size in sigmas} == {4}  # a tenth of 40 px


def test_result_is_clipped_also_where_nothing_is_blurred():
    found = blur.random_blur(tf.constant(IMAGES * 3 - 1), seed(0), tf.constant([True, False, False])).numpy()
    assert found.min() == 0 and found.max() == 1


def test_images_below_20_px_stay_as_they_are():
    small = IMAGES[:, :16, :16]
    found = blur.random_blur(tf.constant(small), seed(0), tf.constant([True] * 3))
    np.testing.assert_allclose(found, small, atol=1e-6)


def test_same_seed_gives_the_same_blur_and_another_seed_another():
    def blurred(number):
        return blur.random_blur(tf.constant(IMAGES), seed(number), tf.constant([True] * 3)).numpy()

    np.testing.assert_array_equal(blurred(1), blurred(1))
    assert np.abs(blurred(1) - blurred(2)).max() > 1e-4


def test_blur_compiles_with_xla():
    compiled = tf.function(lambda images: blur.gaussian_blur(images, 0.9, 6), jit_compile=True)
    np.testing.assert_allclose(compiled(IMAGES), blur.gaussian_blur(IMAGES, 0.9, 6), atol=1e-5)


def test_random_blur_compiles_with_xla():
    compiled = tf.function(blur.random_blur, jit_compile=True)
    found = [
        compiled(tf.constant(IMAGES), seed(k), tf.constant([True, False, True])).numpy() for k in (3, 3, 4)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0][1], IMAGES[1])
    assert np.abs(found[0][0] - found[2][0]).max() > 1e-4
