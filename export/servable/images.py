"""Encoded images to the network's input, inside the graph; one that cannot be decoded harms no other."""

from __future__ import annotations

import tensorflow as tf

from export.servable.header import claimed_pixels
from tf_simclr.data.augment import center_crop_resize
from tf_simclr.data.decode import decode_image

# Pixels this far from [0, 1] are no overshoot of somebody's resizing, but of another range.
RANGE_TOLERANCE = 0.5


def decode_batch(encoded: tf.Tensor, size: int, max_pixels: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes, crops and resizes as evaluation does; in parallel over the batch.

    ``encoded``: string [n], JPEG, PNG, GIF (first frame), BMP or WebP (where TensorFlow
    reads it). Returns images, float32 [n, size, size, 3] in [0, 1], and valid, bool [n]:
    False, with a black image, where the bytes are damaged, of no known format or claim
    more than ``max_pixels`` pixels.

    No operation of a graph catches another's error but tf.data's ``ignore_errors``.
    It leaves damaged images out, so each image carries its row, and a black one at the
    end stands for those that are missing.
    """
    count = tf.size(encoded)

    def prepare(row: tf.Tensor, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.control_dependencies([tf.debugging.assert_less_equal(claimed_pixels(image), max_pixels_)]):
            image = tf.identity(image)
        return row, center_crop_resize(decode_image(image), size)

    max_pixels_ = tf.constant(max_pixels, tf.int64)
    black = tf.data.Dataset.from_tensors((count, tf.zeros([size, size, 3])))
    rows, images = (
        tf.data.Dataset.from_tensor_slices((tf.range(count), encoded))
        .map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False)
        .ignore_errors()
        .concatenate(black)
        .batch(tf.cast(count, tf.int64) + 1)
        .get_single_element()
    )
    last = tf.size(rows) - 1
    places = tf.tensor_scatter_nd_update(
        tf.fill([count + 1], last), rows[:, tf.newaxis], tf.range(tf.size(rows))
    )[:count]
    images = tf.ensure_shape(tf.gather(images, places), [None, size, size, 3])
    return images, places < last


def prepare_batch(images: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Crops and resizes float32 [n, h, w, 3] in [0, 1] as evaluation does.

    Returns images, float32 [n, size, size, 3] in [0, 1], and valid, bool [n]: False,
    with a black image, where a pixel is not finite or far outside of [0, 1].
    """
    far = tf.math.is_nan(images) | (tf.abs(images - 0.5) > 0.5 + RANGE_TOLERANCE)
    valid = tf.logical_not(tf.reduce_any(far, axis=[1, 2, 3]))
    images = tf.where(valid[:, tf.newaxis, tf.newaxis, tf.newaxis], images, tf.zeros_like(images))
    prepared = tf.map_fn(
        lambda image: center_crop_resize(image, size),
        images,
        fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32),
    )
    return prepared, valid
