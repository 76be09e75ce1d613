"""Compiled colours against the same operations of TensorFlow, one after the other."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_simclr.config import AugmentConfig
from tf_simclr.data.distort import distort_batch, distort_each
from tf_simclr.data.draw import NUMBERS, draw_view

COUNT, SIZE = 48, 12
IMAGES = np.random.default_rng(0).uniform(-0.15, 1.15, (COUNT, SIZE, SIZE, 3)).astype(np.float32)


def clip(image):
    return tf.clip_by_value(image, 0, 1)


PLAIN = (
    lambda image, factor: image * factor,
    tf.image.adjust_contrast,
    tf.image.adjust_saturation,
    tf.image.adjust_hue,
)


def plain(image, draw):
    if draw["jitter"]:
        for number in draw["order"]:
            image = clip(PLAIN[number](image, draw["factors"][number]))
    if draw["grey"]:
        image = tf.tile(tf.image.rgb_to_grayscale(image), [1, 1, 3])
    return clip(image)


@pytest.fixture(scope="module")
def draws():
    numbers = np.random.default_rng(1).uniform(0, 1, (COUNT, NUMBERS)).astype(np.float32)
    found = [draw_view(tf.constant(row), AugmentConfig()) for row in numbers]
    kept = ("jitter", "grey", "factors", "order")
    assert {bool(one["jitter"]) for one in found} == {bool(one["grey"]) for one in found} == {True, False}
    return {name: tf.stack([one[name] for one in found]) for name in kept}


@pytest.mark.parametrize("distort", [distort_each, distort_batch])
def test_pixels_are_those_of_the_plain_operations(distort, draws):
    found = distort(tf.constant(IMAGES), draws).numpy()
    assert found.shape == IMAGES.shape and found.min() >= 0 and found.max() <= 1
    for number in range(COUNT):
        one = {name: value[number].numpy() for name, value in draws.items()}
        np.testing.assert_allclose(found[number], plain(IMAGES[number], one), atol=0.1 / 255)


def test_an_image_alone_gets_the_pixels_that_it_has_among_others(draws):
    together = distort_each(tf.constant(IMAGES), draws).numpy()
    for number in range(4):
        alone = {name: value[number : number + 1] for name, value in draws.items()}
        found = distort_each(tf.constant(IMAGES[number : number + 1]), alone).numpy()
        np.testing.assert_allclose(found[0], together[number], atol=1e-6)
