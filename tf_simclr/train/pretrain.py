"""Stage 1: contrastive pretraining without labels (SimCLRv2, section 2)."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from absl import logging

from tf_simclr.config import RunConfig
from tf_simclr.data.blur import random_blur
from tf_simclr.data.distort import distort_batch
from tf_simclr.data.pipeline import VIEWS, pretrain_batches
from tf_simclr.data.source import Source
from tf_simclr.losses.contrastive import Memory, contrastive_metrics, nt_xent, projection_std
from tf_simclr.losses.gather import cross_replica_gather
from tf_simclr.memory.momentum import momentum_copy, move_towards
from tf_simclr.memory.queue import KeyQueue
from tf_simclr.model.batch_norm import kept_statistics
from tf_simclr.model.network import Architecture, SimCLR, build_network, projection
from tf_simclr.replicas import gather_rows
from tf_simclr.report.views import MAX_IMAGES
from tf_simclr.train.labelled import labelled_cross_entropy
from tf_simclr.train.stage import Batch, Stage, StageLoss, Tensors

DEFAULT_TEMPERATURE = 0.1


def _projection_width(architecture: Architecture) -> int:
    head = architecture.head
    return head.proj_out_dim if head.num_layers else architecture.encoder.feature_dim


class Pretraining(Stage):
    """NT-Xent on two views, and a linear probe behind a stopped gradient where there are labels.

    With ``memory_size`` > 0 a momentum network makes the keys that anchors are compared with, and a
    queue keeps those of earlier batches.
    """

    couples_examples = True

    def __init__(self, config: RunConfig, source: Source, image_size: int) -> None:
        class_names = source.class_names
        has_probe = config.loss.lineareval_while_pretraining and bool(class_names)
        if config.loss.lineareval_while_pretraining and not class_names:
            logging.info("The data has no labels: pretraining without the linear probe.")
        architecture = Architecture(
            encoder=config.encoder.with_stem_for(image_size),
            head=config.head,
            head_layers=config.head.num_layers,
            num_classes=len(class_names) if has_probe else 0,
            logits_from=(config.finetune.ft_proj_selector or 0) if has_probe else 0,
            detach_logits=has_probe,
        )
        super().__init__(
            build_network(architecture),
            config,
            source,
            image_size=image_size,
            class_names=class_names,
            num_examples=source.num_examples(config.data.train_split),
        )
        self.temperature = config.loss.temperature or DEFAULT_TEMPERATURE
        self._queue: KeyQueue | None = None
        self._momentum_network: SimCLR | None = None
        if config.memory.memory_size:
            self._momentum_network = momentum_copy(self.network)
            self._queue = KeyQueue(config.memory.memory_size, _projection_width(architecture))
        if config.memory.export_ema and self._momentum_network is not None:
            self.saved_network = self._momentum_network

    def batches(self, *, batch_size: int, start: int, shard: tuple[int, int]) -> tf.data.Dataset:
        """See :class:`Stage`."""
        return pretrain_batches(
            self.source,
            self.config.data.train_split,
            image_size=self.image_size,
            augment=self.config.augment,
            batch_size=batch_size,
            seed=self.config.train.seed,
            start=start,
            shard=shard,
        )

    def prepared(self, batch: Batch, step: tf.Tensor) -> Batch:
        """See :class:`Stage`; adds ``views``, those of view 1 before those of view 2."""
        return {**batch, "views": self._views(batch, step)}

    def targets(self, batch: Batch) -> Tensors:
        """See :class:`Stage`; the momentum network's projections of both views, if there is a memory."""
        if self._momentum_network is None:
            return {}
        with kept_statistics():  # Its own follow those of the trained network.
            endpoints = self._momentum_network(batch["views"], training=True)
        key_1, key_2 = tf.split(tf.stop_gradient(projection(endpoints)), VIEWS)
        return {"key_1": key_1, "key_2": key_2}

    def outputs(self, batch: Batch) -> Tensors:
        """See :class:`Stage`; projections and the probe's logits of both views."""
        # One pass over both views: batch norm sees them together.
        endpoints = self.network(batch["views"], training=True)
        projection_1, projection_2 = tf.split(projection(endpoints), VIEWS)
        outputs = {"projection_1": projection_1, "projection_2": projection_2}
        if "logits_sup" in endpoints:
            outputs["logits_1"], outputs["logits_2"] = tf.split(endpoints["logits_sup"], VIEWS)
        return outputs

    def loss(self, outputs: Tensors, targets: Tensors, batch: Batch) -> StageLoss:
        """See :class:`Stage`; contrastive loss plus the probe's, which does not reach the encoder."""
        contrastive = nt_xent(
            outputs["projection_1"],
            outputs["projection_2"],
            temperature=self.temperature,
            hidden_norm=self.config.loss.hidden_norm,
            gather=cross_replica_gather(),
            memory=self._memory(targets),
        )
        accuracy, entropy = contrastive_metrics(contrastive.logits, contrastive.labels)
        metrics = {
            "contrastive_loss": contrastive.loss,
            "contrastive_accuracy": accuracy,
            "contrastive_entropy": entropy,
            "projection_std": projection_std(
                gather_rows(
                    tf.stop_gradient(tf.concat([outputs["projection_1"], outputs["projection_2"]], 0))
                )
            ),
        }
        if "logits_1" not in outputs:
            return StageLoss(contrastive.loss, metrics)
        logits = tf.concat([outputs["logits_1"], outputs["logits_2"]], axis=0)
        probe = labelled_cross_entropy(logits, tf.tile(batch["label"], [VIEWS]))
        return StageLoss(contrastive.loss + probe["supervised_loss"], metrics | probe)

    def _memory(self, targets: Tensors) -> Memory | None:
        if self._queue is None:
            return None
        key_1, offset = cross_replica_gather()(targets["key_1"])
        key_2, _ = cross_replica_gather()(targets["key_2"])
        return Memory(key_1, key_2, offset, tf.convert_to_tensor(self._queue.keys), self._queue.is_filled())

    def after_update(self, targets: Tensors) -> None:
        """See :class:`Stage`; the keys of the global batch enter the queue, the momentum network moves."""
        if self._queue is None or self._momentum_network is None:
            return
        keys = [cross_replica_gather()(targets[name]).rows for name in ("key_1", "key_2")]
        self._queue.enqueue(tf.math.l2_normalize(tf.cast(tf.concat(keys, axis=0), tf.float32), axis=-1))
        move_towards(self.network, self._momentum_network, self.config.memory.memory_momentum)

    def extra_trackables(self) -> dict[str, Any]:
        """See :class:`Stage`."""
        if self._queue is None:
            return {}
        return {"momentum_network": self._momentum_network, "queue": self._queue}

    def example_views(self) -> tuple[tf.Tensor, tf.Tensor] | None:
        """See :class:`Stage`."""
        count = min(MAX_IMAGES, self.num_examples)
        batch = next(iter(self.batches(batch_size=count, start=0, shard=(0, 1))))
        first, second = tf.split(self._views(batch, tf.constant(0, tf.int64)), VIEWS)
        return first, second

    def _views(self, batch: Batch, step: tf.Tensor) -> tf.Tensor:
        views = [batch["view_1"], batch["view_2"]]
        if batch.get("draw_1"):
            kind = self.config.augment.color_jitter
            views = [distort_batch(views[view], batch[f"draw_{view + 1}"], kind) for view in range(VIEWS)]
        if self.config.augment.use_blur:
            for view in range(VIEWS):
                seed = tf.stack([tf.constant(self.config.train.seed, tf.int64), step * VIEWS + view])
                views[view] = random_blur(views[view], seed, batch[f"blur_{view + 1}"])
        return tf.concat(views, axis=0)
