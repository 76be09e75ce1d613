from __future__ import annotations

import colorsys
import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tf_simclr.data import colour

GOLDEN = Path(__file__).parents[2] / "golden" / "functions.npz"
IMAGE = (
    np.random.default_rng(0).uniform(-0.1, 1.1, (4, 3, 3)).astype(np.float32)
)  # with overshoot, as after a crop
OPERATIONS = ("adjust_brightness", "adjust_contrast", "adjust_saturation", "adjust_hue")


def seed(number):
    return tf.constant([number, 7], tf.int64)


@pytest.fixture
def recorded(monkeypatch):
    """Calls of the four operations in order: (name, factor)."""
    calls = []

    def record(name, original):
        def wrapped(image, factor):
            calls.append((name, float(factor)))
            return original(image, factor)

        return wrapped

    for name in OPERATIONS:
        monkeypatch.setattr(colour, name, record(name, getattr(colour, name)))
    return calls


def each_pixel(image, change):
    """``change`` (h, s, v) -> (h, s, v), pixel by pixel, through Python's own colour conversion."""
    out = [
        colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel))) for pixel in image.reshape(-1, 3).tolist()
    ]
    return np.array(out).reshape(image.shape)


RESTATED = {
    "adjust_brightness": lambda x, f: x * f,
    "adjust_contrast": lambda x, f: (x - x.mean((0, 1))) * f + x.mean((0, 1)),
    "adjust_saturation": lambda x, f: each_pixel(x, lambda h, s, v: (h, min(max(s * f, 0), 1), v)),
    "adjust_hue": lambda x, f: each_pixel(x, lambda h, s, v: ((h + f) % 1, s, v)),
}


@pytest.mark.parametrize(
    ("operation", "factor"),
    [("brightness", 1.37), ("contrast", 0.45), ("saturation", 1.6), ("hue", 0.13)],
)
def test_single_operations_give_the_golden_pixels(operation, factor):
    with np.load(GOLDEN) as golden:
        found = getattr(colour, f"adjust_{operation}")(golden["image/input"][0], factor)
        np.testing.assert_allclose(found, golden[f"image/{operation}_{factor}"], atol=1e-5)


def test_greyscale_gives_the_golden_pixels():
    with np.load(GOLDEN) as golden:
        np.testing.assert_allclose(
            colour.to_grayscale(golden["image/input"][0]), golden["image/gray"], atol=1e-5
        )


@pytest.mark.parametrize("number", range(12))
def test_jitter_is_its_operations_in_order_clipped_after_each(recorded, number):
    found = colour.color_jitter(tf.constant(np.clip(IMAGE, 0, 1)), seed(number), 1.0).numpy()
    wanted = np.clip(IMAGE, 0, 1).astype(np.float64)
    for name, factor in recorded:
        wanted = np.clip(RESTATED[name](wanted, factor), 0, 1)
    assert len(recorded) == 4
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_every_order_of_the_four_operations_occurs_about_equally_often(recorded):
    draws = 1200
    for number in range(draws):
        colour.color_jitter(IMAGE, seed(number), 1.0)
    orders = [tuple(name for name, _ in recorded[4 * k : 4 * k + 4]) for k in range(draws)]
    frequency = [orders.count(order) for order in itertools.permutations(OPERATIONS)]
    assert sum(frequency) == draws
    # 50 expected; 24 binomial counts stay within five standard deviations.
    assert min(frequency) > 50 - 35 and max(frequency) < 50 + 35


@pytest.mark.parametrize("strength", [0.5, 1.0, 1.5])
def test_factors_fill_their_ranges(recorded, strength):
    for number in range(300):
        colour.color_jitter(IMAGE, seed(number), strength)
    half = 0.8 * strength
    for name in OPERATIONS:
        low, high = (
            (-0.2 * strength, 0.2 * strength) if name == "adjust_hue" else (max(0, 1 - half), 1 + half)
        )
        factors = np.array([factor for called, factor in recorded if called == name])
        assert len(factors) == 300 and low <= factors.min() and factors.max() <= high
        margin = 0.05 * (high - low)
        assert factors.min() < low + margin and factors.max() > high - margin
        assert abs(factors.mean() - (low + high) / 2) < 2 * margin


def test_the_four_factors_are_drawn_independently(recorded):
    for number in range(300):
        colour.color_jitter(IMAGE, seed(number), 1.0)
    columns = [[factor for called, factor in recorded if called == name] for name in OPERATIONS]
    assert np.abs(np.corrcoef(columns) - np.eye(4)).max() < 0.25


def test_jitter_happens_to_four_of_five_images_and_greyscale_to_one_of_five(monkeypatch):
    monkeypatch.setattr(colour, "color_jitter", lambda image, seed, strength: image + 1)
    monkeypatch.setattr(colour, "to_grayscale", lambda image: image * 10)
    image = tf.ones([1, 1, 3])
    values = np.array([colour.random_color(image, seed(k), 1.0).numpy()[0, 0, 0] for k in range(1000)])
    jittered, grey = np.isin(values, (2, 20)), values >= 10
    assert set(values.tolist()) == {1, 2, 10, 20}  # 20 = (1 + 1)·10: jitter comes first
    assert abs(jittered.mean() - 0.8) < 0.06 and abs(grey.mean() - 0.2) < 0.06
    assert abs(np.corrcoef(jittered, grey)[0, 1]) < 0.15


def test_strength_zero_is_the_identity():
    for number in range(20):
        np.testing.assert_array_equal(colour.random_color(IMAGE, seed(number), 0), IMAGE)


def test_large_strengths_stay_valid():
    found = colour.color_jitter(tf.constant(IMAGE), seed(1), 5.0).numpy()
    assert np.isfinite(found).all() and 0 <= found.min() <= found.max() <= 1
