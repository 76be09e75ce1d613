"""``--color_jitter=yiq`` against tensorflow-addons' operation, and against plain operations."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tf_simclr.config import AugmentConfig
from tf_simclr.data.distort import distort_batch, distort_each
from tf_simclr.data.draw import NUMBERS, draw_view
from tf_simclr.data.yiq import colour_change

IMAGE = np.random.default_rng(0).uniform(0.2, 0.6, (6, 5, 3)).astype(np.float32)
# NTSC 1953: luma and the two colour axes.
TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
LUMA = [0.2989, 0.587, 0.114]  # TensorFlow's, for greyscale


def restated(image, brightness, saturation, turn):
    """Colours turned and scaled in YIQ by NumPy, as a change of the basis and back; not clipped."""
    angle = 2 * np.pi * turn
    change = np.diag([1.0, saturation, saturation])
    change[1:, 1:] = saturation * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return image @ (np.linalg.inv(TO_YIQ) @ change @ TO_YIQ).T * brightness


def contrasted(image, contrast):
    mean = image.mean((0, 1))
    return (image - mean) * contrast + mean


def distorted(factors=(1, 1, 1, 0), jitter=True, grey=False, distort=distort_each):
    draw = {
        "jitter": tf.constant([jitter]),
        "grey": tf.constant([grey]),
        "factors": tf.constant([factors], tf.float32),
    }
    return distort(tf.constant(IMAGE[np.newaxis]), draw, "yiq").numpy()[0]


@pytest.mark.parametrize("distort", [distort_each, distort_batch])
@pytest.mark.parametrize("factors", [(1.2, 1, 0.6, 0.07), (0.7, 0.5, 1.8, -0.19), (2.5, 1.6, 0.0, 0.0)])
def test_colours_are_a_linear_change_in_yiq_whose_result_is_clipped(factors, distort):
    brightness, contrast, saturation, turn = factors
    wanted = restated(contrasted(IMAGE, contrast), brightness, saturation, turn)
    found = distorted(factors, distort=distort)
    np.testing.assert_allclose(found, np.clip(wanted, 0, 1), atol=1e-5)
    # Linear changes can be made in any order.
    np.testing.assert_allclose(
        contrasted(restated(IMAGE, brightness, saturation, turn), contrast), wanted, atol=1e-5
    )


def test_grey_is_the_luma_of_the_changed_colours():
    brightness, contrast, saturation, turn = factors = (1.2, 0.5, 1.8, -0.19)
    wanted = restated(contrasted(IMAGE, contrast), brightness, saturation, turn) @ LUMA
    found = distorted(factors, grey=True)
    np.testing.assert_allclose(found, np.broadcast_to(wanted[..., None], IMAGE.shape), atol=1e-5)


@pytest.mark.parametrize("factors", [(1.2, 0.6, 0.07), (0.7, 1.8, -0.19)])
def test_pixels_are_those_of_tensorflow_addons(factors):
    addons = pytest.importorskip("tensorflow_addons", reason="it is for Python 3.11 or earlier")
    brightness, saturation, turn = factors
    wanted = addons.image.adjust_hsv_in_yiq(IMAGE, 2 * np.pi * turn, saturation, brightness)
    found = distorted((brightness, 1, saturation, turn))
    np.testing.assert_allclose(found, np.clip(wanted, 0, 1), atol=1 / 255)


def test_an_image_alone_gets_the_pixels_that_it_has_among_others():
    drawn = some_draws(seed=3, count=6)
    together = distort_each(tf.constant(np.stack([IMAGE] * 6)), drawn, "yiq").numpy()
    for number in range(6):
        alone = {name: value[number : number + 1] for name, value in drawn.items()}
        found = distort_each(tf.constant(IMAGE[np.newaxis]), alone, "yiq").numpy()
        np.testing.assert_allclose(found[0], together[number], atol=1e-6)


def test_the_change_keeps_grey_pixels_grey():
    change = colour_change(some_draws(seed=4, count=50)).numpy()
    np.testing.assert_allclose(np.ptp(np.ones([1, 3]) @ change, axis=-1), 0, atol=2e-3)  # TO_YIQ has 3 digits


def test_without_jitter_only_grey_changes_a_view():
    np.testing.assert_allclose(distorted(factors=(2, 2, 2, 0.3), jitter=False), IMAGE, atol=1e-6)
    wanted = (IMAGE @ LUMA)[..., None]
    found = distorted(jitter=False, grey=True)
    np.testing.assert_allclose(found, np.broadcast_to(wanted, IMAGE.shape), atol=1e-5)


def some_draws(seed, count):
    numbers = np.random.default_rng(seed).uniform(0, 1, (count, NUMBERS)).astype(np.float32)
    found = draw_view(tf.constant(numbers), AugmentConfig())
    return {name: found[name] for name in ("jitter", "grey", "factors", "order")}


def plain(image, draw):
    """One view through tensorflow-free arithmetic, with what ``draw`` says."""
    brightness, contrast, saturation, turn = draw["factors"]
    if draw["jitter"]:
        image = restated(contrasted(image, contrast), brightness, saturation, turn)
    if draw["grey"]:
        image = (image @ LUMA)[..., None] * np.ones(3)
    return np.clip(image, 0, 1)


def test_views_are_distributed_as_those_of_plain_operations():
    # Draws of their own for either side, so that only the distributions can agree: moments, and
    # Kolmogorov and Smirnov's test of a statistic of each view.
    count = 600

    found = distort_each(tf.constant(np.stack([IMAGE] * count)), some_draws(1, count), "yiq").numpy()
    other = {name: value.numpy() for name, value in some_draws(2, count).items()}
    wanted = np.stack([plain(IMAGE, {name: other[name][k] for name in other}) for k in range(count)])
    statistics = {
        "brightness": lambda x: x.mean((1, 2, 3)),
        "contrast": lambda x: x.std((1, 2, 3)),
        "saturation": lambda x: np.ptp(x, axis=3).mean((1, 2)),
        "red against blue": lambda x: (x[..., 0] - x[..., 2]).mean((1, 2)),
    }
    for name, statistic in statistics.items():
        # Rounded, as a third of the views have one of two values: rounding errors must not order them.
        mine, theirs = (statistic(x.astype(float)).round(4) for x in (found, wanted))
        error = np.sqrt((mine.var() + theirs.var()) / count)
        assert abs(mine.mean() - theirs.mean()) < 4 * error, name
        assert 0.8 < mine.std() / theirs.std() < 1.25, name
        assert stats.ks_2samp(mine, theirs).pvalue > 1e-3, name
