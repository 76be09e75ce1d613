from __future__ import annotations

import itertools

import numpy as np
import pytest

from tf_simclr.config import ConfigError, LabelConfig
from tf_simclr.data import subsets
from tf_simclr.data.subsets import labelled_subset

LABELS = np.repeat([0, 1, 2, -1], [40, 25, 5, 30])
IDS = np.array([f"train/{row}" for row in range(100)])


def subset(seed=0, labels=LABELS, ids=IDS, **config):
    return labelled_subset(labels, ids, LabelConfig(**config), seed)


def counts(rows, labels=LABELS):
    return np.bincount(labels[rows], minlength=3).tolist()


def greedy_counts(total, sizes):
    """The rule restated: one at a time to the class that has fewest; returned sorted, ties are free."""
    takes = [0] * len(sizes)
    for _ in range(total):
        chosen = min((take, k) for k, take in enumerate(takes) if take < sizes[k])[1]
        takes[chosen] += 1
    return takes


def test_labels_per_class_takes_exactly_so_many():
    rows = subset(labels_per_class=4)
    assert counts(rows) == [4, 4, 4]
    assert rows.dtype == np.int64 and np.all(np.diff(rows) > 0)


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.2, 0.3, 0.5, 0.9, 1.0])
def test_fraction_is_spread_as_evenly_as_class_sizes_allow(fraction):
    found = counts(subset(label_fraction=fraction))
    total = round(fraction * 70)
    assert sum(found) == total
    assert sorted(found) == sorted(greedy_counts(total, [40, 25, 5]))


def test_fraction_takes_at_least_one_a_class():
    assert counts(subset(label_fraction=0.001)) == [1, 1, 1]


def test_imagenet_fractions_have_the_counts_of_the_released_lists():
    # 1,000 classes of 1,281 or 1,282: the released lists hold 12 or 13 and 128 or 129 of each.
    labels = np.concatenate([np.repeat(np.arange(1000), 1281), np.arange(167)])
    ids = np.arange(len(labels)).astype(str)
    for fraction, low in ((0.01, 12), (0.1, 128)):
        classes, sizes = np.unique(labels, return_counts=True)
        takes = subsets._takes(classes, sizes, LabelConfig(label_fraction=fraction), 0)
        assert set(takes.tolist()) == {low, low + 1} and takes.sum() == round(fraction * len(ids))


def test_growing_subsets_hold_the_smaller_ones():
    sets = [set(subset(label_fraction=f / 100).tolist()) for f in range(1, 101, 3)]
    assert all(small <= large for small, large in itertools.pairwise(sets))
    assert set(subset(labels_per_class=2).tolist()) <= set(subset(labels_per_class=5).tolist())


def test_no_limit_takes_every_label_and_never_the_unlabelled():
    assert subset().tolist() == list(range(70))
    assert subset(label_fraction=1.0).tolist() == list(range(70))
    assert -1 not in LABELS[subset(label_fraction=0.7)]


def test_choice_is_a_function_of_the_seed():
    assert subset(3, labels_per_class=4).tolist() == subset(3, labels_per_class=4).tolist()
    assert len({tuple(subset(seed, labels_per_class=4)) for seed in range(6)}) == 6


def test_choice_does_not_depend_on_the_order_of_rows():
    order = np.random.default_rng(0).permutation(100)
    shuffled = subset(labels=LABELS[order], ids=IDS[order], label_fraction=0.3)
    assert sorted(IDS[order][shuffled]) == sorted(IDS[subset(label_fraction=0.3)])


def test_remainder_goes_to_other_classes_with_another_seed():
    labels = np.repeat(np.arange(10), 10)
    chosen = {tuple(np.bincount(labels[subset(s, labels, label_fraction=0.15)])) for s in range(8)}
    assert len(chosen) > 1 and all(set(c) == {1, 2} for c in chosen)


def test_too_many_labels_per_class_names_the_class():
    with pytest.raises(
        ConfigError, match=r"--labels_per_class=6 is more than class 2 has: 5 .* Use at most 5"
    ):
        subset(labels_per_class=6)


def test_data_without_labels_is_refused():
    with pytest.raises(ConfigError, match=r"has no labels to train on. Use a data set with labels"):
        subset(labels=np.full(100, -1), label_fraction=0.1)


def test_labels_and_ids_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"must both be \[n\]. Received \(100,\) and \(99,\)"):
        subset(ids=IDS[:99])
