"""The yardstick is whole: right shapes, range, and every operation at work."""

import numpy as np

from benchmarks.plain_views import plain_views

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 24, 20, 3), np.uint8)


def first_batch(images, **options):
    return [
        view.numpy() for view in next(iter(plain_views(images, size=16, batch_size=len(images), **options)))
    ]


def test_views_are_batches_of_float32_in_0_1_and_differ():
    first, second = first_batch(IMAGES)
    assert first.shape == second.shape == (6, 16, 16, 3) and first.dtype == np.float32
    for view in (first, second):
        assert view.min() >= 0 and view.max() <= 1
    assert not np.array_equal(first, second)


def test_colour_and_grey_occur_about_as_often_as_they_shall():
    plain = np.full((400, 4, 4, 3), (40, 100, 200), np.uint8)
    colours = first_batch(plain)[0][:, 8, 8]
    unchanged = np.abs(colours - np.array([40, 100, 200]) / 255).max(1) < 1e-3
    grey = np.ptp(colours, axis=1) < 1e-3
    assert abs(unchanged.mean() - 0.2 * 0.8) < 0.06  # neither jitter (0.8) nor grey (0.2)
    assert abs(grey.mean() - 0.2) < 0.07
