"""Images in memory as uint8 arrays, and scikit-learn's scanned digits."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tf_simclr.data.source import HOST, NO_LABEL, RandomAccessSource, Reader, digest

_DIGITS_TEST = 360  # of 1,797, leaving 1,437 for training
_DIGITS_WHITE = 16  # The scans have 17 grey levels, 0..16.


@dataclasses.dataclass(frozen=True)
class ArraySplit:
    """One split. ``labels``: [n] int64; ``load``: gives images uint8 [n, h, w], [n, h, w, 1 or 3]."""

    labels: np.ndarray
    image_shape: tuple[int, int]
    load: Callable[[], np.ndarray]

    @classmethod
    def of(cls, images: np.ndarray, labels: np.ndarray | None = None) -> ArraySplit:
        """Split of arrays at hand. Raises ValueError for wrong dtypes, shapes or counts."""
        if images.dtype != np.uint8 or not is_image_shape(images.shape):
            raise ValueError(
                "images must be uint8 [n, h, w], [n, h, w, 1] or [n, h, w, 3]. "
                f"Received {images.dtype} {list(images.shape)}."
            )
        if labels is None:
            labels = np.full(len(images), NO_LABEL)
        if labels.shape != (len(images),):
            raise ValueError(f"labels must have shape [{len(images)}]. Received {list(labels.shape)}.")
        return cls(labels.astype(np.int64), (images.shape[1], images.shape[2]), lambda: images)


class ArraySource(RandomAccessSource):
    """Splits of uint8 arrays; grey images are repeated to RGB as they are read."""

    def __init__(
        self, name: str, splits: Mapping[str, ArraySplit], class_names: tuple[str, ...] = ()
    ) -> None:
        shapes = {split.image_shape for split in splits.values()}
        self.name = name
        self.class_names = class_names
        self.image_shape = shapes.pop() if len(shapes) == 1 else None
        self._splits = dict(splits)
        self._images = functools.cache(self._load)

    @property
    def splits(self) -> tuple[str, ...]:
        """See :class:`Source`."""
        return tuple(self._splits)

    def num_examples(self, split: str) -> int:
        """See :class:`Source`."""
        return len(self._split(split).labels)

    def ids(self, split: str) -> np.ndarray:
        """See :class:`Source`; "train/17" for row 17."""
        return np.array([f"{split}/{row}" for row in range(self.num_examples(split))], dtype=np.str_)

    def labels(self, split: str) -> np.ndarray:
        """See :class:`Source`."""
        return self._split(split).labels.copy()

    def fingerprint(self, split: str) -> str:
        """See :class:`Source`; hashes every pixel."""
        return digest(split, self._split(split).labels, self._split(split).load())

    def reader(self, split: str) -> Reader:
        """See :class:`RandomAccessSource`."""
        images = self._images(split)
        with tf.device(HOST):
            labels = tf.constant(self._split(split).labels)
        height, width = self._split(split).image_shape
        channels = images.shape[3]

        def read(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            image = tf.gather(images, row)
            if channels == 1:
                image = tf.tile(image, [1, 1, 3])
            return tf.ensure_shape(image, [height, width, 3]), tf.gather(labels, row)

        return read

    def sent_bytes(self, split: str) -> int:
        """See :class:`RandomAccessSource`."""
        return int(self._images(split).shape.num_elements())

    def _split(self, split: str) -> ArraySplit:
        self.check_split(split)
        return self._splits[split]

    def _load(self, split: str) -> tf.Tensor:
        images = self._splits[split].load()
        # A service's graph may be what asks first; it must not own them.
        with tf.init_scope(), tf.device(HOST):
            return tf.constant(images[..., np.newaxis] if images.ndim == 3 else images)


def is_image_shape(shape: tuple[int, ...]) -> bool:
    """Whether ``shape`` is [n, h, w], [n, h, w, 1] or [n, h, w, 3] with at least one pixel an image."""
    grey_or_rgb = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
    return grey_or_rgb and min(shape[1:3]) > 0


def digits() -> ArraySource:
    """scikit-learn's 1,797 real 8x8 scans of handwritten digits (UCI), 1,437 train and 360 test.

    The split is fixed and class-balanced; grey levels 0..16 become 0..255.
    """
    from sklearn import datasets, model_selection

    data = datasets.load_digits()
    images = np.rint(data.images * (255 / _DIGITS_WHITE)).astype(np.uint8)
    splitter = model_selection.StratifiedShuffleSplit(n_splits=1, test_size=_DIGITS_TEST, random_state=0)
    train, test = (np.sort(rows) for rows in next(splitter.split(images, data.target)))
    return ArraySource(
        "digits",
        {
            "train": ArraySplit.of(images[train], data.target[train]),
            "test": ArraySplit.of(images[test], data.target[test]),
        },
        tuple(str(digit) for digit in range(10)),
    )
