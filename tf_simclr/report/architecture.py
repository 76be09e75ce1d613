"""What ``--mode=describe`` prints."""

from __future__ import annotations

from tf_simclr.config import RunConfig
from tf_simclr.data.open_source import default_image_size, open_uncached
from tf_simclr.model.describe import describe
from tf_simclr.model.network import Architecture
from tf_simclr.model.start import StartingPoint

VIEWS = 2  # Pretraining sees every image twice.
SLOTS = {"lars": 1, "momentum": 1, "adam": 2, "lamb": 2}  # variables that an optimizer keeps for each weight
BATCH_SIZE = 512


def describe_run(config: RunConfig, start: StartingPoint | None) -> str:
    """Returns the table of a SavedModel's architecture, or of the flags' where ``start`` is None."""
    if start is not None:
        architecture, own_size = start.architecture, start.image_size
    else:
        architecture = Architecture(
            encoder=config.encoder, head=config.head, head_layers=config.head.num_layers
        )
        own_size = 0
    return describe(
        architecture,
        image_size=config.data.image_size or own_size or default_image_size(open_uncached(config.data)),
        batch_size=config.train.train_batch_size or BATCH_SIZE,
        views=VIEWS,
        optimizer_slots=SLOTS[config.optimizer.optimizer],
    ).table()
