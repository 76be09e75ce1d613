from __future__ import annotations

import colorsys
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


def on_planes(operation, image, *factors):
    """The operation on an image [h, w, 3]."""
    return np.stack(operation(tuple(tf.constant(image[..., c]) for c in range(3)), *factors), axis=-1)


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
        found = on_planes(getattr(colour, f"adjust_{operation}"), golden["image/input"][0], factor)
        np.testing.assert_allclose(found, golden[f"image/{operation}_{factor}"], atol=1e-5)


def test_greyscale_gives_the_golden_pixels():
    with np.load(GOLDEN) as golden:
        found = on_planes(colour.to_grayscale, golden["image/input"][0])
        np.testing.assert_allclose(found, golden["image/gray"], atol=1e-5)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("factor", [0.0, 0.2, 1.0, 1.8])
def test_operations_agree_with_pythons_own_colour_conversion(name, factor):
    image = np.clip(IMAGE, 0, 1)
    image[0, 0], image[0, 1], image[0, 2] = 0.0, 1.0, 0.5  # black, white, grey: no hue and no saturation
    found = on_planes(getattr(colour, name), image, factor)
    np.testing.assert_allclose(found, np.clip(RESTATED[name](image, factor), 0, 1), atol=1e-5)


TENSORFLOWS = {
    "adjust_brightness": lambda x, f: x * f,
    "adjust_contrast": tf.image.adjust_contrast,
    "adjust_saturation": tf.image.adjust_saturation,
    "adjust_hue": tf.image.adjust_hue,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_agree_with_tensorflows_on_overshoot_and_every_factor(name):
    image = np.random.default_rng(1).uniform(-0.3, 1.3, (16, 16, 3)).astype(np.float32)
    image[:4] -= 1.5  # nothing above 0
    low, high = (-0.5, 0.5) if name == "adjust_hue" else (0, 2)
    for factor in np.linspace(low, high, 11):
        wanted = tf.clip_by_value(TENSORFLOWS[name](image, np.float32(factor)), 0, 1)
        np.testing.assert_allclose(on_planes(getattr(colour, name), image, factor), wanted, atol=2e-6)


def test_operations_work_on_batches_with_a_factor_each():
    images = np.random.default_rng(2).uniform(-0.1, 1.1, (5, 6, 7, 3)).astype(np.float32)
    factors = np.linspace(0.1, 1.7, 5, dtype=np.float32)
    for operation in colour.OPERATIONS:
        found = on_planes(operation, images, factors[:, None, None])
        for image, factor, one in zip(images, factors, found, strict=True):
            np.testing.assert_allclose(one, on_planes(operation, image, factor), atol=1e-6)
