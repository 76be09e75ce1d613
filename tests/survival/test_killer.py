"""All stages under SIGKILL at every moment that writes a file, and at random ones.

A place is a call that changes files, with the functions that led to it. Each is killed once,
in one of the commands that pass it; further kills come at seeded random times, 60 in all. It
takes some ten minutes, so ``ALL_KILLS=1`` has to ask for it.
"""

import contextlib
import json
import os
import pathlib
import random
import threading
import time

import pytest
import tensorflow as tf

from tests.survival.children import KILLED, Zygote, assert_same_run, assert_same_values, tensors
from tf_simclr.files.manifest import MANIFEST_FILE, DamagedError, verify
from tf_simclr.files.whole import numbered

KILLS = 60
STEPS = 4
TRAINING = [
    f"--train_steps={STEPS}",
    "--train_batch_size=8",
    "--log_steps=2",
    "--checkpoint_steps=2",
    "--keep_checkpoint_max=1",
    "--deterministic",
]
COMMANDS = {
    "pretrain": ["--mode=pretrain", "--image_size=8", "--width_multiplier=0.125", "--memory_size=32"],
    "finetune": ["--mode=finetune", "--checkpoint=straight/pretrain", "--labels_per_class=2"],
    "distill": ["--mode=distill", "--teacher=straight/finetune", "--width_multiplier=0.125"],
    "hub": ["--mode=export", "--checkpoint=straight/distill"],
    "serving": ["--mode=export", "--checkpoint=straight/distill", "--export_kind=serving"],
}


def command_line(name, folder):
    if name in ("hub", "serving"):
        return [*COMMANDS[name], f"--export_dir={folder}/{name}"]
    return [*COMMANDS[name], *TRAINING, f"--model_dir={folder}/{name}"]


class Watcher(threading.Thread):
    """Reads everything in a folder again and again, as other programs would; notes what is half there."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder, self.problems, self.looks, self.is_over = pathlib.Path(folder), [], 0, False

    def run(self):
        while not self.is_over:
            for name in COMMANDS:
                self.look(self.folder / name)
            self.looks += 1
            time.sleep(0.02)

    def look(self, directory):
        sealed = [directory / part for part in ("saved_model", "checkpoints", "simclr")]
        paths = [parent / name for parent in sealed for name in numbered(str(parent))]
        for path in [*paths, directory] if (directory / MANIFEST_FILE).exists() else paths:
            try:
                verify(str(path))
            except (DamagedError, tf.errors.NotFoundError) as error:
                if path.exists() and not (path.parent / f".replaced-{path.name}").exists():
                    self.problems.append(str(error))
        for file in ("config.json", "results.json", "checkpoints/best.json"):
            self.parse(directory / file, [json.loads])
        self.parse(directory / "metrics.jsonl", [lambda text: [json.loads(x) for x in text.splitlines()]])

    def parse(self, file, readers):
        with contextlib.suppress(FileNotFoundError):
            text = file.read_text()
            for read in readers:
                try:
                    read(text)
                except ValueError as error:
                    self.problems.append(f"{file}: {error}")


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    with Zygote(tmp_path_factory.mktemp("killer")) as started:
        yield started


def places_of(path):
    """The places in the order in which an undisturbed run came to them first."""
    return list(dict.fromkeys(path.read_text().splitlines()))


def plan(calls, seconds):
    """What kills each command: places, in order, and then random times."""
    chance = random.Random(0)
    commands = {
        place: [name for name in calls if place in calls[name]] for name in calls for place in calls[name]
    }
    kills = {name: [] for name in calls}
    for place, passed_by in sorted(commands.items()):
        kills[chance.choice(passed_by)].append({"kill_at": [place, 1]})
    for name, list_of_one in kills.items():
        list_of_one.sort(key=lambda kill, name=name: calls[name].index(kill["kill_at"][0]))
    for _ in range(KILLS - len(commands)):
        name = chance.choice(list(calls))
        kills[name].append({"at_second": chance.uniform(0.1, seconds[name])})
    return kills, commands


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("ALL_KILLS"), reason="ALL_KILLS=1 runs it; ten minutes")
def test_no_kill_loses_or_halves_anything(zygote):
    straight, disturbed = zygote.folder / "straight", zygote.folder / "disturbed"
    calls, seconds = {}, {}
    for name in COMMANDS:
        begun = time.monotonic()
        path = zygote.folder / f"{name}.calls"
        assert zygote.run(*command_line(name, straight), calls=str(path)) == 0, zygote.said()
        calls[name], seconds[name] = places_of(path), time.monotonic() - begun
    kills, places = plan(calls, seconds)
    assert len(places) >= 40 and all(kills.values())

    watcher = Watcher(disturbed)
    watcher.start()
    killed = {name: [disturb(zygote, name, disturbed, kill) for kill in kills[name]] for name in COMMANDS}
    for name in COMMANDS:
        assert zygote.run(*command_line(name, disturbed)) in (0, 2), zygote.said()
    watcher.is_over = True
    watcher.join()

    assert watcher.problems == [] and watcher.looks > 10
    for name in COMMANDS:
        by_place = [was for kill, was in zip(kills[name], killed[name], strict=True) if "kill_at" in kill]
        assert all(by_place), name
    for name in ("pretrain", "finetune", "distill"):
        assert_same_run(disturbed / name, straight / name, STEPS)
        assert not [path for path in (disturbed / name).rglob(".*") if path.is_dir() or path.is_file()]
    for name in ("hub", "serving"):
        assert_same_export(disturbed / name, straight / name)


def disturb(zygote, name, folder, kill):
    """Starts the command and kills it; returns whether it died. One that is done starts again elsewhere."""
    status = zygote.run(*command_line(name, folder), **kill)
    if status != KILLED:
        assert status in (0, 2), zygote.said()  # 2: an export is there already.
        (folder / name).rename(folder / f"done-{name}-{len(list(folder.iterdir()))}")
        status = zygote.run(*command_line(name, folder), **kill)
    return status == KILLED


def assert_same_export(found, wanted):
    newest = [
        sorted(path.rglob(f"[0-9]*/{MANIFEST_FILE}"))[-1].parent if path.name == "serving" else path
        for path in (found, wanted)
    ]
    files = [sorted(json.loads((path / MANIFEST_FILE).read_text())["files"]) for path in newest]
    assert files[0] == files[1]
    values = [tensors(path / "variables/variables") for path in newest]
    for found_values in values:
        found_values.pop("_CHECKPOINTABLE_OBJECT_GRAPH", None)
    assert_same_values(*values)
