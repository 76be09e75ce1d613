"""Weighted nearest neighbours against a restatement by loops."""

import numpy as np
import pytest

from tf_simclr.config import ConfigError
from tf_simclr.evaluate import knn
from tf_simclr.evaluate.knn import knn_accuracy

CLASSES = 8


def random_features():
    rng = np.random.RandomState(2)
    centers = rng.standard_normal((CLASSES, 6))
    train_labels, test_labels = rng.randint(0, CLASSES, 40), rng.randint(0, CLASSES, 30)
    train = centers[train_labels] + rng.standard_normal((40, 6))
    test = centers[test_labels] + rng.standard_normal((30, 6))
    return train.astype(np.float32), train_labels, test.astype(np.float32), test_labels


def accuracy_by_loops(train, train_labels, test, test_labels, neighbors, temperature):
    hits = [0, 0]
    for row, label in zip(test.astype(np.float64), test_labels, strict=True):
        cosines = [np.dot(row, other) / np.linalg.norm(row) / np.linalg.norm(other) for other in train]
        votes = [0.0] * CLASSES
        for index in sorted(range(len(train)), key=lambda i: -cosines[i])[:neighbors]:
            votes[train_labels[index]] += np.exp(cosines[index] / temperature)
        order = sorted(range(CLASSES), key=lambda c: (-votes[c], c))
        hits[0] += order[0] == label
        hits[1] += label in order[:5]
    return hits[0] / len(test), hits[1] / len(test)


@pytest.mark.parametrize(("neighbors", "temperature"), [(1, 0.07), (7, 0.07), (7, 5.0), (40, 0.3)])
def test_accuracies_equal_a_restatement_by_loops(neighbors, temperature):
    data = random_features()
    got = knn_accuracy(*data, neighbors=neighbors, temperature=temperature, num_classes=CLASSES)
    expected = accuracy_by_loops(*data, neighbors, temperature)
    assert (got["top_1"], got["top_5"], got["count"]) == pytest.approx((*expected, 30.0))
    assert 0.1 < got["top_1"] < 1.0


def test_the_temperature_decides_between_one_close_and_two_distant_neighbours():
    train, labels = np.array([[1.0, 0.1], [1.0, 1.0], [1.0, 1.1]]), np.array([0, 1, 1])
    query = (np.array([[1.0, 0.0]]), np.array([0]))
    sharp = knn_accuracy(train, labels, *query, neighbors=3, temperature=0.1, num_classes=2)
    flat = knn_accuracy(train, labels, *query, neighbors=3, temperature=10.0, num_classes=2)
    assert (sharp["top_1"], flat["top_1"]) == (1.0, 0.0)


def test_lengths_of_features_do_not_matter():
    train, train_labels, test, test_labels = random_features()
    settings = {"neighbors": 5, "temperature": 0.07, "num_classes": CLASSES}
    plain = knn_accuracy(train, train_labels, test, test_labels, **settings)
    scales = np.linspace(0.1, 9, 40)[:, None]
    assert knn_accuracy(train * scales, train_labels, 3 * test, test_labels, **settings) == plain


def test_chunks_change_nothing(monkeypatch):
    data, settings = random_features(), {"neighbors": 5, "temperature": 0.07, "num_classes": CLASSES}
    whole = knn_accuracy(*data, **settings)
    monkeypatch.setattr(knn, "ROWS_PER_CHUNK", 7)
    assert knn_accuracy(*data, **settings) == whole


def test_a_very_low_temperature_is_the_nearest_neighbour_and_does_not_overflow():
    data = random_features()
    cold = knn_accuracy(*data, neighbors=10, temperature=1e-5, num_classes=CLASSES)
    nearest = knn_accuracy(*data, neighbors=1, temperature=0.07, num_classes=CLASSES)
    assert cold["top_1"] == nearest["top_1"]


def test_rows_without_a_label_neither_vote_nor_count():
    train, train_labels, test, test_labels = random_features()
    settings = {"neighbors": 5, "temperature": 0.07, "num_classes": CLASSES}
    expected = knn_accuracy(train[5:], train_labels[5:], test[3:], test_labels[3:], **settings)
    train_labels[:5], test_labels[:3] = -1, -1
    assert knn_accuracy(train, train_labels, test, test_labels, **settings) == expected


def test_top_5_of_fewer_than_five_classes_is_one():
    train, test = np.eye(3), np.eye(3)
    got = knn_accuracy(train, [0, 1, 2], test, [1, 2, 0], neighbors=1, temperature=0.1, num_classes=3)
    assert (got["top_1"], got["top_5"]) == (0.0, 1.0)


@pytest.mark.parametrize("neighbors", [0, 41])
def test_more_neighbours_than_training_rows_are_refused(neighbors):
    with pytest.raises(ConfigError, match=f"--knn_neighbors={neighbors} does not fit 40 .* Use 1 to 40"):
        knn_accuracy(*random_features(), neighbors=neighbors, temperature=0.1, num_classes=CLASSES)


def test_other_unusable_input_is_refused():
    train, train_labels, test, test_labels = random_features()
    with pytest.raises(ConfigError, match=r"--knn_temperature must be greater than 0. Received 0"):
        knn_accuracy(train, train_labels, test, test_labels, neighbors=1, temperature=0, num_classes=CLASSES)
    with pytest.raises(ConfigError, match=r"0 labelled test images.*--eval_split"):
        knn_accuracy(train, train_labels, test, -np.ones(30), neighbors=1, temperature=1, num_classes=CLASSES)
    with pytest.raises(ValueError, match=r"Received features \(40, 6\) and labels \(30,\)"):
        knn_accuracy(train, test_labels, test, test_labels, neighbors=1, temperature=1, num_classes=CLASSES)
