"""Decoded images of another source, kept in memory."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import tensorflow as tf
import tqdm

from tf_simclr.data.source import HOST, RandomAccessSource, Reader, Source


@dataclasses.dataclass(frozen=True)
class _Pixels:
    """Images of any size, joined. ``flat``: uint8 [bytes]; ``offsets``: [n]; ``shapes``: [n, 3] int64."""

    flat: tf.Tensor
    offsets: tf.Tensor
    shapes: tf.Tensor


class CachedSource(RandomAccessSource):
    """``source`` with every split decoded once, on first use, into main memory (height·width·3 bytes each).

    Its streams start anywhere at once, also where those of ``source`` cannot.
    """

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.class_names = source.class_names
        self.image_shape = source.image_shape
        self.checks = source.checks
        self._source = source
        self._pixels = functools.cache(self._read)

    @property
    def splits(self) -> tuple[str, ...]:
        """See :class:`Source`."""
        return self._source.splits

    def check_split(self, split: str) -> None:
        """See :class:`Source`."""
        self._source.check_split(split)

    def num_examples(self, split: str) -> int:
        """See :class:`Source`."""
        return self._source.num_examples(split)

    def ids(self, split: str) -> np.ndarray:
        """See :class:`Source`."""
        return self._source.ids(split)

    def labels(self, split: str) -> np.ndarray:
        """See :class:`Source`."""
        return self._source.labels(split)

    def fingerprint(self, split: str) -> str:
        """See :class:`Source`."""
        return self._source.fingerprint(split)

    def reader(self, split: str) -> Reader:
        """See :class:`RandomAccessSource`."""
        pixels = self._pixels(split)
        with tf.device(HOST):
            labels = tf.constant(self.labels(split))
        height, width = self.image_shape or (None, None)

        def read(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            shape = tf.gather(pixels.shapes, row)
            begin = tf.gather(pixels.offsets, row)
            image = tf.slice(pixels.flat, [begin], [tf.reduce_prod(shape)])
            return tf.ensure_shape(tf.reshape(image, shape), [height, width, 3]), tf.gather(labels, row)

        return read

    def decoded_bytes(self, split: str) -> int:
        """See :class:`Source`; nothing is kept of what it reads."""
        return self._source.decoded_bytes(split)

    def sent_bytes(self, split: str) -> int:
        """See :class:`RandomAccessSource`."""
        return self.decoded_bytes(split)

    def _read(self, split: str) -> _Pixels:
        with tf.init_scope():  # A service's graph may be what asks first; it must not own the pixels.
            return self._read_eagerly(split)

    def _read_eagerly(self, split: str) -> _Pixels:
        flat = bytearray()  # grows in place; only tf.constant, at the end, holds further copies for a moment
        shapes = []
        examples = self._source.examples(split).as_numpy_iterator()
        count = self.num_examples(split)
        # disable=None: no bar where nobody watches, as in a log file.
        for example in tqdm.tqdm(
            examples, f"Decoding {split} of {self.name}", count, unit="image", disable=None
        ):
            flat += example["image"].tobytes()
            shapes.append(example["image"].shape)
        sizes = np.prod(np.array(shapes, np.int64), axis=1)
        with tf.device(HOST):
            return _Pixels(
                tf.constant(np.frombuffer(flat, np.uint8)),
                tf.constant(np.cumsum(sizes) - sizes),
                tf.constant(np.array(shapes, np.int64)),
            )
