"""``--color_jitter=yiq`` against tensorflow-addons' operation, and against plain operations."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tf_simclr.config import AugmentConfig
from tf_simclr.data.distort import distort_batch, distort_each
from tf_simclr.data.draw import NUMBERS, draw_view
from tf_simclr.data.yiq import adjust_in_yiq

IMAGE = np.random.default_rng(0).uniform(0.2, 0.6, (6, 5, 3)).astype(np.float32)
# NTSC 1953: luma and the two colour axes.
TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
CONTRAST = 1


def restated(image, brightness, saturation, turn):
    """Colours turned and scaled in YIQ by NumPy, as a change of the basis and back."""
    angle = 2 * np.pi * turn
    change = np.diag([1.0, saturation, saturation])
    change[1:, 1:] = saturation * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.clip(image @ (np.linalg.inv(TO_YIQ) @ change @ TO_YIQ).T * brightness, 0, 1)


def adjusted(image, *factors):
    planes = tuple(tf.constant(image[..., c]) for c in range(3))
    return np.stack(adjust_in_yiq(planes, *map(tf.constant, factors)), axis=-1)


def distorted(factors=(1, 1, 1, 0), order=(0, 1, 2, 3), jitter=True, grey=False, distort=distort_each):
    draw = {
        "jitter": tf.constant([jitter]),
        "grey": tf.constant([grey]),
        "factors": tf.constant([factors], tf.float32),
        "order": tf.constant([order], tf.int32),
    }
    return distort(tf.constant(IMAGE[np.newaxis]), draw, "yiq").numpy()[0]


@pytest.mark.parametrize("factors", [(1.2, 0.6, 0.07), (0.7, 1.8, -0.19), (1.8, 0.0, 0.0)])
def test_hue_saturation_and_brightness_are_a_linear_change_in_yiq(factors):
    np.testing.assert_allclose(adjusted(IMAGE, *factors), restated(IMAGE, *factors), atol=1e-5)


@pytest.mark.parametrize("factors", [(1.2, 0.6, 0.07), (0.7, 1.8, -0.19)])
def test_pixels_are_those_of_tensorflow_addons(factors):
    addons = pytest.importorskip("tensorflow_addons", reason="it is for Python 3.11 or earlier")
    brightness, saturation, turn = factors
    wanted = addons.image.adjust_hsv_in_yiq(IMAGE, 2 * np.pi * turn, saturation, brightness)
    np.testing.assert_allclose(adjusted(IMAGE, *factors), np.clip(wanted, 0, 1), atol=1 / 255)


@pytest.mark.parametrize("distort", [distort_each, distort_batch])
@pytest.mark.parametrize(("order", "is_first"), [((0, 1, 2, 3), True), ((0, 2, 1, 3), False)])
def test_contrast_is_before_or_after(order, is_first, distort):
    # So bright that it clips unless the contrast was lowered before.
    found = distorted(factors=(2.5, 0.4, 1, 0), order=order, distort=distort)

    def lowered(image):
        return (image - image.mean((0, 1))) * 0.4 + image.mean((0, 1))

    first = np.clip(lowered(IMAGE) * 2.5, 0, 1)
    second = lowered(np.clip(IMAGE * 2.5, 0, 1))
    assert np.abs(first - second).max() > 0.02
    np.testing.assert_allclose(found, first if is_first else second, atol=1e-4)


def test_without_jitter_only_grey_changes_a_view():
    np.testing.assert_allclose(distorted(factors=(2, 2, 2, 0.3), jitter=False), IMAGE, atol=1e-6)
    wanted = (IMAGE @ [0.2989, 0.587, 0.114])[..., None]
    found = distorted(jitter=False, grey=True)
    np.testing.assert_allclose(found, np.broadcast_to(wanted, IMAGE.shape), atol=1e-5)


def plain(image, draw):
    """One view through tensorflow-free arithmetic, with what ``draw`` says."""
    brightness, contrast, saturation, turn = draw["factors"]

    def contrasted(x):
        return np.clip((x - x.mean((0, 1))) * contrast + x.mean((0, 1)), 0, 1)

    if draw["jitter"]:
        is_first = list(draw["order"]).index(CONTRAST) < 2
        image = contrasted(image) if is_first else image
        image = restated(image, brightness, saturation, turn)
        image = image if is_first else contrasted(image)
    return (image @ [0.2989, 0.587, 0.114])[..., None] * np.ones(3) if draw["grey"] else image


def test_views_are_distributed_as_those_of_plain_operations():
    # Draws of their own for either side, so that only the distributions can agree: moments, and
    # Kolmogorov and Smirnov's test of a statistic of each view.
    count = 600

    def draws(seed):
        numbers = np.random.default_rng(seed).uniform(0, 1, (count, NUMBERS)).astype(np.float32)
        found = draw_view(tf.constant(numbers), AugmentConfig())
        return {name: found[name] for name in ("jitter", "grey", "factors", "order")}

    found = distort_each(tf.constant(np.stack([IMAGE] * count)), draws(1), "yiq").numpy()
    other = {name: value.numpy() for name, value in draws(2).items()}
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
