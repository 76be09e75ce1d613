"""Checkpoints and SavedModels, written and read, beside NumPy's plain arrays of as many bytes."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable

import numpy as np

from benchmarks import steps
from benchmarks.measure import Found, Row, alternate
from export.stage import StageInfo, load_stage, write_stage
from tf_simclr.optim.build import build_optimizer
from tf_simclr.train.checkpoint import Checkpoints
from tf_simclr.train.stage import Stage

NETWORK = ("--resnet_depth=50",)
SIZE = 32  # px
REPEATS = 3
KEEP = 2
MEGABYTE = 1e6


def run(*, network: tuple[str, ...] = NETWORK, repeats: int = REPEATS) -> Found:
    """Measures them."""
    stage = steps.pretrain_stage(*network, size=SIZE, batch=2)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        checkpoint = _compare(path, "checkpoint", *_checkpoint(stage, path), repeats)
        saved_model = _compare(path, "SavedModel", *_saved_model(stage, path), repeats)
    return Found(rows=[*checkpoint, *saved_model])


Work = tuple[Callable[[], object], Callable[[], object], int]  # write, read, bytes


def _checkpoint(stage: Stage, path: pathlib.Path) -> Work:
    """Network and optimizer: weights, moving statistics and velocities."""
    optimizer = build_optimizer(stage.config.optimizer, steps.RATE, stage.groups)
    checkpoints = Checkpoints(str(path / "checkpoints"), stage.network, optimizer, KEEP)

    def write() -> None:
        optimizer.iterations.assign_add(1)  # A step that is there already isn't written again.
        checkpoints.save({})

    count = sum(int(np.prod(v.shape)) for v in (*stage.network.variables, *stage.network.trainable_variables))
    return write, checkpoints.restore, 4 * count


def _saved_model(stage: Stage, path: pathlib.Path) -> Work:
    info = StageInfo(
        stage="pretrain",
        architecture=stage.network.architecture,
        image_size=SIZE,
        class_names=stage.class_names,
        step=1,
    )
    target = str(path / "saved_model")
    count = sum(int(np.prod(v.shape)) for v in stage.network.variables)
    return (
        lambda: write_stage(stage.network, info, target),
        lambda: load_stage(f"{target}/{info.step}"),
        4 * count,
    )


def _compare(
    path: pathlib.Path,
    name: str,
    write: Callable[[], object],
    read: Callable[[], object],
    size: int,
    repeats: int,
) -> list[Row]:
    array = np.zeros(size // 4, np.float32)
    file = path / "plain.npy"
    seconds = alternate(
        {
            "write": write,
            "plain write": lambda: np.save(file, array),
            "read": read,
            "plain read": lambda: np.load(file),
        },
        repeats=repeats,
    )
    return [
        Row(
            work=f"{what} a {name}, {size / MEGABYTE:.0f} MB",
            value=seconds[what],
            unit="s",
            yardstick="NumPy, as many bytes",
            yardstick_value=seconds[f"plain {what}"],
        )
        for what in ("write", "read")
    ]
