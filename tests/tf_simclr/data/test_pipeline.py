from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_simclr.config import AugmentConfig
from tf_simclr.data import augment, pipeline, seeds
from tf_simclr.data.arrays import ArraySource, ArraySplit
from tf_simclr.data.distort import distort_batch
from tf_simclr.data.draw import NUMBERS, draw_view
from tf_simclr.data.folder import FolderSource
from tf_simclr.data.tfds import TfdsSource

COUNT = 11
SIZE = 12


@pytest.fixture
def source():
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 10, 14, 3), np.uint8)
    return ArraySource("made", {"train": ArraySplit.of(images, np.arange(COUNT) % 3)}, tuple("abc"))


def pretrain(source, batch_size=4, seed=0, config=None, **options):
    return pipeline.pretrain_batches(
        source,
        "train",
        image_size=SIZE,
        augment=config or AugmentConfig(),
        batch_size=batch_size,
        seed=seed,
        **options,
    )


def labelled(source, batch_size=4, seed=0, **options):
    return pipeline.labelled_batches(
        source,
        "train",
        image_size=SIZE,
        augment=AugmentConfig(),
        batch_size=batch_size,
        seed=seed,
        **options,
    )


def examples(batches, count):
    """The first ``count`` examples, taken out of their batches."""
    singles = batches.unbatch().as_numpy_iterator()
    return list(itertools.islice(singles, count))


def assert_same(found, wanted):
    """Equal examples; pixels up to the rounding of a program that was compiled for another batch size."""
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        for name in other:
            np.testing.assert_allclose(one[name], other[name], atol=1e-6)


def test_training_batches_have_static_shapes(source):
    image = tf.TensorSpec([4, SIZE, SIZE, 3], tf.float32)
    number, chosen = tf.TensorSpec([4], tf.int64), tf.TensorSpec([4], tf.bool)
    assert pretrain(source).element_spec == {
        "view_1": image,
        "view_2": image,
        "blur_1": chosen,
        "blur_2": chosen,
        "label": number,
        "index": number,
    }
    assert labelled(source).element_spec == {"image": image, "label": number, "index": number}


def test_training_batches_are_all_full_and_straddle_epochs(source):
    sizes = [len(b["index"]) for b in itertools.islice(pretrain(source).as_numpy_iterator(), 8)]
    assert sizes == [4] * 8
    rows = [int(e["index"]) for e in examples(pretrain(source), 2 * COUNT)]
    assert sorted(rows[:COUNT]) == sorted(rows[COUNT:]) == list(range(COUNT))


def test_training_streams_never_end(source):
    assert sum(1 for _ in labelled(source, batch_size=50).take(20)) == 20


@pytest.mark.parametrize("start", [4, COUNT - 1, 3 * COUNT + 2])
@pytest.mark.parametrize("kind", ["arrays", "folder", "tfds"])
def test_resumed_batches_have_the_pixels_of_the_unbroken_run(kind, start, source, image_folder, tfds_dir):
    if kind == "folder":
        source = FolderSource(str(image_folder))
    if kind == "tfds":
        source = TfdsSource("tiny_shapes/small", str(tfds_dir))
    unbroken = examples(pretrain(source, seed=9), start + 12)[start:]
    assert_same(examples(pretrain(source, seed=9, start=start), 12), unbroken)


def test_pixels_do_not_depend_on_batch_size_or_sharding(source):
    whole = examples(pretrain(source, batch_size=6), 24)
    assert_same(examples(pretrain(source, batch_size=5), 24), whole)
    for number in range(2):
        shard = examples(pretrain(source, batch_size=3, shard=(number, 2)), 12)
        assert_same(shard, whole[number::2])


def restated_view(image, crop_seed, numbers, config):
    """A view by TensorFlow's plain operations on what was drawn, without blur."""
    draw = {name: value.numpy() for name, value in draw_view(numbers, config).items()}
    view = augment.resize(augment.random_crop(image, crop_seed, config.min_crop_area), SIZE).numpy()
    view = view[:, ::-1] if draw["flip"] else view
    plain = (
        lambda x, f: x * f,
        tf.image.adjust_contrast,
        tf.image.adjust_saturation,
        tf.image.adjust_hue,
    )
    for number in draw["order"] if draw["jitter"] else ():
        view = tf.clip_by_value(plain[number](view, draw["factors"][number]), 0, 1)
    return tf.clip_by_value(tf.image.rgb_to_grayscale(view) if draw["grey"] else view, 0, 1)


