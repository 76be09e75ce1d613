"""``python -m benchmarks [NAME ...]``: measures, prints a table and writes ``benchmarks.json``."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Both as run.py sets them.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import argparse
import dataclasses
import importlib
import json
import pathlib
import sys
import time
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.measure import Found
from benchmarks.plots import draw
from benchmarks.table import machine_line, replace_between, table

# Name -> what it measures; each is a module here with a function run().
MEASUREMENTS = {
    "training_step": "one step of each stage, and LARS in it",
    "growth": "how a step grows with batch, image, width, depth, queue and classes",
    "nt_xent": "time and memory of the contrastive loss",
    "view_operations": "one operation on a view after the other",
    "input_pipeline": "augmented views, whole, and by cores",
    "evaluation": "accuracy over a split, and nearest neighbours",
    "saving": "checkpoints and SavedModels, written and read",
    "servable": "inference as a server does it",
    "serving": "a server under one client and many",
    "importing": "a released checkpoint into a run",
    "peak_memory": "main memory of a training run",
    "startup": "from the command to the help text and to the first step",
}
OUTPUT = pathlib.Path("benchmarks.json")
DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "performance.md"


def main(arguments: list[str]) -> None:
    """Measures what is named, or everything."""
    options = _parse(arguments)
    machine, begun = describe_machine(), time.monotonic()
    found = Found()
    names = options.names or list(MEASUREMENTS)
    for number, name in enumerate(names, start=1):
        print(f"[{number}/{len(names)}] {name}: {MEASUREMENTS[name]}", file=sys.stderr, flush=True)
        new = importlib.import_module(f"benchmarks.{name}").run()
        found.rows.extend(new.rows)
        found.curves.extend(new.curves)
        if new.rows:
            print(table(new.rows), file=sys.stderr, flush=True)
    machine["seconds"] = time.monotonic() - begun
    OUTPUT.write_text(json.dumps(_as_json(machine, found), indent=1) + "\n", encoding="utf-8")
    print(f"{machine_line(machine)}\n\n{table(found.rows)}")
    if options.docs:
        replace_between(DOCUMENT, f"{machine_line(machine)}\n\n{table(found.rows)}")
        for curve in found.curves:
            draw(curve, DOCUMENT.parent)


def _parse(arguments: list[str]) -> argparse.Namespace:
    listed = "\n".join(f"  {name:16s}{text}" for name, text in MEASUREMENTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"Measures, and writes {OUTPUT} and a table:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure; everything if left out")
    parser.add_argument(
        "--docs", action="store_true", help="put the table and the pictures of growth into docs/ too"
    )
    options = parser.parse_args(arguments)
    if wrong := [name for name in options.names if name not in MEASUREMENTS]:
        parser.error(f"there is no measurement {wrong[0]!r}. There are: {', '.join(MEASUREMENTS)}.")
    return options


def _as_json(machine: dict[str, Any], found: Found) -> dict[str, Any]:
    return {
        "machine": machine,
        "rows": [dataclasses.asdict(row) | {"ratio": row.ratio} for row in found.rows],
        "curves": [dataclasses.asdict(curve) for curve in found.curves],
    }


if __name__ == "__main__":
    main(sys.argv[1:])
