"""``make demo``: the three stages on the built-in digits, one label a class, and a table of top-1."""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
RUNS = pathlib.Path("runs") / "demo"
DRAWS = (0, 1, 2)  # seeds that choose the labelled images
LABELS = "--labels_per_class=1"


def main() -> None:
    """Runs the stages as a user would, each a command that is printed, then the table."""
    begun = time.monotonic()
    run("pretrain", "pretrain")
    neighbours = run("knn", "knn", f"--checkpoint={RUNS / 'pretrain'}")
    supervised = [run("supervised", f"supervised_{draw}", LABELS, f"--seed={draw}") for draw in DRAWS]
    start = f"--checkpoint={RUNS / 'pretrain'}"
    finetuned = [run("finetune", f"finetune_{draw}", start, LABELS, f"--seed={draw}") for draw in DRAWS]
    student = run("distill", "distill", f"--teacher={RUNS / f'finetune_{DRAWS[0]}'}")
    print(table(neighbours, supervised, finetuned, student))
    print(f"{time.monotonic() - begun:.0f} s. Directories, each with saved_model/ and summaries/:")
    for path in sorted((ROOT / RUNS).iterdir()):
        print(f"  {RUNS / path.name}")


def run(mode: str, name: str, *flags: str) -> dict[str, Any]:
    """Runs one stage into ``runs/demo/<name>``; returns its results. A failure ends the demo."""
    command = ["run.py", f"--mode={mode}", f"--model_dir={RUNS / name}", *flags]
    print(f"\n$ python {' '.join(command)}", flush=True)
    finished = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    if finished.returncode:
        sys.exit(finished.returncode)
    return json.loads((ROOT / RUNS / name / "results.json").read_text())


def table(
    neighbours: dict[str, Any],
    supervised: list[dict[str, Any]],
    finetuned: list[dict[str, Any]],
    student: dict[str, Any],
) -> str:
    """Returns top-1 on the held-out digits, in per cent, a line a network."""
    lines = ["", f"top-1 on {student['eval']['count']:.0f} held-out digits, 1 label a class"]
    for name, runs in (
        ("supervised, from random weights", supervised),
        ("pretrained, fine-tuned", finetuned),
    ):
        found = [top_1(results) for results in runs]
        draws = ", ".join(f"{value:.1f}" for value in found)
        lines.append(f"  {name:32s} {statistics.mean(found):5.1f}   ({draws}: three draws of the labels)")
    teacher = top_1({"eval": student["teacher"]})
    lines.append(f"  {'student, no labels':32s} {top_1(student):5.1f}   (its teacher: {teacher:.1f})")
    lines.append(
        f"  {'nearest neighbours, all labels':32s} {top_1(neighbours):5.1f}   (in the pretrained features)"
    )
    return "\n".join(lines)


def top_1(results: dict[str, Any]) -> float:
    """Returns per cent."""
    return 100 * results["eval"]["top_1"]


if __name__ == "__main__":
    main()
