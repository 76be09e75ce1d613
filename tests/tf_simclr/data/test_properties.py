"""What must hold for every label subset, sampler, shard, schedule and archive, tried on generated ones."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tf_simclr.config import ConfigError, LabelConfig
from tf_simclr.data import seeds
from tf_simclr.data.arrays import ArraySource, ArraySplit
from tf_simclr.data.npz import npz
from tf_simclr.data.subsets import labelled_subset
from tf_simclr.optim.schedules import WarmupCosine

bounded = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
labels_of = st.lists(st.integers(-1, 4), min_size=1, max_size=80).filter(lambda labels: max(labels) >= 0)


def subset(labels, seed, **config):
    ids = np.array([f"image {row}" for row in range(len(labels))])
    return labelled_subset(np.array(labels), ids, LabelConfig(**config), seed)


@bounded
@given(labels=labels_of, fraction=st.floats(0.001, 1), seed=st.integers(0, 2**64))
def test_a_fraction_is_sorted_labelled_balanced_and_of_the_right_size(labels, fraction, seed):
    rows, all_labels = subset(labels, seed, label_fraction=fraction), np.array(labels)
    classes, sizes = np.unique(all_labels[all_labels >= 0], return_counts=True)
    assert np.all(np.diff(rows) > 0) and np.all(all_labels[rows] >= 0)
    assert len(rows) == max(round(fraction * sizes.sum()), len(classes))
    takes = np.array([np.sum(all_labels[rows] == label) for label in classes])
    open_takes = takes[takes < sizes]  # Classes that were not used up differ by one at most.
    assert takes.min() >= 1 and np.all(takes <= sizes)
    assert open_takes.size == 0 or (np.ptp(open_takes) <= 1 and takes.max() <= open_takes.min() + 1)


@bounded
@given(labels=labels_of, parts=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), seed=st.integers(0, 99))
def test_a_larger_fraction_holds_the_smaller_one(labels, parts, seed):
    small, large = (set(subset(labels, seed, label_fraction=part)) for part in sorted(parts))
    assert small <= large


@bounded
@given(labels=labels_of, seed=st.integers(0, 99), order=st.randoms())
def test_a_subset_does_not_depend_on_the_order_of_the_rows(labels, seed, order):
    ids = [f"image {row}" for row in range(len(labels))]
    moved = list(zip(ids, labels, strict=True))
    order.shuffle(moved)
    config = LabelConfig(label_fraction=0.4)
    rows = labelled_subset(np.array(labels), np.array(ids), config, seed)
    moved_ids, moved_labels = (np.array(column) for column in zip(*moved, strict=True))
    moved_rows = labelled_subset(moved_labels, moved_ids, config, seed)
    assert {ids[row] for row in rows} == set(moved_ids[moved_rows])


@bounded
@given(count=st.integers(1, 300), seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 2**40))
def test_every_epoch_is_a_permutation(count, seed, epoch):
    places = tf.map_fn(
        lambda place: seeds.shuffled_position(place, count, seed, tf.constant(epoch, tf.int64)),
        tf.range(count, dtype=tf.int64),
    )
    assert sorted(places.numpy().tolist()) == list(range(count))


@functools.cache
def stream_of(count, seed):
    source = ArraySource("made", {"train": ArraySplit.of(np.zeros((count, 2, 2), np.uint8))})
    return source, [int(e["index"]) for e in source.shuffled("train", seed=seed).take(60).as_numpy_iterator()]


@settings(bounded, max_examples=15)
@given(count=st.integers(1, 12), start=st.integers(0, 30), of=st.integers(1, 5), seed=st.integers(0, 3))
def test_shards_of_a_resumed_stream_are_together_the_stream(count, start, of, seed):
    source, whole = stream_of(count, seed)
    found = {}
    for number in range(of):
        shard = source.shuffled("train", seed=seed, start=start, shard=(number, of)).take(3)
        first = start + (number - start) % of
        rows = [int(example["index"]) for example in shard.as_numpy_iterator()]
        found |= {first + of * place: row for place, row in enumerate(rows)}
    assert sorted(found) == list(range(start, start + 3 * of))
    assert all(whole[place] == row for place, row in found.items() if place < len(whole))


@bounded
@given(peak=st.floats(1e-4, 10), total=st.integers(1, 500), share=st.floats(0, 1), step=st.integers(0, 600))
def test_rates_rise_to_the_peak_then_fall_and_stay_in_range(peak, total, share, step):
    warmup = min(int(share * total), total - 1)  # The peak must be reached within the run.
    schedule = WarmupCosine(peak, warmup, total)
    rate, after = float(schedule(step)), float(schedule(step + 1))
    assert 0 <= rate <= peak * 1.00001
    if step + 1 <= warmup:
        assert after >= rate
    elif step >= warmup:
        assert after <= rate * 1.00001


ARCHIVE = {
    "train_images": np.arange(5 * 4 * 3 * 3, dtype=np.uint8).reshape(5, 4, 3, 3),
    "train_labels": np.array([0, 1, 2, 1, 0]),
    "test_images": np.zeros((2, 4, 3), np.uint8),
    "class_names": np.array(["a", "b", "c"]),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@settings(bounded, max_examples=100)
@given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=5), end=st.integers(1, 100)
)
def test_a_damaged_archive_is_refused_in_a_sentence_or_is_still_an_archive(save, tmp_path, edits, end):
    path = tmp_path / "a.npz"
    save(path, **ARCHIVE)
    content = bytearray(path.read_bytes())
    for position, value in edits:
        content[position % len(content)] = value
    path.write_bytes(bytes(content[: len(content) * end // 100]))
    try:
        source = npz(str(path))
        for split in source.splits:
            assert len(list(source.examples(split).as_numpy_iterator())) == source.num_examples(split)
    except ConfigError as error:
        assert "--dataset=npz:" in str(error) and "Traceback" not in str(error)


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"train_labels": np.array([0, 1, 2, 1, 10**9])}, "hold 1000000000 and no 3: class 3 has no image"),
        ({"train_labels": np.array([1, 1, 2, 2, 1])}, "hold 2 and no 0: class 0 has no image"),
        ({"test_labels": np.array([0, 3])}, "test_labels .* hold 3, which train_labels lack"),
    ],
)
def test_labels_that_do_not_fit_are_refused_in_a_sentence(tmp_path, arrays, text):
    named = {name: value for name, value in ARCHIVE.items() if name != "class_names"}
    np.savez(tmp_path / "a.npz", **{**named, **arrays})
    with pytest.raises(ConfigError, match=text):
        npz(str(tmp_path / "a.npz"))
