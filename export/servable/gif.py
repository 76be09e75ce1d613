"""The frames of a GIF, counted before any of them is decoded."""

from __future__ import annotations

import tensorflow as tf

EXTENSION, FRAME = 0x21, 0x2C  # what introduces a block of GIF89a, appendix A
HEADER_BYTES, FRAME_BYTES = 13, 10
MAX_BLOCKS = 2**16  # 16 MB as programs write them; counting more would itself take long
BYTES_OF_A_PIXEL = 12  # of a decoded image; a frame that is decoded on the way to it takes 1

State = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]


def gif_pixels(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the largest of canvas, largest frame and a twelfth of all frames: int64 scalar.

    TensorFlow decodes every frame to return the first, and a frame may be larger than
    the canvas, so the canvas alone says nothing. More than ``MAX_BLOCKS`` blocks of data
    are the largest number there is. ``encoded``: string scalar.
    """
    data = tf.io.decode_raw(encoded, tf.uint8)
    length = tf.size(data)

    def byte(position: tf.Tensor) -> tf.Tensor:
        return tf.cast(data[tf.minimum(position, length - 1)], tf.int32)  # behind the end: stop, don't fail

    def area(position: int | tf.Tensor) -> tf.Tensor:
        sides = [byte(position + i) + 256 * byte(position + i + 1) for i in (0, 2)]
        return tf.cast(sides[0], tf.int64) * tf.cast(sides[1], tf.int64)

    def palette_bytes(flags: tf.Tensor) -> tf.Tensor:
        size = 3 * tf.bitwise.left_shift(2, tf.bitwise.bitwise_and(flags, 7))
        return tf.where(flags >= 128, size, 0)

    def is_inside(position: tf.Tensor, in_data: tf.Tensor, largest: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
        del largest, total
        introducer = byte(position)
        return (position < length) & (in_data | tf.equal(introducer, EXTENSION) | tf.equal(introducer, FRAME))

    def step(position: tf.Tensor, in_data: tf.Tensor, largest: tf.Tensor, total: tf.Tensor) -> State:
        """Passes one block of data, of which the last is empty, or the beginning of an extension or frame."""
        size = byte(position)
        is_frame = ~in_data & tf.equal(size, FRAME)
        frame = tf.where(is_frame, area(position + 5), tf.zeros([], tf.int64))
        beginning = tf.where(is_frame, FRAME_BYTES + palette_bytes(byte(position + 9)) + 1, 2)
        position += tf.where(in_data, size + 1, beginning)
        return position, ~in_data | (size > 0), tf.maximum(largest, frame), total + frame

    start = HEADER_BYTES + palette_bytes(byte(tf.constant(10)))
    zero = tf.zeros([], tf.int64)
    first = (start, tf.constant(False), area(6), zero)
    last = tf.while_loop(is_inside, step, first, maximum_iterations=MAX_BLOCKS)
    _, _, largest, total = last
    return tf.where(is_inside(*last), tf.int64.max, tf.maximum(largest, total // BYTES_OF_A_PIXEL))
