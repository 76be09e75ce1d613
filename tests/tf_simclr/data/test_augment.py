from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tf_simclr.data import augment

GOLDEN = Path(__file__).parents[2] / "golden" / "functions.npz"
IMAGE = np.random.default_rng(0).integers(0, 256, (30, 24, 3), np.uint8)

RANDOM_OPERATIONS = {
    "random_crop": augment.random_crop,
    "random_crop_and_flip": lambda image, seed: augment.random_crop_and_flip(
        image, seed, tf.constant(True), 16
    ),
}
every_operation = pytest.mark.parametrize("name", RANDOM_OPERATIONS)


def seed(number):
    return tf.constant([number, 11], tf.int64)


def ramps(height, width):
    """Channel 0 holds the row, channel 1 the column of each pixel, in thousandths."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows * 0], -1).astype(np.float32) / 1000


@every_operation
def test_operations_agree_eagerly_and_in_a_parallel_map(name):
    operation = RANDOM_OPERATIONS[name]
    seeds = tf.stack([seed(k) for k in range(12)])
    mapped = tf.data.Dataset.from_tensor_slices(seeds).map(
        lambda s: operation(IMAGE, s), num_parallel_calls=4
    )
    for k, found in enumerate(mapped.as_numpy_iterator()):
        np.testing.assert_allclose(found, operation(IMAGE, seed(k)), atol=1e-6)


@every_operation
def test_same_seed_gives_same_pixels_and_another_seed_others(name):
    operation = RANDOM_OPERATIONS[name]
    outputs = [np.asarray(operation(IMAGE, seed(k))) for k in range(8)]
    np.testing.assert_array_equal(outputs[0], operation(IMAGE, seed(0)))
    distinct = {output.tobytes() for output in outputs}
    assert len(distinct) == 8


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_training_images_are_float32_of_static_size(dtype):
    spec = tf.TensorSpec([None, None, 3], dtype)
    operation = RANDOM_OPERATIONS["random_crop_and_flip"]
    traced = tf.function(lambda image, s: operation(image, s)).get_concrete_function(spec, seed(0))
    assert traced.structured_outputs.shape == [16, 16, 3] and traced.structured_outputs.dtype == tf.float32


def test_uint8_and_float_images_give_the_same_view():
    operation = RANDOM_OPERATIONS["random_crop_and_flip"]
    for k in range(5):
        floats = operation(tf.constant(IMAGE / 255, tf.float32), seed(k))
        np.testing.assert_allclose(operation(IMAGE, seed(k)), floats, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(120, 120), (90, 160), (200, 80)])
def test_crops_keep_to_area_and_aspect_and_fill_both_ranges(height, width):
    image, size = ramps(height, width), 32
    areas, aspects = [], []
    for k in range(250):
        view = augment.resize(augment.random_crop(image, seed(k)), size).numpy() * 1000
        # Bicubic keeps a ramp, so the step between middle pixels is the crop's side over the size.
        crop_height = (view[size // 2, 9, 0] - view[size // 2 - 8, 9, 0]) / 8 * size
        crop_width = (view[9, size // 2, 1] - view[9, size // 2 - 8, 1]) / 8 * size
        areas.append(crop_height * crop_width / (height * width))
        aspects.append(crop_width / crop_height)
    largest = min(height, width / 0.75) * min(width, height / 0.75) / (height * width)  # of those that fit
    assert 0.08 * 0.93 < min(areas) < 0.16 and 0.85 * largest < max(areas) <= 1.001
    whole = width / height  # after 100 failures the whole image is taken
    inside = [a for a in aspects if abs(a - whole) > 1e-3]
    assert 0.75 * 0.93 < min(inside) < 0.82 and 1.22 < max(inside) < 1.333 * 1.07


def test_crops_do_not_clip_the_overshoot_of_bicubic_resizing():
    board = (np.indices((30, 24)).sum(0) // 3 % 2 * 255).astype(np.uint8)
    image, upright = np.stack([board] * 3, -1), tf.constant(False)
    crops = [augment.random_crop_and_flip(image, seed(k), upright, 32).numpy() for k in range(10)]
    assert min(c.min() for c in crops) < -0.01 and max(c.max() for c in crops) > 1.01


def test_a_mirrored_view_is_the_mirror_image_of_the_view():
    for k in range(5):
        upright, mirrored = (
            augment.random_crop_and_flip(IMAGE, seed(k), tf.constant(flip), 16).numpy()
            for flip in (False, True)
        )
        np.testing.assert_allclose(mirrored, upright[:, ::-1], atol=1e-5)


@pytest.mark.parametrize(("key", "number", "size"), [("center_crop_32", 0, 32), ("center_crop_24x24", 1, 24)])
def test_central_crop_gives_the_golden_pixels(key, number, size):
    with np.load(GOLDEN) as golden:
        square = augment.central_square(golden["image/input"][number])
        found = tf.image.resize(square, [size, size], "bicubic")
        np.testing.assert_allclose(found, golden[f"image/{key}"], atol=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "top", "left", "side"),
    # side = 0.875·shorter, half to even; offset = half of what is left, half up
    [
        (40, 36, 4, 2, 32),
        (256, 256, 16, 16, 224),
        (100, 61, 24, 4, 53),
        (45, 90, 3, 26, 39),
        (36, 50, 2, 9, 32),
    ],
)
def test_central_crop_sizes_and_offsets(height, width, top, left, side):
    found = augment.central_square(ramps(height, width)).numpy()
    np.testing.assert_array_equal(found, ramps(height, width)[top : top + side, left : left + side])


def test_evaluation_image_above_32_px_is_cropped():
    found = augment.center_crop_resize(ramps(64, 64), 56).numpy()
    np.testing.assert_allclose(found, ramps(64, 64)[4:60, 4:60], atol=1e-6)


def test_evaluation_image_up_to_32_px_is_whole():
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    np.testing.assert_allclose(augment.center_crop_resize(image, 32), image / 255, atol=1e-6)


def test_small_scans_are_enlarged_whole_and_clipped():
    scan = np.zeros((8, 8, 3), np.uint8)
    scan[:, 4:] = 255
    found = augment.center_crop_resize(scan, 16).numpy()
    assert found.shape == (16, 16, 3) and found.min() == 0 and found.max() == 1
    assert np.all(found[:, :6] < 0.01) and np.all(found[:, 10:] > 0.99)


def test_a_crop_keeps_at_least_the_area_asked_for():
    for k in range(30):
        assert np.prod(augment.random_crop(ramps(64, 64), seed(k), 0.5).shape[:2]) > 0.5 * 64 * 64 * 0.97