def test_views_are_the_plain_operations_on_the_seed_of_seed_epoch_and_row(source):
    images = [e["image"] for e in source.examples("train").as_numpy_iterator()]
    for k, example in enumerate(examples(pretrain(source, seed=5), 2 * COUNT)):
        row = int(example["index"])
        example_seed = seeds.example_seed(5, tf.constant(k // COUNT, tf.int64), tf.constant(row, tf.int64))
        *crop_seeds, last = tf.unstack(tf.random.split(example_seed, 3))
        numbers = tf.random.stateless_uniform([2, NUMBERS], last)
        for view in (0, 1):
            wanted = restated_view(images[row], crop_seeds[view], numbers[view], AugmentConfig())
            np.testing.assert_allclose(
                example[f"view_{view + 1}"], np.broadcast_to(wanted, (SIZE, SIZE, 3)), atol=1 / 255
            )


def test_the_training_step_makes_the_views_that_the_host_would(source):
    host = next(pretrain(source, batch_size=8).as_numpy_iterator())
    crops = next(iter(pretrain(source, batch_size=8, config=AugmentConfig(augment_device="accelerator"))))
    for view in (1, 2):
        found = distort_batch(crops[f"view_{view}"], crops[f"draw_{view}"])
        np.testing.assert_allclose(found, host[f"view_{view}"], atol=1e-5)
    for name in ("label", "index", "blur_1", "blur_2"):
        np.testing.assert_array_equal(crops[name], host[name])


@pytest.mark.parametrize("batch_size", [1, 5, 7, 64, 96])
def test_chunks_divide_the_batch_and_stay_small(batch_size):
    for size in (8, 32, 224):
        chunk = pipeline._chunk_size(batch_size, size)
        assert batch_size % chunk == 0 and (chunk == 1 or chunk * size**2 <= 64 * 32**2)


def test_views_epochs_rows_and_seeds_all_differ():
    # Every image is the same, so only the augmentation can tell the results apart.
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    source = ArraySource("made", {"train": ArraySplit.of(np.repeat(image, COUNT, axis=0))})
    found = set()
    for seed in (0, 1, 1 << 32):
        for example in examples(pretrain(source, seed=seed), 2 * COUNT):
            found |= {example["view_1"].tobytes(), example["view_2"].tobytes()}
    assert len(found) == 3 * 2 * COUNT * 2


def test_views_are_in_0_1(source):
    for example in examples(pretrain(source), 3 * COUNT):
        for view in ("view_1", "view_2"):
            assert example[view].min() >= 0 and example[view].max() <= 1


def test_half_of_the_views_are_chosen_for_blur_each_on_its_own(source):
    chosen = np.array([(e["blur_1"], e["blur_2"]) for e in examples(pretrain(source), 600)])
    assert np.abs(chosen.mean(0) - 0.5).max() < 0.08
    assert abs((chosen[:, 0] == chosen[:, 1]).mean() - 0.5) < 0.08


def test_no_view_is_chosen_without_blur_and_pixels_stay(source):
    config = AugmentConfig(use_blur=False)
    for plain, usual in zip(
        examples(pretrain(source, config=config), 40), examples(pretrain(source), 40), strict=True
    ):
        assert not plain["blur_1"] and not plain["blur_2"]
        np.testing.assert_array_equal(plain["view_1"], usual["view_1"])


def test_strength_zero_leaves_crop_and_flip():
    plain = np.full((5, 10, 10, 3), (10, 100, 200), np.uint8)
    source = ArraySource("made", {"train": ArraySplit.of(plain)})
    for example in examples(pretrain(source, config=AugmentConfig(color_jitter_strength=0)), 20):
        np.testing.assert_allclose(
            example["view_1"], np.broadcast_to(plain[0, :1, :1] / 255, (SIZE, SIZE, 3)), atol=1e-5
        )


def test_labels_belong_to_their_rows(source):
    for batches in (pretrain(source), labelled(source)):
        assert all(e["label"] == e["index"] % 3 for e in examples(batches, 20))


def test_labelled_batches_hold_the_subset_alone_and_resume(source):
    subset = np.array([1, 4, 5])
    found = examples(labelled(source, subset=subset), 9)
    assert {int(e["index"]) for e in found[:3]} == {1, 4, 5}
    assert_same(examples(labelled(source, subset=subset, start=4), 5), found[4:])


def test_distillation_sees_every_image_and_the_labels_of_the_subset(source):
    def batches(labelled_rows):
        return pipeline.distill_batches(
            source,
            "train",
            image_size=SIZE,
            augment=AugmentConfig(),
            batch_size=4,
            seed=0,
            labelled=labelled_rows,
        )

    found = examples(batches(np.array([2, 7])), COUNT)
    assert {int(e["index"]): int(e["label"]) for e in found} == {
        row: row % 3 if row in (2, 7) else -1 for row in range(COUNT)
    }
    assert_same(examples(batches(None), COUNT), examples(labelled(source), COUNT))
    assert all(e["label"] == -1 for e in examples(batches(np.array([], np.int64)), COUNT))
    assert batches(np.array([2])).element_spec == labelled(source).element_spec


def test_evaluation_is_one_pass_in_order_with_a_shorter_last_batch(source):
    batches = pipeline.evaluation_batches(source, "train", image_size=SIZE, batch_size=4)
    assert batches.element_spec["image"].shape.as_list() == [None, SIZE, SIZE, 3]
    found = list(batches.as_numpy_iterator())
    assert [len(b["index"]) for b in found] == [4, 4, 3]
    assert np.concatenate([b["index"] for b in found]).tolist() == list(range(COUNT))
    images = [e["image"] for e in source.examples("train").as_numpy_iterator()]
    np.testing.assert_allclose(found[1]["image"][2], augment.center_crop_resize(images[6], SIZE), atol=1e-6)


def test_evaluation_of_a_subset(source):
    batches = pipeline.evaluation_batches(
        source, "train", image_size=SIZE, batch_size=4, subset=np.array([3, 8])
    )
    assert np.concatenate([b["index"] for b in batches.as_numpy_iterator()]).tolist() == [3, 8]


def test_images_of_mixed_sizes_batch_together(image_folder):
    source = FolderSource(str(image_folder))
    batch = next(pretrain(source, batch_size=15).as_numpy_iterator())
    assert batch["view_1"].shape == (15, SIZE, SIZE, 3)
    evaluated = pipeline.evaluation_batches(source, "train", image_size=SIZE, batch_size=15)
    assert next(evaluated.as_numpy_iterator())["image"].shape == (15, SIZE, SIZE, 3)
