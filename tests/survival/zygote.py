"""A process that has imported TensorFlow and forks a child for each command line that it is given.

Children are real processes, which start in no time and can be killed. Started by ``children.py``;
reads one JSON object a line and answers with the child's status.
"""

import contextlib
import hashlib
import importlib
import json
import os
import resource
import signal
import sys
import threading

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="1", CUDA_VISIBLE_DEVICES="-1")

import numpy as np
import tensorflow as tf
from absl import logging as absl_logging

import run
from tf_simclr.config import BLOCKS_OF_DEPTH
from tf_simclr.train.loop import Loop

for module in (
    "export.kinds",
    "export.stage",
    "export.hub",
    "tf_simclr.train.execute",
    "tf_simclr.train.measure",
):
    importlib.import_module(module)  # here once, and not in every child

BLOCKS_OF_DEPTH[18] = (1, 1, 1, 1)  # Half the layers: what is tested here is not the network.
WRITERS = ("GFile", "Checkpoint.write", "saved_model.save")
BALLAST = "ballast"  # what fills a disk

FILE_CALLS = ("GFile", "rename", "remove", "rmtree", "makedirs")


def main():
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            be_child(order)
        print(json.dumps(os.waitpid(child, 0)[1]), flush=True)


def be_child(order):
    status = 1
    try:
        output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(order["folder"])
        install(order)
        absl_logging.use_absl_handler()  # as app.run does
        run.show_own_lines()
        run.define_all()
        sys.argv = ["run.py", *order["argv"]]
        run.main(run._parse_flags(sys.argv))
        status = 0
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(status)


def install(order):
    if order.get("batches"):
        write_hashes(order["batches"])
    if order.get("at_step"):
        signal_at_step(*order["at_step"])
    if order.get("at_second"):
        kill = threading.Timer(order["at_second"], os.kill, (os.getpid(), signal.SIGKILL))
        kill.daemon = True
        kill.start()
    if any(order.get(name) for name in ("calls", "kill_at", "fill_at")):
        watch_calls(order)
    if order.get("file_bytes"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_bytes"], order["file_bytes"]))
    if order.get("poison"):
        poison(order["poison"])


def write_hashes(path):
    """Adds a line ``step hash`` for every batch that a step takes."""
    batches = Loop._batches

    def hashed(self, first):
        for step, batch in enumerate(batches(self, first), start=first + 1):
            digest = hashlib.sha256()
            for name in sorted(batch):
                digest.update(np.ascontiguousarray(batch[name].numpy()).tobytes())
            with open(path, "a") as file:
                file.write(f"{step} {digest.hexdigest()}\n")
            yield batch

    Loop._batches = hashed


def signal_at_step(number, step):
    """Sends this process a signal when ``step`` is computed and nothing that follows it is done."""
    after = Loop._after

    def signalled(self, now):
        if now == step:
            os.kill(os.getpid(), number)
            if number == signal.SIGTERM:
                while not self._stop.is_made:
                    pass
        after(self, now)

    Loop._after = signalled


def poison(steps):
    """Makes the images of some steps infinite."""
    batches = Loop._batches

    def poisoned(self, first):
        for step, batch in enumerate(batches(self, first), start=first + 1):
            factor = float("inf") if step in steps else 1.0
            yield {
                name: value * factor if value.dtype == tf.float32 else value for name, value in batch.items()
            }

    Loop._batches = poisoned


def watch_calls(order):
    """Watches the calls that change files; each has a place in the program, and a number there.

    ``calls``: a file to record them in. ``kill_at`` [place, number]: this process dies before the
    call. ``fill_at`` [part of a place, folder, number]: the disk of the folder is full from that
    call on that writes content.
    """
    seen = {}

    def before(place):
        seen[place] = seen.get(place, 0) + 1
        if order.get("calls"):
            os.write(calls, f"{place}\n".encode())
        if order.get("kill_at") == [place, seen[place]]:
            os.kill(os.getpid(), signal.SIGKILL)
        if order.get("fill_at") and order["fill_at"][0] in place and place.startswith(WRITERS):
            part, folder, number = order["fill_at"]
            seen[part] = seen.get(part, 0) + 1
            if seen[part] == number:
                fill(folder)

    def watched(name, function):
        def call(*args, **kwargs):
            if name != "GFile" or (args[1:] and args[1][0] in "wa"):
                before(f"{name} {caller()}")
            return function(*args, **kwargs)

        return call

    if order.get("calls"):
        calls = os.open(order["calls"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for name in FILE_CALLS:
        setattr(tf.io.gfile, name, watched(name, getattr(tf.io.gfile, name)))
    tf.saved_model.save = watched("saved_model.save", tf.saved_model.save)
    tf.train.Checkpoint.write = watched("Checkpoint.write", tf.train.Checkpoint.write)
    os.fsync = watched("fsync", os.fsync)


def fill(folder):
    """Writes until the disk is full."""
    with contextlib.suppress(OSError), open(os.path.join(folder, BALLAST), "ab", buffering=0) as file:
        for size in (1 << 16, 1 << 10, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"0" * size)


def caller():
    """The innermost functions of the project that led here, without line numbers."""
    names = []
    frame = sys._getframe(2)
    root = os.path.dirname(os.path.abspath(run.__file__))
    while frame is not None and len(names) < 3:
        file = frame.f_code.co_filename
        if file.startswith(root) and "site-packages" not in file and "tests" not in file:
            names.append(f"{os.path.basename(file)}:{frame.f_code.co_name}")
        frame = frame.f_back
    return "<".join(names)


if __name__ == "__main__":
    main()
