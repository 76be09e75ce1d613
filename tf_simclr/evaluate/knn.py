"""Weighted nearest-neighbour classification of frozen features."""

from __future__ import annotations

import numpy as np

from tf_simclr.config import ConfigError

ROWS_PER_CHUNK = 1024  # Test rows at a time; bounds the table of votes.
TOP_K = 5


def knn_accuracy(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    *,
    neighbors: int,
    temperature: float,
    num_classes: int,
) -> dict[str, float]:
    """Accuracy of the weighted cosine kNN of Wu et al. 2018 (arXiv 1805.01978, section 3.4).

    Each of the ``neighbors`` training rows nearest to a test row by cosine votes for its
    class with weight exp(cosine / temperature). Classes with equal votes stand in index
    order, those without a vote last; with five classes or fewer top-5 is 1. Rows with
    label -1 are left out on both sides.

    Args:
        train_features: [n, d] float, unnormalised.
        train_labels: [n] integers in [0, num_classes), or -1.
        test_features: [m, d] float.
        test_labels: [m] integers, likewise.
        neighbors: 1 to the number of labelled training rows.
        temperature: > 0.
        num_classes: > 0.

    Returns:
        "top_1", "top_5" in [0, 1], and "count", the number of test rows.

    Raises:
        ConfigError: ``neighbors`` or ``temperature`` out of range, or no labelled test row.
    """
    train_features, train_labels = _labelled(train_features, train_labels)
    test_features, test_labels = _labelled(test_features, test_labels)
    _check(neighbors, temperature, len(train_labels), len(test_labels))
    from sklearn.neighbors import NearestNeighbors  # slow to import, and only kNN needs it

    search = NearestNeighbors(n_neighbors=neighbors, metric="cosine", algorithm="brute").fit(train_features)
    correct = np.zeros(2, np.int64)
    for start in range(0, len(test_labels), ROWS_PER_CHUNK):
        chunk = slice(start, start + ROWS_PER_CHUNK)
        distances, indices = search.kneighbors(test_features[chunk])
        votes = _votes(1.0 - distances, train_labels[indices], temperature, num_classes)
        ranked = np.argsort(-votes, axis=1, kind="stable")
        hits = ranked == test_labels[chunk, np.newaxis]
        correct += [hits[:, :1].sum(), hits[:, :TOP_K].sum()]
    top_1, top_5 = correct / len(test_labels)
    return {"top_1": float(top_1), "top_5": float(top_5), "count": float(len(test_labels))}


def _labelled(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows that have a label."""
    features, labels = np.asarray(features), np.asarray(labels)
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            "Expected features [rows, dim] and labels [rows]. "
            f"Received features {features.shape} and labels {labels.shape}."
        )
    return features[labels >= 0], labels[labels >= 0]


def _votes(cosines: np.ndarray, classes: np.ndarray, temperature: float, num_classes: int) -> np.ndarray:
    """Returns [rows, num_classes] votes of the neighbours, given as [rows, neighbors]."""
    # Relative to the nearest neighbour: the same order, and no overflow at a low temperature.
    weights = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / temperature)
    votes = np.zeros((len(cosines), num_classes))
    np.add.at(votes, (np.arange(len(cosines))[:, np.newaxis], classes), weights)
    return votes


def _check(neighbors: int, temperature: float, num_train: int, num_test: int) -> None:
    if not 1 <= neighbors <= num_train:
        raise ConfigError(
            f"--knn_neighbors={neighbors} does not fit {num_train} labelled training images. "
            f"Use 1 to {num_train}."
        )
    if not temperature > 0:
        raise ConfigError(f"--knn_temperature must be greater than 0. Received {temperature}.")
    if num_test == 0:
        raise ConfigError(
            "There are 0 labelled test images. The evaluation split is empty or has no labels; "
            "choose another with --eval_split or --dataset."
        )
