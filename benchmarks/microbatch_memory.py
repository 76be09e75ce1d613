"""What ``--microbatch_size`` saves: peak memory and time of a step, each size in a process of its own.

    python -m benchmarks.microbatch_memory [--batch=256] [--slices=1,8] [--depth=50] [--size=64] [--steps=3]

Prints a table: the peak of the process's resident memory (VmHWM), and the median time of a step. All
processes have the same settings of the memory allocator, under which freed memory goes back at once.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

ALLOCATOR = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_MMAP_THRESHOLD_": "131072"}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1", "CUDA_VISIBLE_DEVICES": "-1"}


def main() -> None:
    """Measures every number of slices in turn."""
    options = _options()
    if options.child:
        print(json.dumps(measure(options, int(options.slices))))
        return
    results = {count: _in_process(count) for count in map(int, options.slices.split(","))}
    first = next(iter(results.values()))
    print(
        f"ResNet-{options.depth}, {options.size} px, batch {options.batch}; "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    print("slices  peak MiB  of the first  s a step  of the first")
    for count, (peak, seconds) in results.items():
        print(
            f"{count:6}  {peak:8.0f}  {first[0] / peak:11.2f}x  {seconds:8.2f}  {seconds / first[1]:11.2f}x"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--slices", default="1,8")
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--child", action="store_true", help="measure in this process")
    return parser.parse_args()


def _in_process(slices: int) -> tuple[float, float]:
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--slices")]
    command = [sys.executable, "-m", "benchmarks.microbatch_memory", *arguments]
    done = subprocess.run(
        [*command, f"--slices={slices}", "--child"],
        env=os.environ | ALLOCATOR | QUIET,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    peak, seconds = json.loads(done.stdout.splitlines()[-1])
    return peak, seconds


def measure(options: argparse.Namespace, slices: int) -> tuple[float, float]:
    """Returns the peak resident memory of this process in MiB and the median seconds of a step."""
    import tensorflow as tf

    from flags.parse import parse
    from tf_simclr.data.arrays import digits
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
    stage = Pretraining(config, digits(), options.size)
    plan = plan_training(config, num_examples=stage.num_examples)
    step = build_train_step(
        stage, stage_optimizer(stage, plan.schedule), tf.distribute.get_strategy(), slices=plan.slices
    )
    batch = _batch(options.batch, options.size)
    float(step(batch)["total_loss"])  # traces
    seconds = []
    for _ in range(options.steps):
        begun = time.perf_counter()
        float(step(batch)["total_loss"])
        seconds.append(time.perf_counter() - begun)
    return _peak_mib(), statistics.median(seconds)


def _batch(count: int, size: int) -> dict[str, object]:
    import tensorflow as tf

    views = {f"view_{k}": tf.random.stateless_uniform([count, size, size, 3], [k, 0]) for k in (1, 2)}
    flags = {f"blur_{k}": tf.zeros([count], tf.bool) for k in (1, 2)}
    numbers = tf.range(count, dtype=tf.int64)
    return {**views, **flags, "label": numbers % 10, "index": numbers}


def _peak_mib() -> float:
    with open("/proc/self/status", encoding="utf-8") as file:
        (line,) = [line for line in file if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
