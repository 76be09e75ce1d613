"""One training step of a stage on digits, without a run directory, for tests that look inside."""

import numpy as np
import tensorflow as tf

from flags.parse import parse
from tf_simclr.data.open_source import open_source
from tf_simclr.model.network import named_variables
from tf_simclr.optim.build import build_optimizer
from tf_simclr.train.plan import plan_training
from tf_simclr.train.pretrain import Pretraining
from tf_simclr.train.step import build_train_step

TINY = ["--width_multiplier=0.125", "--image_size=8", "--train_batch_size=16", "--train_steps=50"]


class Training:
    """A stage, its optimizer and its step; ``make`` builds the stage from settings and source."""

    def __init__(self, *flags, make=Pretraining, strategy=None):
        self.config = parse([*TINY, *flags])
        self.strategy = strategy or tf.distribute.get_strategy()
        tf.random.set_seed(0)
        np.random.seed(0)
        source = open_source(self.config.data)
        with self.strategy.scope():
            self.stage = make(self.config, source, self.config.data.image_size)
            self.plan = plan_training(self.config, num_examples=self.stage.num_examples)
            self.optimizer = build_optimizer(self.config.optimizer, self.plan.schedule, self.stage.groups)
            self.optimizer.build(self.stage.network.trainable_variables)
        self.step = build_train_step(self.stage, self.optimizer, self.strategy)

    def batches(self):
        """The distributed batches of the run, from its beginning."""
        return iter(self.strategy.distribute_datasets_from_function(self._of_worker))

    def _of_worker(self, context):
        return self.stage.batches(
            batch_size=context.get_per_replica_batch_size(self.plan.batch_size), start=0, shard=(0, 1)
        )


def values_of(network):
    """Values of a network's variables by name."""
    return {name: np.array(variable.read_value()) for name, variable in named_variables(network).items()}
