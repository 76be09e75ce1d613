"""A network's answers over a whole split: accuracy of a classifier, features of an encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_simclr.data.source import NO_LABEL, Source
from tf_simclr.evaluate.classification import batch_counts, summarize
from tf_simclr.model.encoder import FEATURES
from tf_simclr.model.network import SimCLR

Evaluator = Callable[[Iterable[Any]], dict[str, float]]


def can_evaluate(source: Source, split: str) -> bool:
    """Whether ``split`` is there and has labels."""
    return split in source.splits and bool(np.any(source.labels(split) != NO_LABEL))


def build_evaluator(network: SimCLR, strategy: tf.distribute.Strategy) -> Evaluator:
    """Returns a function from evaluation batches to top-1, top-5, cross-entropy and count.

    Every labelled example counts once, also those of a last batch that is shorter or
    that cannot be divided among the replicas.
    """

    def counts(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        logits = network(batch["image"], training=False)["logits_sup"]
        return batch_counts(logits, batch["label"])

    @tf.function(reduce_retracing=True, autograph=False)
    def step(batch: Any) -> dict[str, tf.Tensor]:
        per_replica = strategy.run(counts, args=(batch,))
        total = tf.distribute.ReduceOp.SUM
        return {name: strategy.reduce(total, value, axis=None) for name, value in per_replica.items()}

    def evaluate(batches: Iterable[Any]) -> dict[str, float]:
        totals: dict[str, Any] = {}
        for batch in batches:
            for name, value in step(batch).items():
                totals[name] = totals.get(name, 0) + value.numpy()
        return summarize(totals)

    return evaluate


def extract_features(network: SimCLR, batches: Iterable[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pooled features [n, d] float32 and the labels [n] int64 of all examples, in order."""

    @tf.function(reduce_retracing=True, autograph=False)
    def features(images: tf.Tensor) -> tf.Tensor:
        return network.encoder(images, training=False)[FEATURES]

    found = [(features(batch["image"]).numpy(), batch["label"].numpy()) for batch in batches]
    return np.concatenate([pair[0] for pair in found]), np.concatenate([pair[1] for pair in found])
