"""Batches of each stage. Augmentation is a pure function of (seed, epoch, row, view).

All streams for training are endless, joined over epochs (a batch may hold the end of one and the start of
the next), and begin at example ``start`` of the unsharded stream, so that a stopped run continues as if it
had never stopped. ``shard`` (number, of) takes every ``of``-th example. Images are float32 [b, s, s, 3]
in [0, 1], ``label`` (-1 = none) and ``index`` (row of the split) int64 [b].
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tf_simclr.config import AugmentConfig
from tf_simclr.data import augment as ops
from tf_simclr.data import seeds
from tf_simclr.data.colour import clip
from tf_simclr.data.distort import distort_each
from tf_simclr.data.draw import FLIP_PROBABILITY, NUMBERS, draw_view
from tf_simclr.data.parallel import own_threads, parallel_map
from tf_simclr.data.source import NO_LABEL, Example, Source

VIEWS = 2
_CHUNK_PIXELS = 64 * 32**2


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

    blur_k: bool [b], which images of view k ``random_blur`` shall blur in the training step. With
    ``augment_device`` "accelerator" there are also draw_1 and draw_2, and the views are unclipped crops:
    ``distort_batch`` shall change their colours in the training step.
    """

    def crops(example: Example) -> Example:
        *crop_seeds, seed_of_draws = tf.unstack(tf.random.split(_seed_of(seed, example), 1 + VIEWS))
        numbers = tf.random.stateless_uniform([VIEWS, NUMBERS], seed_of_draws)
        # All else that was drawn is asked for of many images at once, which is cheaper.
        flips = tf.unstack(draw_view(numbers, augment)["flip"])
        found = {"label": example["label"], "index": example["index"], "numbers": numbers}
        for view, crop_seed in enumerate(crop_seeds):
            found[f"view_{view + 1}"] = ops.random_crop_and_flip(
                example["image"], crop_seed, flips[view], image_size, augment.min_crop_area
            )
        return found

    def views(chunk: Example) -> Example:
        return _views(chunk, augment)

    def views_of_one(example: Example) -> Example:
        return views({name: value[tf.newaxis] for name, value in crops(example).items()})

    chunk = batch_size if augment.augment_device == "accelerator" else _chunk_size(batch_size, image_size)
    each = views_of_one if chunk == 1 else crops
    chunks = source.shuffled(split, seed=seed, start=start, shard=shard, then=each)
    if chunk > 1:
        chunks = parallel_map(chunks.batch(chunk, drop_remainder=True), views)
    return _finished(_joined(chunks, batch_size // chunk))


def _views(chunk: Example, augment: AugmentConfig) -> Example:
    """Crops and their numbers, [k, ...], to views, or to all that the training step needs to make them."""
    draws = draw_view(chunk.pop("numbers"), augment)
    for view in range(VIEWS):
        name, draw = f"view_{view + 1}", {key: value[:, view] for key, value in draws.items()}
        chunk[f"blur_{view + 1}"] = draw.pop("blur")
        del draw["flip"]
        if augment.color_jitter_strength == 0:
            chunk[name] = clip(chunk[name])
        elif augment.augment_device == "accelerator":
            chunk[f"draw_{view + 1}"] = draw
        else:
            chunk[name] = distort_each(chunk[name], draw, augment.color_jitter)
    return chunk


def _chunk_size(batch_size: int, image_size: int) -> int:
    """Images that are distorted by one call: few enough to stay in a core's cache, and to share the cores."""
    most = max(1, _CHUNK_PIXELS // image_size**2)
    return max(size for size in range(1, min(most, batch_size) + 1) if batch_size % size == 0)


def _joined(chunks: tf.data.Dataset, number: int) -> tf.data.Dataset:
    """Batches of ``number`` chunks each."""
    if number == 1:
        return chunks

    def join(batch: Example) -> Example:
        return {name: tf.reshape(value, [-1, *value.shape[2:]]) for name, value in batch.items()}

    return chunks.batch(number, drop_remainder=True).map(join)


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
        crop_seed, flip_seed = tf.unstack(tf.random.split(_seed_of(seed, example), 2))
        flip = tf.random.stateless_uniform([], flip_seed) < FLIP_PROBABILITY * augment.use_flip
        image = ops.random_crop_and_flip(example["image"], crop_seed, flip, image_size, augment.min_crop_area)
        return {"image": clip(image), "label": example["label"], "index": example["index"]}

    # One view needs one part of the file.
    stream = source.undecoded().shuffled(
        split, seed=seed, start=start, subset=subset, shard=shard, then=cropped
    )
    return _finished(stream.batch(batch_size, drop_remainder=True))


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

    images = parallel_map(source.undecoded().examples(split, subset=subset), centred)
    if padded_to is not None:
        missing = padded_to - (source.num_examples(split) if subset is None else len(subset))
        none = tf.constant(NO_LABEL, tf.int64)
        black = {"image": tf.zeros([image_size, image_size, 3]), "label": none, "index": none}
        images = images.concatenate(tf.data.Dataset.from_tensors(black).repeat(missing))
    return _finished(images.batch(batch_size, drop_remainder=padded_to is not None))


def _seed_of(seed: int, example: Example) -> tf.Tensor:
    return seeds.example_seed(seed, example["epoch"], example["index"])


def _finished(batches: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    options.threading = own_threads()
    # ``shard`` has divided the stream already; a distribution strategy must not do it again.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)
