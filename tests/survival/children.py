"""Command lines as processes that can be killed, and what they leave."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import tensorflow as tf

ROOT = pathlib.Path(__file__).parents[2]
KILLED = -9


class Zygote:
    """See ``zygote.py``; a context."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.output = self.folder / "output.txt"

    def __enter__(self):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/survival/zygote.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def run(self, *argv, **order):
        """Runs one command line; returns its exit code, or minus the signal that ended it.

        ``order`` is what ``zygote.install`` reads.
        """
        self.output.write_text("")
        order |= {"argv": argv, "output": str(self.output), "folder": str(self.folder)}
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return os.waitstatus_to_exitcode(json.loads(self._process.stdout.readline()))

    def said(self):
        """What the last command wrote to the terminal."""
        return self.output.read_text()


def metrics(directory):
    """The lines of ``metrics.jsonl`` without what a clock measured."""
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "train/images_per_second"} for line in lines]


def results(directory):
    """``results.json`` without the path and without what a clock measured."""
    found = json.loads((directory / "results.json").read_text())
    found.pop("saved_model")
    found["train"].pop("images_per_second")
    return found


def tensors(prefix):
    """Every value of a checkpoint of TensorFlow, by name."""
    reader = tf.train.load_checkpoint(str(prefix))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_same_values(found, wanted):
    """Compares to the bit."""
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert np.asarray(found[name]).tobytes() == np.asarray(value).tobytes(), name


def assert_same_run(found, wanted, step):
    """Compares two finished run directories: state, SavedModel, metrics and results, to the bit."""
    for prefix in (f"checkpoints/{step}/state", f"saved_model/{step}/variables/variables"):
        found_values, wanted_values = tensors(found / prefix), tensors(wanted / prefix)
        for values in (found_values, wanted_values):  # The graph of objects is no number.
            values.pop("_CHECKPOINTABLE_OBJECT_GRAPH", None)
        assert_same_values(found_values, wanted_values)
    assert metrics(found) == metrics(wanted)
    assert results(found) == results(wanted)


def clear_output(directory):
    """Removes a run directory."""
    with contextlib.suppress(FileNotFoundError):
        tf.io.gfile.rmtree(str(directory))
