"""The README's commands are parsed, and run at small size in the order in which it has them."""

import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import run
from flags.parse import parse, unused_flags
from tests.documents import ROOT, blocks, text_of
from tests.released_files import write_tiny_release
from tf_simclr.config import Mode

README = text_of("README.md")

STEPS = 1
CLASSES = ("cat", "dog")


def commands():
    """Every shell command as a list of words, without comments."""
    lines = "".join(blocks(README, "bash")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def of_run():
    return [words[2:] for words in commands() if words[:2] == ["python", "run.py"]]


def needs_a_preset(flags):
    return any(flag.startswith("--flagfile") for flag in flags)


def test_the_readme_shows_every_mode():
    shown = {parse(flags).mode for flags in of_run()}
    assert shown == set(Mode)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_is_a_known_one(words, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert words[:2] in (["python", "run.py"], ["python", "-m"])
    if words[:2] == ["python", "run.py"]:
        assert unused_flags(parse(words[2:])) == []


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the images that the README speaks of, each random pixels."""
    root, rng = tmp_path_factory.mktemp("readme"), np.random.default_rng(0)
    folders = [root / "photos" / "unlabelled"]
    folders += [
        root / "photos" / "labelled" / split / name for split in ("train", "test") for name in CLASSES
    ]
    for folder in folders:
        folder.mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(0, 256, (20 + i, 30, 3), np.uint8)
            (folder / f"{i}.png").write_bytes(tf.io.encode_png(pixels).numpy())
    shutil.copytree(folders[0], root / "photos" / "new")
    write_tiny_release(root / "released" / "r50_1x_sk0")
    images, labels = rng.integers(0, 256, (40, 28, 28), np.uint8), np.arange(40) % 10
    np.savez(
        root / "fashion.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels
    )
    return root


def small(flags):
    """``flags`` with a tiny network, few images a step and one step."""
    mode = parse(flags).mode
    extra = [f"--train_steps={STEPS}", "--train_batch_size=4"] if mode.trains else []
    if mode in (Mode.PRETRAIN, Mode.SUPERVISED, Mode.DISTILL):
        extra += ["--resnet_depth=18", "--width_multiplier=0.125"]
    return [*flags, *extra]


@pytest.mark.slow
def test_the_commands_run_in_order(workplace, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    for flags in of_run():
        if not needs_a_preset(flags) and parse(flags).mode is not Mode.SERVE:  # It would not end.
            run.run(parse(small(flags)))
    assert "Multiply-adds" in capsys.readouterr().out
    script = blocks(README, "python")[0].replace("SAVED_STEP", str(STEPS))
    finished = subprocess.run(
        [sys.executable, "-c", script], cwd=workplace, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
