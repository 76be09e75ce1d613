"""``run.py --mode=import``: a released checkpoint becomes a run, in a process of its own."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

from benchmarks.measure import Found, Row, alternate
from benchmarks.startup import ROOT, import_tensorflow
from export.released.names import released_variables
from tf_simclr.config import EncoderConfig, HeadConfig
from tf_simclr.model.network import Architecture

PATIENCE = 600.0  # s
RESNET50 = Architecture(
    encoder=EncoderConfig(resnet_depth=50), head=HeadConfig(), head_layers=3, num_classes=1000
)


def run(*, architecture: Architecture = RESNET50, repeats: int = 1) -> Found:
    """Measures a file of random numbers with a released network's names and shapes."""
    with tempfile.TemporaryDirectory() as folder:
        values = random_values(architecture)
        checkpoint = write_checkpoint(values, pathlib.Path(folder, "released", "model.ckpt-1"))
        seconds = alternate(
            {"import": lambda: import_run(checkpoint, folder), "start": import_tensorflow},
            repeats=repeats,
            warm_up=0,
        )
    size = sum(value.nbytes for value in values.values())
    return Found(
        rows=[
            Row(
                work=f"import a released ResNet-{architecture.encoder.resnet_depth}, {size / 1e6:.0f} MB",
                value=seconds["import"],
                unit="s",
                yardstick="importing TensorFlow alone",
                yardstick_value=seconds["start"],
                note="reading, matching every variable and writing the SavedModel, start included",
            )
        ]
    )


def random_values(architecture: Architecture) -> dict[str, np.ndarray]:
    """Returns float32 values by the names that TensorFlow 1's release has for ``architecture``."""
    generator = np.random.default_rng(0)
    return {
        row.name("tf1"): generator.uniform(0.5, 1.5, row.shape).astype(np.float32)
        for row in released_variables(architecture)
    }


def write_checkpoint(values: dict[str, np.ndarray], prefix: pathlib.Path) -> str:
    """Writes a checkpoint of the form of TensorFlow 1; returns its prefix."""
    prefix.parent.mkdir(parents=True)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(values),
        shape_and_slices=[""] * len(values),
        tensors=[tf.constant(value) for value in values.values()],
    )
    return str(prefix)


def import_run(checkpoint: str, folder: str) -> None:
    """Imports ``checkpoint`` into a run below ``folder``, which it replaces.

    Raises:
        subprocess.CalledProcessError: the import failed.
    """
    command = ["run.py", "--mode=import", f"--checkpoint={checkpoint}", f"--model_dir={folder}/run"]
    subprocess.run(
        [sys.executable, *command, "--overwrite"], cwd=ROOT, capture_output=True, check=True, timeout=PATIENCE
    )
