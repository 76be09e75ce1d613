"""Evaluation of a split that neither the batch nor the replicas divide, against a count in NumPy."""

import unittest.mock

import numpy as np
import pytest
import tensorflow as tf

from flags.parse import parse
from tests.training import mirrored, set_values, values_of
from tf_simclr.config import BLOCKS_OF_DEPTH, EncoderConfig
from tf_simclr.data.open_source import open_source
from tf_simclr.evaluate.predict import build_evaluator
from tf_simclr.model.network import Architecture, build_network
from tf_simclr.train.measure import evaluation_stream

IMAGES, CLASSES, SIZE = 37, 7, 8
ENCODER = EncoderConfig(resnet_depth=18, width_multiplier=0.125, cifar_stem=True)


@pytest.fixture(scope="module")
def split():
    """Images uint8 [37, 8, 8, 3], and their labels."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (IMAGES, SIZE, SIZE, 3), np.uint8), rng.integers(0, CLASSES, IMAGES)


@pytest.fixture(scope="module")
def stream_of(split, tmp_path_factory):
    """A function from a strategy to one pass over the 37 images in batches of 8."""
    path = tmp_path_factory.mktemp("data") / "odd.npz"
    images, labels = split
    np.savez(path, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    config = parse([f"--dataset=npz:{path}", "--eval_batch_size=8"])
    source = open_source(config.data)
    return lambda strategy: evaluation_stream(config, source, SIZE, strategy)


def small_network():
    with unittest.mock.patch.dict(BLOCKS_OF_DEPTH, {18: (1, 1, 1, 1)}):
        return build_network(Architecture(encoder=ENCODER, num_classes=CLASSES))


@pytest.fixture(scope="module")
def network():
    network = small_network()
    kernel = network.classifier.kernel  # A new one makes all classes equally likely.
    kernel.assign(np.random.default_rng(1).normal(size=kernel.shape))
    return network


@pytest.fixture(scope="module")
def counted(split, network):
    """What the logits of all images at once say, by sorting and by logarithms in float64."""
    images, labels = split
    logits = network(tf.constant(images / 255, tf.float32), training=False)["logits_sup"]
    logits = logits.numpy().astype(np.float64)
    ranked = np.argsort(-logits, axis=1)
    own = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
    return {
        "top_1": np.mean(ranked[:, 0] == labels),
        "top_5": np.mean([label in five for five, label in zip(ranked[:, :5], labels, strict=True)]),
        "cross_entropy": np.mean(own),
        "count": IMAGES,
    }


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_every_image_counts_once_on_any_number_of_replicas(replicas, network, counted, stream_of):
    strategy = mirrored(replicas) if replicas > 1 else tf.distribute.get_strategy()
    with strategy.scope():
        copy = small_network()
        set_values(copy, values_of(network))
    found = build_evaluator(copy, strategy)(stream_of(strategy))
    assert found == {name: pytest.approx(value, rel=1e-5) for name, value in counted.items()}
    assert 0 < counted["top_1"] < counted["top_5"] < 1  # Else a wrong count could look right.


class Workers:
    """A strategy of several workers with two replicas each, as far as a stream asks."""

    def __init__(self, workers):
        self.num_replicas_in_sync = 2 * workers
        self._contexts = [tf.distribute.InputContext(workers, id, 2 * workers) for id in range(workers)]

    def distribute_datasets_from_function(self, of_worker):
        return [list(of_worker(context)) for context in self._contexts]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_share_the_images_and_get_equally_many_batches_of_one_shape(workers, split, stream_of):
    parts = list(stream_of(Workers(workers)))
    assert {len(batches) for batches in parts} == {len(parts[0])}
    batches = [batch for part in parts for batch in part]
    assert {batch["image"].shape for batch in batches} == {batches[0]["image"].shape}
    indices, labels = (np.concatenate([batch[name] for batch in batches]) for name in ("index", "label"))
    assert sorted(indices[indices >= 0]) == list(range(IMAGES))
    np.testing.assert_array_equal(labels, np.where(indices >= 0, split[1][indices], -1))
