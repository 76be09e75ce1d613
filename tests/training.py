"""One training step of a stage on digits, without a run directory, for tests that look inside."""

import contextlib
import unittest.mock

import numpy as np
import tensorflow as tf
import tf_keras as keras

from flags.parse import parse
from tf_simclr.config import BLOCKS_OF_DEPTH, Mode
from tf_simclr.data.open_source import open_source
from tf_simclr.model.batch_norm import BatchNorm
from tf_simclr.model.network import build_network, named_variables
from tf_simclr.model.start import StartingPoint
from tf_simclr.train.distill import Distillation
from tf_simclr.train.finetune import Classification
from tf_simclr.train.plan import plan_training
from tf_simclr.train.precision import computing_in, precision_of
from tf_simclr.train.pretrain import Pretraining
from tf_simclr.train.start import copy_values
from tf_simclr.train.step import build_train_step
from tf_simclr.train.update import stage_optimizer

TINY = [
    "--width_multiplier=0.125",
    "--image_size=8",
    "--train_batch_size=16",
    "--train_steps=50",
    "--optimizer=lars",
    "--warmup_epochs=0",
]
SIZE = 8  # px


def mirrored(replicas):
    """A strategy of so many logical CPU devices."""
    # Not the default collectives: those of two MirroredStrategies in one process share keys and clash.
    devices = [f"CPU:{number}" for number in range(replicas)]
    return tf.distribute.MirroredStrategy(devices, tf.distribute.ReductionToOneDevice())


SHARPNESS = 10


def smooth_relu(values):
    """log(1 + exp(10 x)) / 10, at most 0.07 from ReLU.

    Where a rounding moves a value across ReLU's kink, the gradient jumps: a single one of the last
    block group changes it by a percent.
    """
    return tf.nn.softplus(SHARPNESS * values) / SHARPNESS


@contextlib.contextmanager
def well_conditioned():
    """ResNets without kinks, and of one block a group, as what replicas exchange is the same in each."""
    short = unittest.mock.patch.dict(BLOCKS_OF_DEPTH, {18: (1, 1, 1, 1)})
    with short, unittest.mock.patch.object(tf.nn, "relu", smooth_relu):
        yield


def save_distinct_images(path):
    """Writes images, 64 to train on and 37 to evaluate, that differ more from each other than within.

    Digits are so alike that the features of a batch are nearly equal: batch norm in the projection
    head takes their mean away, and with it the first digits of float32.
    """
    rng = np.random.default_rng(0)
    coarse, fine = rng.integers(0, 256, (101, 2, 2, 3)), rng.integers(-40, 40, (101, 8, 8, 3))
    images = np.clip(np.kron(coarse, np.ones((1, 4, 4, 1))) + fine, 0, 255).astype(np.uint8)
    labels = np.arange(101) % 10
    np.savez(
        path,
        train_images=images[:64],
        train_labels=labels[:64],
        test_images=images[64:],
        test_labels=labels[64:],
    )


class Training:
    """A stage, its optimizer and its step; ``start``: the network that the stage begins from."""

    def __init__(self, *flags, start=None, strategy=None, freeze_norms=False):
        self.config = parse([*TINY, *flags])
        self.strategy = strategy or tf.distribute.get_strategy()
        keras.utils.set_random_seed(0)
        source = open_source(self.config.data)
        with self.strategy.scope(), computing_in(precision_of(self.config.scale)):
            self.stage = build_stage(self.config, source, start)
            self.stage.network.encoder.rematerialize = self.config.scale.rematerialize
            if freeze_norms:  # They are then in inference mode.
                for network in (self.stage.network, self.stage.extra_trackables().get("momentum_network")):
                    for layer in network.submodules if network else ():
                        layer.trainable = not isinstance(layer, BatchNorm)
            self.plan = plan_training(
                self.config,
                num_examples=self.stage.num_examples,
                replicas=self.strategy.num_replicas_in_sync,
            )
            self.optimizer = stage_optimizer(self.stage, self.plan.schedule)
            self.optimizer.build(self.stage.network.trainable_variables)
        self.step = build_train_step(self.stage, self.optimizer, self.strategy, slices=self.plan.slices)

    def batches(self):
        """The distributed batches of the run, from its beginning."""
        return iter(self.strategy.distribute_datasets_from_function(self._of_worker))

    def _of_worker(self, context):
        return self.stage.batches(
            batch_size=context.get_per_replica_batch_size(self.plan.batch_size), start=0, shard=(0, 1)
        )


def build_stage(config, source, start):
    if config.mode is Mode.PRETRAIN:
        return Pretraining(config, source, config.data.image_size)
    make = Distillation if config.mode is Mode.DISTILL else Classification
    return make(config, source, config.data.image_size, start and starting_point(start, source))


def starting_point(network, source):
    """``network`` as a stage finds it in a SavedModel."""

    def load():
        copy = build_network(network.architecture)
        copy_values(network, copy)
        return copy

    return StartingPoint(
        flag="checkpoint",
        path="memory",
        architecture=network.architecture,
        image_size=SIZE,
        class_names=source.class_names,
        load=load,
        require=lambda architecture: None,
    )


def values_of(network):
    """Values of a network's variables by name."""
    return {name: np.array(variable.read_value()) for name, variable in named_variables(network).items()}


def set_values(network, values):
    """Gives a network the values that ``values_of`` returned."""
    for name, variable in named_variables(network).items():
        variable.assign(values[name])


def assert_close(found, wanted, tolerance, *, floor=0.0):
    """Dictionaries of arrays: ||found - wanted|| is at most ``tolerance`` of ||wanted|| in each.

    What is shorter than ``floor`` may differ by the tolerance of ``floor``.
    """
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        error, length = np.linalg.norm(found[name] - value), np.linalg.norm(value)
        assert error <= tolerance * max(length, floor), (name, error / max(length, 1e-30))
