from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_simclr.config import ConfigError
from tf_simclr.data.yiq import distort_in_yiq

try:
    import tensorflow_addons  # noqa: F401
except ImportError:
    HAS_ADDONS = False
else:
    HAS_ADDONS = True

needs_addons = pytest.mark.skipif(not HAS_ADDONS, reason="tensorflow-addons is for Python 3.11 or earlier")
IMAGE = np.random.default_rng(0).uniform(0.2, 0.6, (6, 5, 3))
# NTSC 1953: luma and the two colour axes.
TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.311]])


def draw(factors=(1, 1, 1, 0), order=(0, 1, 2, 3), jitter=True, grey=False):
    return {
        "jitter": tf.constant(jitter),
        "grey": tf.constant(grey),
        "factors": tf.constant(factors, tf.float32),
        "order": tf.constant(order, tf.int32),
    }


def distorted(**choices):
    return distort_in_yiq(tf.constant(IMAGE, tf.float32), draw(**choices)).numpy()


@pytest.mark.skipif(HAS_ADDONS, reason="tensorflow-addons is here")
def test_without_addons_the_error_says_what_to_use():
    with pytest.raises(ConfigError, match=r"needs tensorflow-addons.*Use --color_jitter=simclr"):
        distorted()


@needs_addons
@pytest.mark.parametrize("jitter", [True, False])
def test_neutral_factors_change_nothing(jitter):
    np.testing.assert_allclose(distorted(jitter=jitter), IMAGE, atol=5e-3)


@needs_addons
def test_hue_saturation_and_brightness_are_a_linear_change_in_yiq():
    turn, saturation, brightness = 0.07, 0.6, 1.2
    angle = 2 * np.pi * turn
    rotation = saturation * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    change = np.eye(3)
    for sign in (1, -1):  # The direction in which hue turns is the library's.
        change[1:, 1:] = rotation if sign > 0 else rotation.T
        wanted = np.clip(IMAGE @ (np.linalg.inv(TO_YIQ) @ change @ TO_YIQ).T * brightness, 0, 1)
        found = distorted(factors=(brightness, 1, saturation, turn))
        if np.abs(found - wanted).max() < 0.02:
            return
    pytest.fail(f"{np.abs(found - wanted).max()} apart")


@needs_addons
@pytest.mark.parametrize(("order", "is_first"), [((0, 1, 2, 3), True), ((0, 2, 1, 3), False)])
def test_contrast_is_before_or_after(order, is_first):
    # So bright that it clips unless the contrast was lowered before.
    found = distorted(factors=(2.5, 0.4, 1, 0), order=order)

    def lowered(image):
        return (image - image.mean((0, 1))) * 0.4 + image.mean((0, 1))

    first = np.clip(lowered(IMAGE) * 2.5, 0, 1)
    second = lowered(np.clip(IMAGE * 2.5, 0, 1))
    assert np.abs(first - second).max() > 0.02
    np.testing.assert_allclose(found, first if is_first else second, atol=5e-3)


@needs_addons
def test_grey_is_luma():
    grey = distorted(jitter=False, grey=True)
    wanted = (IMAGE @ [0.2989, 0.587, 0.114])[..., None]
    np.testing.assert_allclose(grey, np.broadcast_to(wanted, IMAGE.shape), atol=1e-5)
