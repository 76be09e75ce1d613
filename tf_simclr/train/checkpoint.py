"""Full training state on disk: network, optimizer, step, and what else a stage learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from absl import logging

from tf_simclr.config import ConfigError
from tf_simclr.model.network import SimCLR


class Checkpoints:
    """The newest ``keep`` checkpoints of a run, each written whole by TensorFlow's own manager."""

    def __init__(
        self,
        directory: str,
        network: SimCLR,
        optimizer: Any,
        keep: int,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if hasattr(optimizer, "build"):  # Else a restore would come before the slots it fills.
            optimizer.build(network.trainable_variables)
        self._step = optimizer.iterations
        self._checkpoint = tf.train.Checkpoint(network=network, optimizer=optimizer, **(extra or {}))
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, directory, max_to_keep=keep, step_counter=self._step
        )

    def restore(self) -> int:
        """Fills network and optimizer from the newest checkpoint, if any; returns the steps done.

        Raises:
            ConfigError: the checkpoint is damaged or of another network.
        """
        newest = self._manager.latest_checkpoint
        if newest is None:
            return 0
        try:
            self._checkpoint.restore(newest).assert_existing_objects_matched()
        except (tf.errors.OpError, ValueError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"The checkpoint {newest} cannot be restored ({reason}). Remove its files to go on from the "
                "one before it, or give another --model_dir."
            ) from error
        step = int(self._step.numpy())
        logging.info("Resuming from step %d (%s).", step, newest)
        return step

    def save(self) -> None:
        """Writes a checkpoint of the current step, unless it is there already."""
        step = int(self._step.numpy())
        newest = self._manager.latest_checkpoint
        if newest is None or not newest.endswith(f"-{step}"):
            self._manager.save(checkpoint_number=step)
