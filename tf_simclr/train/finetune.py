"""Stage 2 and its relatives: a classifier trained on labels.

Fine-tuning starts inside a pretrained network's projection head (SimCLRv2, section 2),
linear evaluation keeps that network as it is, and the supervised baseline starts from
random weights; the loop over the labelled images is the same.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tf_simclr.config import ConfigError, Mode, RunConfig
from tf_simclr.data.pipeline import labelled_batches
from tf_simclr.data.source import Source
from tf_simclr.data.subsets import labelled_subset
from tf_simclr.model.network import Architecture, SimCLR, build_network
from tf_simclr.model.start import StartingPoint
from tf_simclr.train.labelled import labelled_cross_entropy
from tf_simclr.train.stage import Batch, Stage, StageLoss, Tensors
from tf_simclr.train.start import NORM_FIELDS, copy_values, finetune_layer


class Classification(Stage):
    """Cross-entropy on the labelled images, cropped and flipped.

    Raises:
        ConfigError: the data has no labels, or fewer than were asked for.
    """

    def __init__(
        self, config: RunConfig, source: Source, image_size: int, start: StartingPoint | None
    ) -> None:
        split, seed = config.data.train_split, config.train.seed
        self._ids = source.ids(split)
        self._rows = labelled_subset(source.labels(split), self._ids, config.labels, seed)
        super().__init__(
            _network(config, image_size, len(source.class_names), start),
            config,
            source,
            image_size=image_size,
            class_names=source.class_names,
            num_examples=len(self._rows),
        )

    def batches(self, *, batch_size: int, start: int, shard: tuple[int, int]) -> tf.data.Dataset:
        """See :class:`Stage`."""
        return labelled_batches(
            self.source,
            self.config.data.train_split,
            image_size=self.image_size,
            augment=self.config.augment,
            batch_size=batch_size,
            seed=self.config.train.seed,
            subset=self._rows,
            start=start,
            shard=shard,
        )

    def outputs(self, batch: Batch) -> Tensors:
        """See :class:`Stage`."""
        return {"logits": self.network(batch["image"], training=True)["logits_sup"]}

    def loss(self, outputs: Tensors, targets: Tensors, batch: Batch) -> StageLoss:
        """See :class:`Stage`."""
        del targets
        metrics = labelled_cross_entropy(outputs["logits"], batch["label"])
        return StageLoss(metrics["supervised_loss"], metrics)

    def labelled_ids(self) -> list[str] | None:
        """See :class:`Stage`."""
        if not self.config.labels.is_subset:
            return None
        return list(map(str, self._ids[self._rows]))


def _network(config: RunConfig, image_size: int, num_classes: int, start: StartingPoint | None) -> SimCLR:
    if num_classes < 2:
        raise ConfigError(
            f"--dataset={config.data.dataset} has {num_classes} class, and a classifier needs at least 2. "
            "Give a data set with labels: class folders, or train_labels in an npz file."
        )
    if start is None:
        encoder = config.encoder.with_stem_for(image_size)
        network = build_network(Architecture(encoder=encoder, num_classes=num_classes), zero_init_logits=True)
    else:
        network = _from_start(config, num_classes, start)
    if config.mode is Mode.LINEAR_EVAL:
        network.encoder.trainable = False
        network.projection_head.trainable = False
    elif config.finetune.fine_tune_after_block >= 0:
        network.encoder.freeze_up_to_block_group(config.finetune.fine_tune_after_block)
    return network


def _from_start(config: RunConfig, num_classes: int, start: StartingPoint) -> SimCLR:
    """Returns encoder and first head layers of ``start`` below a new classifier, all zeros."""
    layers = finetune_layer(start, config)
    norm = {name: getattr(config.encoder, name) for name in NORM_FIELDS if name in config.given}
    architecture = Architecture(
        encoder=dataclasses.replace(start.architecture.encoder, **norm),
        head=start.architecture.head,
        head_layers=layers,
        num_classes=num_classes,
        logits_from=layers,
    )
    network = build_network(architecture, zero_init_logits=True)
    trained = start.load()
    copy_values(trained.encoder, network.encoder)
    copy_values(trained.projection_head, network.projection_head)
    return network
