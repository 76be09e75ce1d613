"""Batches of each stage. Augmentation is a pure function of (seed, epoch, row, view).

All streams for training are endless, joined over epochs (a batch may hold the end of one and the start of
the next), and begin at example ``start`` of the unsharded stream, so that a stopped run continues as if it
had never stopped. ``shard`` (number, of) takes every ``of``-th example. Images are float32 [b, s, s, 3]
in [0, 1], ``label`` (-1 = none) and ``index`` (row of the split) int64 [b].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_simclr.config import AugmentConfig
from tf_simclr.data import augment as ops
from tf_simclr.data import seeds
from tf_simclr.data.source import NO_LABEL, Example, Source

BLUR_PROBABILITY = 0.5


def pretrain_batches(
    source: Source,
    split: str,
    *,
    image_size: int,
    augment: AugmentConfig,
    batch_size: int,
    seed: int,
    start: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Endless batches of two views of each image: view_1, view_2, label, index, blur_1 and blur_2.

    blur_k: bool [b], which images of view k ``random_blur`` shall blur in the training step.
    """

    def views(example: Example) -> Example:
        first, second, blur = tf.unstack(tf.random.split(_seed_of(seed, example), 3))
        blurred = tf.random.stateless_uniform([2], blur) < (BLUR_PROBABILITY if augment.use_blur else 0.0)
        return {
            "view_1": ops.pretrain_view(example["image"], first, image_size, augment),
            "view_2": ops.pretrain_view(example["image"], second, image_size, augment),
            "blur_1": blurred[0],
            "blur_2": blurred[1],
            "label": example["label"],
            "index": example["index"],
        }

    stream = source.shuffled(split, seed=seed, start=start, shard=shard)
    return _batches(stream, views, batch_size, drop_remainder=True)


def labelled_batches(
    source: Source,
    split: str,
    *,
    image_size: int,
    augment: AugmentConfig,
    batch_size: int,
    seed: int,
    subset: np.ndarray | None = None,
    start: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Endless batches of cropped and flipped images: image, label, index. ``subset``: rows, None = all."""

    def cropped(example: Example) -> Example:
        image = ops.train_crop_and_flip(example["image"], _seed_of(seed, example), image_size, augment)
        return {"image": image, "label": example["label"], "index": example["index"]}

    stream = source.shuffled(split, seed=seed, start=start, subset=subset, shard=shard)
    return _batches(stream, cropped, batch_size, drop_remainder=True)


def distill_batches(
    source: Source,
    split: str,
    *,
    image_size: int,
    augment: AugmentConfig,
    batch_size: int,
    seed: int,
    labelled: np.ndarray | None,
    start: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Like :func:`labelled_batches` over all images; only rows in ``labelled`` keep their label.

    ``labelled`` None: every row keeps it.
    """
    batches = labelled_batches(
        source,
        split,
        image_size=image_size,
        augment=augment,
        batch_size=batch_size,
        seed=seed,
        start=start,
        shard=shard,
    )
    if labelled is None:
        return batches
    keep = np.zeros(source.num_examples(split), bool)
    keep[labelled] = True

    def hide(batch: Example) -> Example:
        none = tf.constant(NO_LABEL, tf.int64)
        return {**batch, "label": tf.where(tf.gather(keep, batch["index"]), batch["label"], none)}

    return batches.map(hide)


def evaluation_batches(
    source: Source,
    split: str,
    *,
    image_size: int,
    batch_size: int,
    subset: np.ndarray | None = None,
    padded_to: int | None = None,
) -> tf.data.Dataset:
    """One pass in the order of rows, centre-cropped: image, label, index.

    The last batch may be shorter, unless black images with label and index -1 fill up to
    ``padded_to`` images, a multiple of the batch size.
    """

    def centred(example: Example) -> Example:
        image = ops.center_crop_resize(example["image"], image_size)
        return {"image": image, "label": example["label"], "index": example["index"]}

    stream = source.examples(split, subset=subset)
    if padded_to is None:
        return _batches(stream, centred, batch_size, drop_remainder=False)
    missing = padded_to - (source.num_examples(split) if subset is None else len(subset))
    none = tf.constant(NO_LABEL, tf.int64)
    black = {"image": tf.zeros([image_size, image_size, 3]), "label": none, "index": none}
    padding = tf.data.Dataset.from_tensors(black).repeat(missing)
    return _batches(stream, centred, batch_size, drop_remainder=True, padding=padding)


def _seed_of(seed: int, example: Example) -> tf.Tensor:
    return seeds.example_seed(seed, example["epoch"], example["index"])


def _batches(
    stream: tf.data.Dataset,
    function: Callable[[Example], Example],
    batch_size: int,
    *,
    drop_remainder: bool,
    padding: tf.data.Dataset | None = None,
) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    # ``shard`` has divided the stream already; a distribution strategy must not do it again.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    mapped = stream.map(function, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    if padding is not None:
        mapped = mapped.concatenate(padding)
    return (
        mapped.batch(batch_size, drop_remainder=drop_remainder)
        .prefetch(tf.data.AUTOTUNE)
        .with_options(options)
    )
