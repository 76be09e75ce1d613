"""What every source promises of its streams, for arrays, folders, TFDS and the cache."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_simclr.data.arrays import ArraySource, ArraySplit
from tf_simclr.data.cached import CachedSource
from tf_simclr.data.folder import FolderSource
from tf_simclr.data.tfds import TfdsSource

KINDS = ("arrays", "grey arrays", "folder", "tfds", "cached folder", "cached tfds")


@pytest.fixture
def source(request, image_folder, tfds_dir):
    kind = request.param
    if kind.endswith("arrays"):
        shape = (13, 8, 8) if kind.startswith("grey") else (13, 8, 8, 3)
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        return ArraySource("made", {"train": ArraySplit.of(images, np.arange(13) % 4)}, tuple("abcd"))
    files = (
        FolderSource(str(image_folder))
        if "folder" in kind
        else TfdsSource("tiny_shapes/small", str(tfds_dir))
    )
    return CachedSource(files) if kind.startswith("cached") else files


every_source = pytest.mark.parametrize("source", KINDS, indirect=True)


def take(dataset, count):
    return list(itertools.islice(dataset.as_numpy_iterator(), count))


def rows_of(examples):
    return [int(example["index"]) for example in examples]


@every_source
def test_examples_come_in_row_order_with_their_labels(source):
    examples = list(source.examples("train").as_numpy_iterator())
    assert rows_of(examples) == list(range(source.num_examples("train")))
    assert [int(e["label"]) for e in examples] == source.labels("train").tolist()
    assert len(set(source.ids("train").tolist())) == len(examples)
    assert source.labels("train").dtype == np.int64 and source.ids("train").dtype.kind == "U"


@every_source
def test_images_are_uint8_rgb_and_scalars_are_int64(source):
    spec = source.shuffled("train", seed=0).element_spec
    assert spec["image"].dtype == tf.uint8 and spec["image"].shape.rank == 3 and spec["image"].shape[2] == 3
    for name in ("label", "index", "epoch"):
        assert spec[name] == tf.TensorSpec([], tf.int64)
    assert "epoch" not in source.examples("train").element_spec


@every_source
def test_each_epoch_is_another_permutation(source):
    count = source.num_examples("train")
    stream = take(source.shuffled("train", seed=3), 3 * count)
    epochs = [rows_of(stream[e * count : (e + 1) * count]) for e in range(3)]
    assert all(sorted(rows) == list(range(count)) for rows in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert [int(e["epoch"]) for e in stream] == sorted([0, 1, 2] * count)


@every_source
def test_shuffled_examples_are_those_of_their_row(source):
    by_row = {int(e["index"]): e for e in source.examples("train").as_numpy_iterator()}
    for example in take(source.shuffled("train", seed=1), source.num_examples("train")):
        wanted = by_row[int(example["index"])]
        np.testing.assert_array_equal(example["image"], wanted["image"])
        assert example["label"] == wanted["label"]


@every_source
def test_order_depends_on_the_seed_alone(source):
    first = rows_of(take(source.shuffled("train", seed=7), 30))
    tf.random.set_seed(99)
    assert rows_of(take(source.shuffled("train", seed=7), 30)) == first
    for other in (8, 7 + (1 << 32)):
        assert rows_of(take(source.shuffled("train", seed=other), 30)) != first


@every_source
@pytest.mark.parametrize("start", [1, 13, 17, 45])
def test_resumed_stream_goes_on_as_the_unbroken_one_across_epochs(source, start):
    unbroken = take(source.shuffled("train", seed=5), start + 25)[start:]
    resumed = take(source.shuffled("train", seed=5, start=start), 25)
    assert [(int(e["epoch"]), int(e["index"])) for e in resumed] == [
        (int(e["epoch"]), int(e["index"])) for e in unbroken
    ]


@every_source
@pytest.mark.parametrize("start", [0, 4])
def test_shards_take_turns_in_the_stream(source, start):
    whole = rows_of(take(source.shuffled("train", seed=2), start + 33))
    for number in range(3):
        shard = rows_of(take(source.shuffled("train", seed=2, start=start, shard=(number, 3)), 10))
        wanted = [row for k, row in enumerate(whole) if k >= start and k % 3 == number]
        assert shard == wanted[:10]


@every_source
def test_subset_streams_hold_the_subset_alone(source):
    subset = np.array([0, 2, 3, 9, 11])
    stream = rows_of(take(source.shuffled("train", seed=2, subset=subset), 10))
    assert sorted(stream[:5]) == sorted(stream[5:]) == subset.tolist()
    assert rows_of(source.examples("train", subset=subset).as_numpy_iterator()) == subset.tolist()


@every_source
def test_impossible_streams_are_refused(source):
    with pytest.raises(ValueError, match=r"at least one example"):
        source.shuffled("train", seed=0, subset=np.array([], np.int64))
    with pytest.raises(ValueError, match=r"0 <= number < of. Received \(2, 2\)"):
        source.shuffled("train", seed=0, shard=(2, 2))
    with pytest.raises(ValueError, match=r"start must be 0 or more. Received -1"):
        source.shuffled("train", seed=0, start=-1)
    for build in (source.examples, lambda *a, **k: source.shuffled(*a, seed=0, **k)):
        with pytest.raises(ValueError, match=r"subset must hold rows 0 to .* Received 1 to 99"):
            build("train", subset=np.array([1, 99]))


@every_source
def test_fingerprint_is_stable_and_that_of_a_split(source):
    assert source.fingerprint("train") == source.fingerprint("train")
    assert len(source.fingerprint("train")) == 64
    if "test" in source.splits:
        assert source.fingerprint("train") != source.fingerprint("test")


@every_source
def test_unknown_split_error_lists_the_splits(source):
    for ask in (source.num_examples, source.labels, source.ids, source.examples, source.fingerprint):
        with pytest.raises(ValueError, match=r"no split 'nosuch'.*--eval_split.*"):
            ask("nosuch")
