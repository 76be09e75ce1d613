"""Modes that train nothing: accuracy of a classifier, accuracy of nearest neighbours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tf_simclr.config import ConfigError, Mode, RunConfig, as_dict
from tf_simclr.data.open_source import open_uncached
from tf_simclr.data.pipeline import evaluation_batches
from tf_simclr.data.source import Source
from tf_simclr.data.subsets import labelled_subset
from tf_simclr.evaluate.knn import knn_accuracy
from tf_simclr.evaluate.predict import build_evaluator, can_evaluate, extract_features
from tf_simclr.model.start import StartingPoint
from tf_simclr.train.check_data import read_checks, write_checks
from tf_simclr.train.progress import with_progress
from tf_simclr.train.run_directory import RunDirectory
from tf_simclr.train.start import check_classes
from tf_simclr.train.strategy import choose_strategy
from tf_simclr.train.workers import noticing_lost_workers, own_directory


def measure(config: RunConfig, start: StartingPoint) -> dict[str, Any]:
    """Runs ``--mode=eval`` or ``knn``, writes ``config.json`` and ``results.json``, returns the results.

    Raises:
        ConfigError: start and data do not fit, the evaluation split has no labels, or
            the directory holds a training run.
    """
    is_shared = config.mode.takes_workers
    # Before anything runs, as in training: several workers must meet first.
    strategy = choose_strategy(config.scale) if is_shared else tf.distribute.get_strategy()
    with noticing_lost_workers(strategy):
        return _measure(config, start, RunDirectory(own_directory(config.model_dir, strategy)), strategy)


def _measure(
    config: RunConfig, start: StartingPoint, directory: RunDirectory, strategy: tf.distribute.Strategy
) -> dict[str, Any]:
    source = open_uncached(config.data, read_checks(directory))
    split = config.data.eval_split
    source.check_split(split)
    if not can_evaluate(source, split):
        raise ConfigError(
            f"--eval_split={split} of --dataset={config.data.dataset} has no labels to compare with. "
            "Choose another with --eval_split or --dataset."
        )
    image_size = config.data.image_size or start.image_size
    data = {"images": source.num_examples(split), "fingerprint": source.fingerprint(split)}
    with directory:
        directory.begin_measuring()
        if config.mode is Mode.EVAL:
            found = _evaluate(config, source, start, image_size, strategy)
        else:
            found = _nearest_neighbours(config, source, start, image_size)
        results = {"mode": config.mode.value, "start": start.path, "eval": found}
        directory.write_config(
            {"config": as_dict(config), "image_size": image_size, "start": start.path, "data": data}
        )
        write_checks(directory, source)
        directory.write_results(results)
    return results


def evaluation_stream(
    config: RunConfig, source: Source, image_size: int, strategy: tf.distribute.Strategy
) -> Iterator[Any]:
    """Returns one pass over the evaluation split, distributed, with its progress shown."""
    split = config.data.eval_split
    count, replicas = source.num_examples(split), strategy.num_replicas_in_sync
    batch_size = math.ceil(min(config.train.eval_batch_size, count) / replicas)  # of one replica
    steps = math.ceil(count / (batch_size * replicas))

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        own_replicas = replicas // context.num_input_pipelines
        return evaluation_batches(
            source,
            split,
            image_size=image_size,
            batch_size=batch_size,
            subset=np.arange(context.input_pipeline_id, count, context.num_input_pipelines),
            # All replicas get equally many batches of one shape, as TPUs and collectives need them.
            padded_to=steps * own_replicas * batch_size,
        )

    return with_progress("evaluating", strategy.distribute_datasets_from_function(of_worker), steps)


def _evaluate(
    config: RunConfig,
    source: Source,
    start: StartingPoint,
    image_size: int,
    strategy: tf.distribute.Strategy,
) -> dict[str, float]:
    check_classes(start, source.class_names, config.data.dataset)
    with strategy.scope():
        network = start.load()
    return build_evaluator(network, strategy)(evaluation_stream(config, source, image_size, strategy))


def _nearest_neighbours(
    config: RunConfig, source: Source, start: StartingPoint, image_size: int
) -> dict[str, float]:
    train, test = config.data.train_split, config.data.eval_split
    rows = labelled_subset(source.labels(train), source.ids(train), config.labels, config.train.seed)
    network = start.load()

    def features(split: str, subset: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        count = source.num_examples(split) if subset is None else len(subset)
        batches = evaluation_batches(
            source, split, image_size=image_size, batch_size=config.train.eval_batch_size, subset=subset
        )
        steps = math.ceil(count / config.train.eval_batch_size)
        return extract_features(network, with_progress(f"features of {split}", batches, steps))

    return knn_accuracy(
        *features(train, rows),
        *features(test, None),
        neighbors=config.knn.knn_neighbors,
        temperature=config.knn.knn_temperature,
        num_classes=len(source.class_names),
    )
