"""Exact counts: ties, unlabelled examples, partitions, and a restatement by loops."""

import numpy as np
import pytest
import tensorflow as tf

from tf_simclr.config import ConfigError
from tf_simclr.evaluate.classification import batch_counts, summarize

ROWS, CLASSES = 23, 7


def random_examples():
    rng = np.random.RandomState(5)
    # Integer logits: many ties.
    logits = rng.randint(-2, 3, (ROWS, CLASSES)).astype(np.float32)
    labels = rng.randint(0, CLASSES, ROWS)
    labels[[2, 3, 11]] = -1
    return logits, labels


def counts_by_loops(logits, labels):
    totals = {"count": 0, "correct_top_1": 0, "correct_top_5": 0, "cross_entropy_sum": 0.0}
    confusion = np.zeros((CLASSES, CLASSES), np.int64)
    for row, label in zip(logits.astype(np.float64), labels, strict=True):
        if label == -1:
            continue
        order = sorted(range(CLASSES), key=lambda index: (-row[index], index))
        totals["count"] += 1
        totals["correct_top_1"] += order[0] == label
        totals["correct_top_5"] += label in order[:5]
        totals["cross_entropy_sum"] -= np.log(np.exp(row[label]) / np.exp(row).sum())
        confusion[label, order[0]] += 1
    return totals, confusion


def test_counts_equal_a_restatement_by_loops():
    logits, labels = random_examples()
    expected, confusion = counts_by_loops(logits, labels)
    got = batch_counts(logits, labels, with_confusion=True)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-5)
    np.testing.assert_array_equal(got["confusion"], confusion)
    assert {name: value.dtype for name, value in got.items() if value.dtype != tf.int64} == {
        "cross_entropy_sum": tf.float32
    }


@pytest.mark.parametrize("sizes", [[ROWS], [1] * ROWS, [10, 10, 3], [0, 22, 1]])
def test_sums_over_any_partition_equal_the_whole(sizes):
    logits, labels = random_examples()
    whole = batch_counts(logits, labels, with_confusion=True)
    ends = np.cumsum(sizes)[:-1]
    parts = [
        batch_counts(logits_part, labels_part, with_confusion=True)
        for logits_part, labels_part in zip(np.split(logits, ends), np.split(labels, ends), strict=True)
    ]
    for name, value in whole.items():
        np.testing.assert_allclose(sum(part[name] for part in parts), value, rtol=1e-5)


def test_constant_logits_are_right_as_often_as_chance():
    sums = batch_counts(np.zeros((8, 8), np.float32), np.arange(8))
    assert (int(sums["correct_top_1"]), int(sums["correct_top_5"])) == (1, 5)


def test_ties_rank_as_tf_math_top_k_does():
    logits, labels = random_examples()
    counted = labels >= 0
    best = tf.math.top_k(logits, 5).indices.numpy()
    sums = batch_counts(logits, labels)
    assert int(sums["correct_top_5"]) == np.sum((best == labels[:, None])[counted])


def test_a_nan_logit_is_a_wrong_answer_and_shows_in_the_cross_entropy():
    logits = np.array([[np.nan, np.nan], [9.0, 0.0]], np.float32)
    summary = summarize(batch_counts(logits, np.array([0, 0])))
    assert summary["top_1"] == 0.5
    assert np.isnan(summary["cross_entropy"])


def test_a_nan_in_an_unlabelled_example_does_not_count():
    logits = np.array([[np.nan, np.nan], [9.0, 0.0]], np.float32)
    summary = summarize(batch_counts(logits, np.array([-1, 0])))
    assert summary["count"] == 1.0
    np.testing.assert_allclose(summary["cross_entropy"], np.log1p(np.exp(-9)), rtol=1e-3)


def test_top_5_of_fewer_than_five_classes_is_one():
    summary = summarize(batch_counts(np.eye(3, dtype=np.float32), np.array([1, 2, 0])))
    assert (summary["top_1"], summary["top_5"]) == (0.0, 1.0)


def test_counts_work_in_a_graph_with_an_unknown_batch_size():
    counts = tf.function(
        lambda logits, labels: batch_counts(logits, labels, with_confusion=True),
        input_signature=[tf.TensorSpec([None, CLASSES]), tf.TensorSpec([None], tf.int64)],
    )
    logits, labels = random_examples()
    got = counts(logits, labels)
    expected, confusion = counts_by_loops(logits, labels)
    assert int(got["correct_top_1"]) == expected["correct_top_1"]
    np.testing.assert_array_equal(got["confusion"], confusion)


def test_summary_divides_the_totals_by_the_count():
    totals = {"count": 4, "correct_top_1": 1, "correct_top_5": 3, "cross_entropy_sum": 2.0}
    summary = summarize(totals)
    assert summary == {"top_1": 0.25, "top_5": 0.75, "cross_entropy": 0.5, "count": 4.0}
    assert all(type(value) is float for value in summary.values())


def test_a_summary_of_no_labelled_example_is_refused():
    with pytest.raises(ConfigError, match=r"counted 0 labelled examples.*--eval_split"):
        summarize(batch_counts(np.zeros((2, 3), np.float32), np.array([-1, -1])))
