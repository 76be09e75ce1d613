"""Training steps on one batch that stays in memory, made as the stages of ``run.py`` make them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.flops import flops
from export.stage import StageInfo
from flags.parse import parse
from tf_simclr.config import RunConfig
from tf_simclr.data.arrays import ArraySource, ArraySplit
from tf_simclr.model.network import SimCLR
from tf_simclr.model.start import StartingPoint
from tf_simclr.train.distill import Distillation
from tf_simclr.train.finetune import Classification
from tf_simclr.train.pretrain import Pretraining
from tf_simclr.train.stage import Stage
from tf_simclr.train.step import build_train_step
from tf_simclr.train.update import stage_optimizer

RATE = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One training step that can be called again and again."""

    run: Callable[[], None]  # returns when the weights are updated
    flops: int  # of convolutions and matrix products
    images: int  # of the global batch, views not counted
    stage: Stage


def noise(*, size: int, count: int) -> np.ndarray:
    """Returns ``count`` images uint8 [count, size, size, 3], the same at every call."""
    return np.random.default_rng(0).integers(0, 256, [count, size, size, 3], np.uint8)


def random_source(*, size: int, count: int, classes: int = 10) -> ArraySource:
    """Returns labelled :func:`noise` in the splits ``train`` and ``test``."""
    split = ArraySplit.of(noise(size=size, count=count), np.arange(count, dtype=np.int64) % classes)
    return ArraySource("noise", {"train": split, "test": split}, tuple(map(str, range(classes))))


def pretrain_stage(*flags: str, size: int, batch: int, classes: int = 10) -> Stage:
    """Returns the stage of ``--mode=pretrain`` with these flags."""
    source = random_source(size=size, count=max(batch, classes), classes=classes)
    return Pretraining(_config("pretrain", flags, size, batch), source, size)


def supervised_stage(*flags: str, size: int, batch: int) -> Stage:
    """Returns the stage of ``--mode=supervised`` with these flags."""
    return Classification(
        _config("supervised", flags, size, batch), random_source(size=size, count=batch), size, None
    )


def pretrain_step(*flags: str, size: int, batch: int, classes: int = 10) -> Step:
    """Returns the step of ``--mode=pretrain`` with these flags."""
    return _step(pretrain_stage(*flags, size=size, batch=batch, classes=classes))


def finetune_step(*flags: str, size: int, batch: int, classes: int = 10) -> Step:
    """Returns the step of ``--mode=finetune`` on a network that these flags describe."""
    pretrained = pretrain_stage(*flags, size=size, batch=batch, classes=classes)
    config = _config("finetune", (), size, batch)
    return _step(Classification(config, pretrained.source, size, _as_start(pretrained)))


def distill_step(*flags: str, size: int, batch: int) -> Step:
    """Returns the step of ``--mode=distill`` with teacher and student of these flags."""
    teacher = supervised_stage(*flags, size=size, batch=batch)
    config = _config("distill", flags, size, batch)
    return _step(Distillation(config, teacher.source, size, _as_start(teacher)))


def stage_info(network: SimCLR, size: int) -> StageInfo:
    """Returns what a SavedModel of this classifier says of itself; its classes are called 0, 1, ..."""
    return StageInfo(
        stage="supervised",
        architecture=network.architecture,
        image_size=size,
        class_names=tuple(map(str, range(network.architecture.num_classes))),
        step=1,
    )


def _config(mode: str, flags: tuple[str, ...], size: int, batch: int) -> RunConfig:
    return parse(
        [
            f"--mode={mode}",
            "--dataset=npz:noise.npz",
            f"--image_size={size}",
            f"--train_batch_size={batch}",
            "--optimizer=lars",
            *flags,
        ]
    )


def _as_start(stage: Stage) -> StartingPoint:
    return StartingPoint(
        flag="checkpoint",
        path="a network in memory",
        architecture=stage.network.architecture,
        image_size=stage.image_size,
        class_names=stage.class_names,
        load=lambda: stage.network,
        require=lambda architecture: None,
    )


def _step(stage: Stage) -> Step:
    optimizer = stage_optimizer(stage, RATE)
    optimizer.build(stage.network.trainable_variables)
    train_step: Any = build_train_step(stage, optimizer, tf.distribute.get_strategy())
    batch_size = stage.config.train.train_batch_size or 0
    batch = next(iter(stage.batches(batch_size=batch_size, start=0, shard=(0, 1))))

    def run() -> None:
        train_step(batch)
        optimizer.iterations.numpy()  # Waits, also on a GPU.

    return Step(run=run, flops=flops(train_step, batch), images=batch_size, stage=stage)
