"""Flags of the memory of negatives in pretraining."""

from __future__ import annotations

from absl import flags

from tf_simclr.config import MemoryConfig


def define(flag_values: flags.FlagValues) -> None:
    """Registers the flags of MemoryConfig."""
    flags.DEFINE_integer(
        "memory_size",
        MemoryConfig.memory_size,
        "Projections of earlier batches that pretraining contrasts with besides the batch, a multiple of "
        "twice --train_batch_size; 0: none. Paper: 65536 on ImageNet, none on CIFAR-10.",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "memory_momentum",
        MemoryConfig.memory_momentum,
        "Share of its old value that a weight of the momentum network keeps in a step, in [0, 1). "
        "Paper: 0.999.",
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "export_ema",
        MemoryConfig.export_ema,
        "Evaluate and save the momentum network instead of the one that is trained; needs --memory_size. In "
        "--mode=import: take the moving average that some TensorFlow 1 checkpoints have.",
        flag_values=flag_values,
    )
