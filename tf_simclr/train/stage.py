"""The interface between the loop and the stages."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from tf_simclr.config import RunConfig
from tf_simclr.data.source import Source
from tf_simclr.losses.decay import weight_decay_loss
from tf_simclr.model.network import SimCLR
from tf_simclr.optim.build import loss_decayed_variables
from tf_simclr.optim.groups import parameter_groups

Batch = Mapping[str, tf.Tensor]
Tensors = Mapping[str, tf.Tensor]  # one row an example of the batch


class StageLoss(NamedTuple):
    """What a stage computes of one replica's part of a batch."""

    loss: tf.Tensor  # scalar float32: mean over this replica's examples
    metrics: dict[str, tf.Tensor]  # scalars: means likewise


class Stage(abc.ABC):
    """A network in training: its data, its loss.

    Make it inside ``strategy.scope()``. A step calls, inside a replica, :meth:`prepared`,
    :meth:`targets`, :meth:`outputs` and :meth:`loss`, and after the update :meth:`after_update`.

    Attributes:
        network: what is trained, with the layers frozen that shall be.
        saved_network: what is evaluated and saved; the same unless a stage says otherwise.
        couples_examples: whether the loss of one example depends on the others of the batch.
        image_size: px.
        class_names: in the order of the logits; empty without labels.
        num_examples: images of one epoch.
        teacher: a network whose accuracy is reported beside this one's, or None.
    """

    teacher: SimCLR | None = None
    couples_examples = False

    def __init__(
        self,
        network: SimCLR,
        config: RunConfig,
        source: Source,
        *,
        image_size: int,
        class_names: tuple[str, ...],
        num_examples: int,
    ) -> None:
        self.network = self.saved_network = network
        self.config = config
        self.source = source
        self.image_size = image_size
        self.class_names = class_names
        self.num_examples = num_examples
        self.groups = parameter_groups(network, network.classifier)
        self._decayed_in_loss = loss_decayed_variables(config.optimizer, self.groups)

    @abc.abstractmethod
    def batches(self, *, batch_size: int, start: int, shard: tuple[int, int]) -> tf.data.Dataset:
        """Endless training batches from example ``start`` of the stream of all shards."""

    def prepared(self, batch: Batch, step: tf.Tensor) -> Batch:
        """The batch as the networks see it, once a step. ``step``: int64 scalar, updates so far."""
        del step
        return batch

    def targets(self, batch: Batch) -> Tensors:
        """What another network makes of the batch, for the loss to compare with; without a gradient."""
        del batch
        return {}

    @abc.abstractmethod
    def outputs(self, batch: Batch) -> Tensors:
        """What the trained network makes of the batch."""

    @abc.abstractmethod
    def loss(self, outputs: Tensors, targets: Tensors, batch: Batch) -> StageLoss:
        """Loss of the data, by :meth:`outputs` and :meth:`targets` of this replica's batch."""

    def after_update(self, targets: Tensors) -> None:  # noqa: B027  Most stages do nothing.
        """What follows an update of the network, still inside the replica."""

    def decay(self) -> tf.Tensor:
        """Weight decay that is a term of the loss: float32 scalar."""
        return weight_decay_loss(self._decayed_in_loss, self.config.optimizer.weight_decay)

    def example_views(self) -> tuple[tf.Tensor, tf.Tensor] | None:
        """A few images as two views each, float32 [n, s, s, 3], where the stage makes views."""
        return None

    def extra_trackables(self) -> dict[str, Any]:
        """What a checkpoint holds beside network and optimizer, by name: trackable objects."""
        return {}

    def labelled_ids(self) -> list[str] | None:
        """Names of the examples whose labels are used; None = all there are, or none."""
        return None
