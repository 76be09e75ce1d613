"""How many pixels an encoded image claims to have, read before any of them is decoded.

A few hundred bytes can claim gigabytes of pixels. Everything here is TensorFlow
operations, so that a servable refuses such an image wherever it is loaded.
"""

from __future__ import annotations

import tensorflow as tf

from export.servable.gif import gif_pixels

UNKNOWN_FORMAT = tf.int64.max


def claimed_pixels(encoded: tf.Tensor) -> tf.Tensor:
    """Returns width · height as the header of one image has them: int64 scalar.

    ``encoded``: string scalar, a JPEG, PNG, GIF, BMP or WebP; ``UNKNOWN_FORMAT`` for
    anything else; of a GIF see :func:`gif_pixels`. Running it raises InvalidArgumentError where
    the header is cut short.
    """

    def starts_with(magic: bytes) -> tf.Tensor:
        return tf.equal(tf.strings.substr(encoded, 0, len(magic)), magic)

    def size(position: int, length: int, order: str = "little") -> tf.Tensor:
        return _area(*(_number(encoded, position + i * length, length, order) for i in range(2)))

    def jpeg() -> tf.Tensor:
        shape = tf.cast(tf.io.extract_jpeg_shape(encoded), tf.int64)
        return _area(shape[0], shape[1])

    return tf.case(
        [
            (starts_with(b"\xff\xd8\xff"), jpeg),
            (starts_with(b"\x89PNG"), lambda: size(16, 4, "big")),
            (starts_with(b"GIF8"), lambda: gif_pixels(encoded)),
            (starts_with(b"BM"), lambda: _bmp(encoded)),
            (starts_with(b"RIFF"), lambda: _webp(encoded)),
        ],
        default=lambda: tf.constant(UNKNOWN_FORMAT),
    )


def _area(width: tf.Tensor, height: tf.Tensor) -> tf.Tensor:
    return tf.abs(width) * tf.abs(height)


def _number(encoded: tf.Tensor, position: int, length: int, order: str = "little") -> tf.Tensor:
    """Returns the unsigned number of ``length`` bytes at ``position``: int64 scalar."""
    digits = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, position, length), tf.uint8), tf.int64)
    digits = tf.ensure_shape(digits, [length])
    powers = [256**i for i in range(length)]
    return tf.reduce_sum(digits * tf.constant(powers if order == "little" else powers[::-1], tf.int64))


def _bmp(encoded: tf.Tensor) -> tf.Tensor:
    """Signed sizes; a negative height means that rows run from the top."""
    width, height = (_number(encoded, position, 4) for position in (18, 22))
    return _area(*(tf.where(side < 2**31, side, side - 2**32) for side in (width, height)))


def _webp(encoded: tf.Tensor) -> tf.Tensor:
    """The three kinds of WebP: VP8X (24-bit sizes less one), VP8L (14-bit less one), VP8 (14-bit)."""
    kind = tf.strings.substr(encoded, 12, 4)

    def extended() -> tf.Tensor:
        return _area(_number(encoded, 24, 3) + 1, _number(encoded, 27, 3) + 1)

    def lossless() -> tf.Tensor:
        bits = _number(encoded, 21, 4)
        return _area(bits % 2**14 + 1, bits // 2**14 % 2**14 + 1)

    def lossy() -> tf.Tensor:
        return _area(_number(encoded, 26, 2) % 2**14, _number(encoded, 28, 2) % 2**14)

    cases = [(tf.equal(kind, b"VP8X"), extended), (tf.equal(kind, b"VP8L"), lossless)]
    return tf.case(cases, default=lossy)
