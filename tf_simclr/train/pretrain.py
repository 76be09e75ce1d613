"""Stage 1: contrastive pretraining without labels (SimCLRv2, section 2)."""

from __future__ import annotations

import tensorflow as tf
from absl import logging

from tf_simclr.config import RunConfig
from tf_simclr.data.blur import random_blur
from tf_simclr.data.pipeline import pretrain_batches
from tf_simclr.data.source import Source
from tf_simclr.losses.contrastive import contrastive_metrics, nt_xent
from tf_simclr.losses.gather import cross_replica_gather
from tf_simclr.model.network import Architecture, build_network, projection
from tf_simclr.report.views import MAX_IMAGES
from tf_simclr.train.labelled import labelled_cross_entropy
from tf_simclr.train.stage import Batch, Stage, StageLoss

DEFAULT_TEMPERATURE = 0.1
VIEWS = 2


class Pretraining(Stage):
    """NT-Xent on two views, and a linear probe behind a stopped gradient where there are labels."""

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

    def loss(self, batch: Batch, step: tf.Tensor) -> StageLoss:
        """See :class:`Stage`; contrastive loss plus the probe's, which does not reach the encoder."""
        # One pass over both views: batch norm sees them together.
        endpoints = self.network(self._views(batch, step), training=True)
        first, second = tf.split(projection(endpoints), VIEWS)
        contrastive = nt_xent(
            first,
            second,
            temperature=self.temperature,
            hidden_norm=self.config.loss.hidden_norm,
            gather=cross_replica_gather(),
        )
        accuracy, entropy = contrastive_metrics(contrastive.logits, contrastive.labels)
        metrics = {
            "contrastive_loss": contrastive.loss,
            "contrastive_accuracy": accuracy,
            "contrastive_entropy": entropy,
        }
        if "logits_sup" not in endpoints:
            return StageLoss(contrastive.loss, metrics)
        probe = labelled_cross_entropy(endpoints["logits_sup"], tf.tile(batch["label"], [VIEWS]))
        return StageLoss(contrastive.loss + probe["supervised_loss"], metrics | probe)

    def example_views(self) -> tuple[tf.Tensor, tf.Tensor] | None:
        """See :class:`Stage`."""
        count = min(MAX_IMAGES, self.num_examples)
        batch = next(iter(self.batches(batch_size=count, start=0, shard=(0, 1))))
        first, second = tf.split(self._views(batch, tf.constant(0, tf.int64)), VIEWS)
        return first, second

    def _views(self, batch: Batch, step: tf.Tensor) -> tf.Tensor:
        views = [batch["view_1"], batch["view_2"]]
        if self.config.augment.use_blur:
            for view in range(VIEWS):
                seed = tf.stack([tf.constant(self.config.train.seed, tf.int64), step * VIEWS + view])
                views[view] = random_blur(views[view], seed, batch[f"blur_{view + 1}"])
        return tf.concat(views, axis=0)
