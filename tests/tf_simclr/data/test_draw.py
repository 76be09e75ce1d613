from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_simclr.config import AugmentConfig
from tf_simclr.data.draw import NUMBERS, draw_view

DRAWS = 2400
NAMES = ("brightness", "contrast", "saturation", "hue")


def draws(count=DRAWS, **settings):
    """Values of ``count`` draws by name, [count, ...]."""
    numbers = np.random.default_rng(0).uniform(0, 1, (count, NUMBERS)).astype(np.float32)
    config = AugmentConfig(**settings)
    traced = tf.function(lambda numbers: draw_view(numbers, config), autograph=False)
    found = [traced(tf.constant(row)) for row in numbers]
    return {name: np.stack([one[name] for one in found]) for name in found[0]}


@pytest.fixture(scope="module")
def usual():
    return draws()


def test_choices_are_made_as_often_as_the_paper_says_and_independently(usual):
    choices = np.stack([usual[name] for name in ("flip", "blur", "jitter", "grey")])
    assert np.abs(choices.mean(1) - [0.5, 0.5, 0.8, 0.2]).max() < 0.05  # five standard deviations
    assert np.abs(np.corrcoef(choices) - np.eye(4)).max() < 0.1


def test_every_order_of_the_four_operations_occurs_about_equally_often(usual):
    orders = [tuple(order) for order in usual["order"]]
    counts = [orders.count(order) for order in itertools.permutations(range(4))]
    assert sum(counts) == DRAWS
    # 100 expected; 24 binomial counts stay within five standard deviations.
    assert min(counts) > 50 and max(counts) < 150


@pytest.mark.parametrize("strength", [0.5, 1.0, 1.5, 5.0])
def test_factors_fill_their_ranges_evenly_and_independently(strength):
    factors = draws(600, color_jitter_strength=strength)["factors"]
    half, turn = 0.8 * strength, min(0.2 * strength, 0.5)
    for values, name in zip(factors.T, NAMES, strict=True):
        low, high = (-turn, turn) if name == "hue" else (max(0, 1 - half), 1 + half)
        assert low <= values.min() and values.max() <= high
        shares = np.histogram(values, 5, (low, high))[0] / len(values)
        assert np.abs(shares - 0.2).max() < 0.09
    assert np.abs(np.corrcoef(factors.T) - np.eye(4)).max() < 0.2


def test_what_is_switched_off_never_happens():
    off = draws(200, use_flip=False, use_blur=False, color_jitter_strength=0)
    assert not any(off[name].any() for name in ("flip", "blur", "jitter", "grey"))
