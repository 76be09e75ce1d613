"""``--dataset=NAME``: a TensorFlow Datasets data set that is already prepared on disk, read as a stream."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_simclr.config import ConfigError
from tf_simclr.data import seeds
from tf_simclr.data.check import check_encoded, in_parallel
from tf_simclr.data.parallel import parallel_map
from tf_simclr.data.source import NO_LABEL, Examined, Example, Source, check_stream, digest, subset_rows

SHUFFLE_BUFFER = 10 * 1024  # encoded images; a split that fits is shuffled whole
_GRAPH_SEED = 2020  # any constant; see _shuffle


class TfdsSource(Source):
    """A prepared TFDS data set (``cifar10``, ``imagenet2012_subset/1pct``); nothing is downloaded.

    Rows are the order of its files. Splits may be expressions such as ``train[:10%]``. Raises ConfigError
    for a data set that is not prepared or has no uint8 ``image`` feature.
    """

    def __init__(self, name: str, data_dir: str | None) -> None:
        self.name = name
        self._builder = _prepared(name, data_dir)
        features = dict(self._builder.info.features)
        image: Any = features.get("image")
        if not _is_uint8_image(image):
            raise ConfigError(
                f"--dataset={name} has no uint8 image feature 'image', only {', '.join(features)}. "
                "Use a TFDS image data set, folder:PATH or npz:PATH."
            )
        height, width = image.shape[:2]
        self.image_shape = (height, width) if height and width else None
        label_names = getattr(features.get("label"), "names", None)  # Only a ClassLabel has names.
        self.class_names = tuple(label_names or ())
        self._ids_and_labels = functools.cache(self._read_ids_and_labels)

    @property
    def splits(self) -> tuple[str, ...]:
        """See :class:`Source`."""
        return tuple(self._builder.info.splits)

    def check_split(self, split: str) -> None:
        """Raises ConfigError unless ``split`` is a split or an expression over splits."""
        try:
            self._split_info(split)
        except (KeyError, ValueError, AssertionError):
            super().check_split(split)  # Names the splits.
            raise

    def num_examples(self, split: str) -> int:
        """See :class:`Source`."""
        self.check_split(split)
        return int(self._split_info(split).num_examples)

    def ids(self, split: str) -> np.ndarray:
        """See :class:`Source`; TFDS's own, file name and position. Reads the files once."""
        return self._ids_and_labels(split)[0].copy()

    def labels(self, split: str) -> np.ndarray:
        """See :class:`Source`. Reads the files once, without decoding."""
        return self._ids_and_labels(split)[1].copy()

    def fingerprint(self, split: str) -> str:
        """See :class:`Source`; hashes name, version, split, and examples and bytes of the files."""
        self.check_split(split)
        info = self._builder.info
        files = [
            f"{name} {list(info.splits[name].shard_lengths)} {info.splits[name].num_bytes}"
            for name in sorted(info.splits)
        ]
        return digest(info.full_name, split, str(self.num_examples(split)), files)

    def examine(self, split: str) -> Examined:
        """See :class:`Source`."""
        images = (example["image"] for example in self._encoded(split, None).as_numpy_iterator())
        found = in_parallel(
            check_encoded, images, self.num_examples(split), f"Checking {split} of {self.name}"
        )
        return Examined(self.ids(split), self.labels(split), found)

    def examples(self, split: str, *, subset: np.ndarray | None = None) -> tf.data.Dataset:
        """See :class:`Source`."""
        return self._decoded(self._encoded(split, subset))

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
        """See :class:`Source`; starting inside an epoch reads, but does not decode, what lies before.

        Splits beyond SHUFFLE_BUFFER images are shuffled through a buffer of that size.
        """
        count = self.num_examples(split) if subset is None else len(subset)
        check_stream(count, start, shard)
        encoded = self._encoded(split, subset)

        def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
            shuffled = _shuffle(encoded, seeds.epoch_seed(seed, epoch))
            return shuffled.map(lambda example: {**example, "epoch": epoch})

        epochs = tf.data.Dataset.range(start // count, np.iinfo(np.int64).max)
        stream = epochs.flat_map(one_epoch).skip(start % count)
        return self._decoded(stream.shard(shard[1], (shard[0] - start) % shard[1]), then)

    def _decoded(
        self, encoded: tf.data.Dataset, then: Callable[[Example], Example] | None = None
    ) -> tf.data.Dataset:
        def decoded(example: Example) -> Example:
            found = {**example, "image": self._decode(example["image"])}
            return then(found) if then else found

        return parallel_map(encoded, decoded)

    def _split_info(self, split: str) -> Any:
        return self._builder.info.splits[split]

    def _files(self, split: str) -> tf.data.Dataset:
        """Every feature in file order, the image still encoded, and ``tfds_id``."""
        import tensorflow_datasets as tfds

        self.check_split(split)
        return self._builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders={"image": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(add_tfds_id=True, try_autocache=False),
        )

    def _encoded(self, split: str, subset: np.ndarray | None) -> tf.data.Dataset:
        """Rows in order, with ``image`` encoded."""
        labelled = bool(self.class_names)

        def example(row: tf.Tensor, features: dict[str, tf.Tensor]) -> Example:
            label = tf.cast(features["label"], tf.int64) if labelled else tf.constant(NO_LABEL, tf.int64)
            return {"image": features["image"], "label": label, "index": row}

        rows = self._files(split).enumerate()
        if subset is not None:
            wanted = np.zeros(self.num_examples(split), bool)
            wanted[subset_rows(len(wanted), subset)] = True
            rows = rows.filter(lambda row, features: tf.gather(wanted, row))
        return rows.map(example)

    def _read_ids_and_labels(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        labelled = bool(self.class_names)
        features = self._files(split).map(
            lambda f: (f["tfds_id"], f["label"] if labelled else tf.constant(NO_LABEL, tf.int64))
        )
        pairs = [(name.decode(), label) for name, label in features.as_numpy_iterator()]
        return (
            np.array([name for name, _ in pairs], np.str_),
            np.array([label for _, label in pairs], np.int64),
        )


def _is_uint8_image(feature: Any) -> bool:
    import tensorflow_datasets as tfds

    return isinstance(feature, tfds.features.Image) and feature.dtype == np.uint8


def _prepared(name: str, data_dir: str | None) -> Any:
    """Builder of files that exist; it never reaches for the network, unlike ``tfds.builder``."""
    import tensorflow_datasets as tfds

    try:
        return tfds.core.read_only_builder.builder_from_files(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        where = data_dir or tfds.core.constants.DATA_DIR
        raise ConfigError(
            f"--dataset={name} is none of digits, folder:PATH and npz:PATH, and no TFDS data set of that "
            f"name is prepared in {where}. Prepare it with: tfds build {name} --data_dir {where}; "
            "or set --data_dir to where it is."
        ) from error


def _shuffle(dataset: tf.data.Dataset, seed: tf.Tensor) -> tf.data.Dataset:
    # Dataset.shuffle mixes its seed with the global one of tf.random.set_seed; fixing that of the graph
    # being traced keeps the order a function of ``seed`` alone.
    tf.compat.v1.set_random_seed(_GRAPH_SEED)
    return dataset.shuffle(SHUFFLE_BUFFER, seed=seed, reshuffle_each_iteration=False)
