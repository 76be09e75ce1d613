"""Main memory of a training run, as the operating system saw it."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile
import time

from benchmarks.measure import Found, Row, resident_peak
from tf_simclr.config import EncoderConfig, HeadConfig
from tf_simclr.model.describe import describe
from tf_simclr.model.network import Architecture

ROOT = pathlib.Path(__file__).parents[1]
SIZE = 32  # px
BATCH = 64
DEPTH = 18
GIGABYTE = 1e9
LOOK_EVERY = 0.02  # s


def run(*, width: float = 1.0, batch: int = BATCH) -> Found:
    """Measures two steps of pretraining, beside what ``--mode=describe`` foretells and TensorFlow alone."""
    head = HeadConfig()
    described = describe(
        Architecture(
            encoder=EncoderConfig(resnet_depth=DEPTH, width_multiplier=width),
            head=head,
            head_layers=head.num_layers,
        ),
        image_size=SIZE,
        batch_size=batch,
        views=2,
    )
    empty = peak_of("-c", "import tensorflow; tensorflow.ones([1])")
    with tempfile.TemporaryDirectory() as folder:
        trained = peak_of(
            "run.py",
            "--mode=pretrain",
            f"--resnet_depth={DEPTH}",
            f"--width_multiplier={width}",
            f"--image_size={SIZE}",
            f"--train_batch_size={batch}",
            "--train_steps=2",
            f"--model_dir={folder}/run",
        )
    return Found(
        rows=[
            Row(
                work=f"memory of a pretraining run, ResNet-{DEPTH}, {SIZE} px, batch {batch}",
                value=trained / GIGABYTE,
                unit="GB",
                yardstick="described, and TensorFlow alone",
                yardstick_value=(described.memory.total + empty) / GIGABYTE,
                note=f"TensorFlow alone {empty / GIGABYTE:.2f} GB; saving included",
            )
        ]
    )


def peak_of(*arguments: str) -> int:
    """Returns the largest resident size of a Python process with these arguments, in bytes (Linux).

    It's read while the process runs: what the system reports afterwards counts this
    process too, as it was when it started the other.

    Raises:
        RuntimeError: it failed.
    """
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, resident_peak(process.pid))
        time.sleep(LOOK_EVERY)
    if process.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} ended with status {process.returncode}.")
    return peak
