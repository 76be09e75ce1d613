"""What every source of images offers, and the base of those with random access."""

from __future__ import annotations

import abc
import copy
import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tf_simclr.config import ConfigError
from tf_simclr.data import seeds
from tf_simclr.data.check import Finding, check_pixels, in_parallel
from tf_simclr.data.decode import decode_image
from tf_simclr.data.parallel import parallel_map
from tf_simclr.data.skipped import SplitCheck

Example = dict[str, tf.Tensor]  # image uint8 [h, w, 3], label int64, index int64; shuffled adds epoch int64
Reader = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]  # index -> (image, label)

HOST = "CPU:0"  # Arrays that tf.data reads stay in main memory, also where there is a GPU.
NO_LABEL = -1
_SAMPLE = 64  # images whose mean size stands for all
_ENDLESS = np.iinfo(np.int64).max


@dataclasses.dataclass(frozen=True)
class Examined:
    """All images of a split in order. ``ids``: [n] str; ``labels``: [n] int64; ``findings``: n of them."""

    ids: np.ndarray
    labels: np.ndarray
    findings: list[Finding]

    def pairs(self) -> Iterator[tuple[str, Finding]]:
        """Id and finding of each image."""
        return zip(map(str, self.ids), self.findings, strict=True)


class Source(abc.ABC):
    """A data set with named splits, whose examples have fixed rows.

    name: the value of --dataset. class_names: empty when the data has no labels.
    image_shape: (height, width) in px if all images share it and no pixel need be decoded to know it.
    checks: by split, what was found where the images of a split have been read to leave out bad ones.
    """

    name: str
    class_names: tuple[str, ...] = ()
    image_shape: tuple[int, int] | None = None
    _decode: Callable[[tf.Tensor], tf.Tensor] = staticmethod(decode_image)  # of files; pixels need none

    @functools.cached_property
    def checks(self) -> dict[str, SplitCheck]:
        """See the class."""
        return {}

    @property
    @abc.abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""

    @abc.abstractmethod
    def num_examples(self, split: str) -> int:
        """Rows of ``split``, without reading a pixel. Raises ConfigError for an unknown split."""

    @abc.abstractmethod
    def ids(self, split: str) -> np.ndarray:
        """Names of the examples that are the same on every machine: [n] str."""

    @abc.abstractmethod
    def labels(self, split: str) -> np.ndarray:
        """Class numbers: [n] int64, -1 = none."""

    @abc.abstractmethod
    def fingerprint(self, split: str) -> str:
        """SHA-256 (hex) of the identity of the data: ids, labels, and content or file sizes."""

    def undecoded(self) -> Source:
        """The same source, whose images may be encoded files (scalar strings) where it reads such."""
        twin = copy.copy(self)
        twin._decode = tf.identity
        return twin

    @abc.abstractmethod
    def examples(self, split: str, *, subset: np.ndarray | None = None) -> tf.data.Dataset:
        """One pass in the order of rows; ``subset``: the rows wanted, sorted int64, None = all."""

    @abc.abstractmethod
    def shuffled(
        self,
        split: str,
        *,
        seed: int,
        start: int = 0,
        subset: np.ndarray | None = None,
        shard: tuple[int, int] = (0, 1),
        then: Callable[[Example], Example] | None = None,
    ) -> tf.data.Dataset:
        """Endless: the permutations of epochs 0, 1, ... joined, each a pure function of (seed, epoch).

        Begins at the ``start``-th element of that stream and takes the elements k with
        k % shard[1] == shard[0]. ``then`` is done to every example, in the call that reads it: two calls
        would cost more than small images do. Raises ValueError for an empty subset or an impossible shard.
        """

    def decoded_bytes(self, split: str) -> int:
        """Memory that the pixels of ``split`` take as uint8 RGB; judged by the first if sizes differ."""
        count = self.num_examples(split)
        if self.image_shape:
            return 3 * count * math.prod(self.image_shape)
        images = (example["image"] for example in self.examples(split).take(_SAMPLE).as_numpy_iterator())
        return round(count * np.mean([image.size for image in images]))

    def examine(self, split: str) -> Examined:
        """Reads every image of ``split`` once, also those that cannot be used."""
        images = (example["image"] for example in self.examples(split).as_numpy_iterator())
        found = in_parallel(
            check_pixels, images, self.num_examples(split), f"Checking {split} of {self.name}"
        )
        return Examined(self.ids(split), self.labels(split), found)

    def has_split(self, split: str) -> bool:
        """Whether :meth:`check_split` lets it pass."""
        try:
            self.check_split(split)
        except ConfigError:
            return False
        return True

    def check_split(self, split: str) -> None:
        """Raises ConfigError unless the source has ``split``."""
        if split not in self.splits:
            raise ConfigError(
                f"--dataset={self.name} has no split {split!r}. "
                f"Set --train_split or --eval_split to one of: {', '.join(self.splits)}."
            )


