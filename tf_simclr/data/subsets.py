"""Which labels a run may use: class-balanced, and a pure function of ids, labels and seed."""

from __future__ import annotations

import hashlib

import numpy as np

from tf_simclr.config import ConfigError, LabelConfig
from tf_simclr.data.source import NO_LABEL


def labelled_subset(labels: np.ndarray, ids: np.ndarray, config: LabelConfig, seed: int) -> np.ndarray:
    """Rows whose label may be used: sorted int64. ``labels``: [n] int, -1 = none; ``ids``: [n] str.

    A class's examples are ordered by a hash of (seed, id), and the first ones are taken: so a larger subset
    holds every smaller one of the same seed, as the paper's 10% of ImageNet hold its 1%, and the choice
    does not depend on the order of the rows.

    A fraction takes round(fraction * labelled examples), at least one a class, handed out one by one
    to the class that has fewest and still has examples left (ties in an order hashed from the seed).
    On ImageNet: 12 or 13 a class for 1%, 128 or 129 for 10% (the released lists have the same).

    Raises ConfigError without any label, or if a class has fewer than ``labels_per_class`` examples.
    """
    if labels.shape != ids.shape or labels.ndim != 1:
        raise ValueError(f"labels and ids must both be [n]. Received {labels.shape} and {ids.shape}.")
    classes, sizes = np.unique(labels[labels != NO_LABEL], return_counts=True)
    if not len(classes):
        raise ConfigError(
            "The training data has no labels to train on. Use a data set with labels: class folders, or "
            "train_labels in an npz file."
        )
    takes = _takes(classes, sizes, config, seed)
    chosen = [_first(labels, ids, label, take, seed) for label, take in zip(classes, takes, strict=True)]
    return np.sort(np.concatenate(chosen))


def _takes(classes: np.ndarray, sizes: np.ndarray, config: LabelConfig, seed: int) -> np.ndarray:
    """How many examples of each class to take: [classes] int64."""
    if config.labels_per_class is not None:
        smallest = np.argmin(sizes)
        if sizes[smallest] < config.labels_per_class:
            raise ConfigError(
                f"--labels_per_class={config.labels_per_class} is more than class {classes[smallest]} has: "
                f"{sizes[smallest]} labelled examples. Use at most {sizes[smallest]}, or --label_fraction."
            )
        return np.full_like(sizes, config.labels_per_class)
    fraction = 1.0 if config.label_fraction is None else config.label_fraction
    total = max(round(fraction * int(sizes.sum())), len(classes))
    return _spread(total, sizes, np.array([_hash(seed, f"class {label}") for label in classes]))


def _spread(total: int, sizes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Hands ``total`` (at most sum(sizes)) out evenly; ``order`` ranks the classes for the remainder."""
    takes = np.zeros_like(sizes)
    left = total
    while left:
        open_classes = np.flatnonzero(takes < sizes)
        each = left // len(open_classes)
        if each == 0:
            takes[open_classes[np.argsort(order[open_classes])][:left]] += 1
            break
        before = takes.sum()
        takes[open_classes] = np.minimum(takes[open_classes] + each, sizes[open_classes])
        left -= int(takes.sum() - before)
    return takes


def _first(labels: np.ndarray, ids: np.ndarray, label: int, take: int, seed: int) -> np.ndarray:
    rows = np.flatnonzero(labels == label)
    return np.array(sorted(rows, key=lambda row: (_hash(seed, str(ids[row])), row))[:take], np.int64)


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()
