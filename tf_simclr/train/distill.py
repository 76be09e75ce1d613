"""Stage 3: a student learns a teacher's predictions on unlabelled images (SimCLRv2, section 2)."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from tf_simclr.config import RunConfig
from tf_simclr.data.pipeline import distill_batches
from tf_simclr.data.source import Source
from tf_simclr.data.subsets import labelled_subset
from tf_simclr.losses.distillation import weighted_distillation
from tf_simclr.model.network import Architecture, build_network
from tf_simclr.model.start import StartingPoint
from tf_simclr.train.labelled import labelled_cross_entropy
from tf_simclr.train.stage import Batch, Stage, StageLoss, Tensors
from tf_simclr.train.start import check_classes, given_encoder

SELF_TEMPERATURE = 0.1  # a student of the teacher's architecture (appendix F)
SMALLER_TEMPERATURE = 1.0  # any other


class Distillation(Stage):
    """Cross-entropy against the teacher on every image, and against labels by 1 - distill_alpha."""

    def __init__(self, config: RunConfig, source: Source, image_size: int, teacher: StartingPoint) -> None:
        check_classes(teacher, source.class_names, config.data.dataset)
        split = config.data.train_split
        self._ids = source.ids(split)
        self._labelled = self._labelled_subset(config, source)
        encoder = given_encoder(dataclasses.replace(teacher.architecture.encoder, cifar_stem=None), config)
        architecture = Architecture(
            encoder=encoder.with_stem_for(image_size), num_classes=teacher.architecture.num_classes
        )
        super().__init__(
            build_network(architecture),
            config,
            source,
            image_size=image_size,
            class_names=source.class_names or teacher.class_names,
            num_examples=source.num_examples(split),
        )
        self.teacher = self._teacher = teacher.load()
        self._teacher.trainable = False
        is_same = architecture.encoder == teacher.architecture.encoder
        default = SELF_TEMPERATURE if is_same else SMALLER_TEMPERATURE
        self.temperature = config.loss.temperature or default

    @staticmethod
    def _labelled_subset(config: RunConfig, source: Source) -> np.ndarray:
        split = config.data.train_split
        if config.loss.distill_alpha == 1:
            return np.zeros([0], np.int64)
        return labelled_subset(source.labels(split), source.ids(split), config.labels, config.train.seed)

    def batches(self, *, batch_size: int, start: int, shard: tuple[int, int]) -> tf.data.Dataset:
        """See :class:`Stage`."""
        return distill_batches(
            self.source,
            self.config.data.train_split,
            image_size=self.image_size,
            augment=self.config.augment,
            batch_size=batch_size,
            seed=self.config.train.seed,
            labelled=self._labelled,
            start=start,
            shard=shard,
        )

    def targets(self, batch: Batch) -> Tensors:
        """See :class:`Stage`."""
        return {"logits": self._teacher(batch["image"], training=False)["logits_sup"]}

    def outputs(self, batch: Batch) -> Tensors:
        """See :class:`Stage`."""
        return {"logits": self.network(batch["image"], training=True)["logits_sup"]}

    def loss(self, outputs: Tensors, targets: Tensors, batch: Batch) -> StageLoss:
        """See :class:`Stage`; equation 3, divided by the batch size."""
        teacher, student = targets["logits"], outputs["logits"]
        losses = weighted_distillation(
            teacher,
            student,
            batch["label"],
            temperature=self.temperature,
            alpha=self.config.loss.distill_alpha,
        )
        agreement = tf.equal(tf.argmax(teacher, axis=-1), tf.argmax(student, axis=-1))
        loss = tf.reduce_mean(losses)
        metrics = {
            "distillation_loss": loss,
            "teacher_agreement": tf.reduce_mean(tf.cast(agreement, tf.float32)),
        }
        if self.config.loss.distill_alpha < 1:
            metrics |= labelled_cross_entropy(student, batch["label"])
        return StageLoss(loss, metrics)

    def labelled_ids(self) -> list[str] | None:
        """See :class:`Stage`."""
        if self.config.loss.distill_alpha == 1 or not self.config.labels.is_subset:
            return None
        return list(map(str, self._ids[self._labelled]))
