"""From the command to the help text, and to the first step of the digits demo."""

from __future__ import annotations

import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from benchmarks.measure import Found, Row, alternate

ROOT = pathlib.Path(__file__).parents[1]
HELP_LIMIT = 1.0  # s
FIRST_STEP_LIMIT = 15.0  # s
PATIENCE = 300.0  # s
LOOK_EVERY = 0.02  # s


def run() -> Found:
    """Measures both, beside the limits that they are held to, and the import of TensorFlow alone."""
    seconds = alternate(
        {"help": show_help, "import": import_tensorflow, "step": run_to_first_step}, repeats=3
    )
    imported = f"importing TensorFlow alone takes {seconds['import']:.1f} s"
    before = _processor_seconds()
    run_to_first_step()
    busy = f"{_processor_seconds() - before:.1f} s of processor time; {imported}"
    return Found(
        rows=[
            _row("run.py --help", seconds["help"], HELP_LIMIT, imported),
            _row("run.py --mode=pretrain to its first step", seconds["step"], FIRST_STEP_LIMIT, busy),
        ]
    )


def _row(work: str, value: float, limit: float, note: str) -> Row:
    return Row(work=work, value=value, unit="s", yardstick="limit", yardstick_value=limit, note=note)


def _processor_seconds() -> float:
    """Returns what all processes that this one started and waited for have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def show_help() -> None:
    """Runs ``run.py --help``."""
    _call("run.py", "--help")


def import_tensorflow() -> None:
    """Starts Python and imports TensorFlow."""
    _call("-c", "import tensorflow")


def _call(*arguments: str) -> None:
    # absl's --help exits with status 1.
    subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=False, timeout=PATIENCE)


def run_to_first_step() -> None:
    """Starts the demo's pretraining and waits for the line that tells of its first step.

    Raises:
        RuntimeError: it ended before, or took longer than ``PATIENCE``.
    """
    with tempfile.TemporaryDirectory() as folder:
        metrics = pathlib.Path(folder, "run", "metrics.jsonl")
        process = subprocess.Popen(
            [sys.executable, "run.py", "--mode=pretrain", "--log_steps=1", f"--model_dir={metrics.parent}"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "")},
        )
        try:
            _wait_for_line(metrics, process)
        finally:
            process.kill()
            process.wait()


def _wait_for_line(path: pathlib.Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while not (path.exists() and path.stat().st_size):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"run.py --mode=pretrain wrote no metrics to {path}; run it to see why.")
        time.sleep(LOOK_EVERY)
