"""What ``--microbatch_size`` saves: peak memory and time of a step, each size in a process of its own.

    python -m benchmarks.microbatch_memory [--batch=256] [--slices=1,8] [--depth=50] [--size=64] [--steps=3]

Prints a table: the peak of the process's resident memory (VmHWM), and the median time of a step, by the
clock and of the processor (which other programs on the machine change less). The processes make their steps
in turns, so that a machine that slows down for a while slows all of them down alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from benchmarks.measure import MEBIBYTE, resident_peak

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1", "CUDA_VISIBLE_DEVICES": "-1"}


def main() -> None:
    """Measures every number of slices in turn."""
    options = _options()
    if options.child:
        measure(options, int(options.slices))
        return
    counts = [int(count) for count in options.slices.split(",")]
    children = {count: Child(count) for count in counts}
    turns = [{count: child.step() for count, child in children.items()} for _ in range(options.steps)]
    peaks = {count: child.end() for count, child in children.items()}
    print(
        f"ResNet-{options.depth}, {options.size} px, batch {options.batch}; "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    print("slices  peak MiB  saved  s a step  ratio  CPU s a step  ratio")
    first, whole = counts[0], peaks[counts[0]]
    for count in counts:
        wall, processor = (statistics.median(turn[count][kind] for turn in turns) for kind in (0, 1))
        more_wall, more_processor = (
            statistics.median(turn[count][kind] / turn[first][kind] for turn in turns) for kind in (0, 1)
        )
        print(
            f"{count:6}  {peaks[count]:8.0f}  {whole / peaks[count]:4.2f}x  {wall:8.2f}  {more_wall:4.2f}x"
            f"  {processor:12.2f}  {more_processor:4.2f}x"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--slices", default="1,8")
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--child", action="store_true", help="measure in this process")
    options = parser.parse_args()
    for count in map(int, options.slices.split(",")):
        if count < 1 or options.batch % count:
            parser.error(f"--slices: {count} portions do not divide a batch of {options.batch} evenly.")
    return options


class Child:
    """A process that makes a step whenever it is asked to."""

    def __init__(self, slices: int) -> None:
        arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--slices")]
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.microbatch_memory",
                *arguments,
                f"--slices={slices}",
                "--child",
            ],
            env=os.environ | QUIET,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.step()  # traces

    def step(self) -> tuple[float, float]:
        """Returns seconds and processor seconds of one step."""
        wall, processor = self._ask("step")
        return wall, processor

    def end(self) -> float:
        """Returns the peak of resident memory in MiB."""
        (peak,) = self._ask("end")
        self._process.wait()
        return peak

    def _ask(self, what: str) -> list[float]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            sys.exit("error: a measured process ended; what it wrote is above. Less memory: --batch=64.")
        answer: list[float] = json.loads(line)
        return answer


def measure(options: argparse.Namespace, slices: int) -> None:
    """Answers every line "step" on standard input by the seconds that one took, and "end" by the peak."""
    import numpy as np
    import tensorflow as tf

    from flags.parse import parse
    from tf_simclr.data.arrays import ArraySource, ArraySplit
    from tf_simclr.train.plan import plan_training
    from tf_simclr.train.pretrain import Pretraining
    from tf_simclr.train.step import build_train_step
    from tf_simclr.train.update import stage_optimizer

    config = parse(
        [
            f"--resnet_depth={options.depth}",
            "--width_multiplier=1",
            "--proj_out_dim=128",
            f"--train_batch_size={options.batch}",
            f"--microbatch_size={options.batch // slices}",
            "--optimizer=lars",
            "--train_steps=100",
        ]
    )
    images = np.zeros([options.batch, options.size, options.size, 3], np.uint8)
    split = ArraySplit.of(images, np.zeros([options.batch], np.int64))
    stage = Pretraining(config, ArraySource("black", {"train": split}, ()), options.size)
    plan = plan_training(config, num_examples=stage.num_examples)
    optimizer = stage_optimizer(stage, plan.schedule)
    optimizer.build(stage.network.trainable_variables)  # as a run does before its first step
    step = build_train_step(stage, optimizer, tf.distribute.get_strategy(), slices=plan.slices)
    batch = _batch(options.batch, options.size)
    for line in sys.stdin:
        if line.strip() == "end":
            print(json.dumps([resident_peak() / MEBIBYTE]), flush=True)
            return
        begun = time.perf_counter(), time.process_time()
        float(step(batch)["total_loss"])
        print(json.dumps([time.perf_counter() - begun[0], time.process_time() - begun[1]]), flush=True)


def _batch(count: int, size: int) -> dict[str, object]:
    import tensorflow as tf

    views = {f"view_{k}": tf.random.stateless_uniform([count, size, size, 3], [k, 0]) for k in (1, 2)}
    flags = {f"blur_{k}": tf.zeros([count], tf.bool) for k in (1, 2)}
    numbers = tf.range(count, dtype=tf.int64)
    return {**views, **flags, "label": numbers % 10, "index": numbers}


if __name__ == "__main__":
    main()