class RandomAccessSource(Source):
    """A source that can give any row at once, so that a stream starts anywhere in O(1).

    A subclass gives :meth:`reader`.
    """

    @abc.abstractmethod
    def reader(self, split: str) -> Reader:
        """Function from an int64 scalar row to (image uint8 [h, w, 3], label int64 scalar)."""

    def sent_bytes(self, split: str) -> int:
        """Bytes of pixels that are a part of a stream over ``split``, and go with it to a tf.data service."""
        del split
        return 0

    def examples(self, split: str, *, subset: np.ndarray | None = None) -> tf.data.Dataset:
        """See :class:`Source`."""
        rows = subset_rows(self.num_examples(split), subset)
        read = self.reader(split)

        def example(row: tf.Tensor) -> Example:
            image, label = read(row)
            return {"image": image, "label": label, "index": row}

        dataset = tf.data.Dataset.from_tensor_slices(rows)
        return parallel_map(dataset, example)

    def shuffled(
        self,
        split: str,
        *,
        seed: int,
        start: int | tf.Tensor = 0,
        subset: np.ndarray | None = None,
        shard: tuple[int, int] = (0, 1),
        then: Callable[[Example], Example] | None = None,
    ) -> tf.data.Dataset:
        """See :class:`Source`; ``start`` may be an int64 scalar."""
        rows = subset_rows(self.num_examples(split), subset)
        if not tf.is_tensor(start):
            check_stream(len(rows), start, shard)
        count, read = len(rows), self.reader(split)
        with tf.device(HOST):
            row_at = tf.constant(rows)

        def example(position: tf.Tensor) -> Example:
            epoch = position // count
            row = tf.gather(row_at, seeds.shuffled_position(position % count, count, seed, epoch))
            image, label = read(row)
            found = {"image": image, "label": label, "index": row, "epoch": epoch}
            return then(found) if then else found

        first = start + (shard[0] - start) % shard[1]
        positions = tf.data.Dataset.range(first, _ENDLESS, shard[1])
        return parallel_map(positions, example)


def check_stream(count: int, start: int, shard: tuple[int, int]) -> None:
    """Raises ValueError unless an endless stream over ``count`` examples can begin."""
    if count == 0:
        raise ValueError("A stream needs at least one example. Received an empty split or subset.")
    if start < 0:
        raise ValueError(f"start must be 0 or more. Received {start}.")
    if not 0 <= shard[0] < shard[1]:
        raise ValueError(f"shard must be (number, of) with 0 <= number < of. Received {shard}.")


def subset_rows(num_examples: int, subset: np.ndarray | None) -> np.ndarray:
    """The rows wanted: [k] int64, all for None. Raises ValueError for rows that do not exist."""
    if subset is None:
        return np.arange(num_examples, dtype=np.int64)
    rows = np.asarray(subset, np.int64)
    if rows.size and not 0 <= rows.min() <= rows.max() < num_examples:
        raise ValueError(
            f"subset must hold rows 0 to {num_examples - 1}. Received {rows.min()} to {rows.max()}."
        )
    return rows


def digest(*parts: bytes | str | np.ndarray | Sequence[str]) -> str:
    """SHA-256 (hex) of the parts; where one part ends is part of the hash."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype.kind != "U":
            content = f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes()
        elif isinstance(part, bytes):
            content = part
        else:
            # Names of files may be no valid Unicode; Python marks such bytes as surrogates.
            content = (part if isinstance(part, str) else "\0".join(part)).encode(errors="surrogateescape")
        total.update(hashlib.sha256(content).digest())
    return total.hexdigest()
