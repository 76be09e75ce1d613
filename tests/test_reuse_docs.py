"""The commands of docs/reuse.md run in their order; its Python programs in a process without this project."""

import dataclasses
import importlib.metadata
import shlex
import subprocess
import sys

import pytest

import run
from export.stage import StageInfo, write_stage
from flags.parse import parse, unused_flags
from tests.documents import blocks, text_of
from tests.released_files import TINY, values_of, write_saved_model, write_tiny_release
from tf_simclr.config import Mode
from tf_simclr.model.network import build_network

TEXT = text_of("docs/reuse.md")


def commands():
    return [shlex.split(line) for block in blocks(TEXT, "bash") for line in block.splitlines()]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_parses_and_uses_all_of_its_flags(words):
    assert words[:2] == ["python", "run.py"] or words[0] == "tar"
    if words[0] != "tar":
        assert unused_flags(parse(words[2:])) == []


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """The runs and releases that the page speaks of, tiny."""
    root = tmp_path_factory.mktemp("reuse")
    architecture = dataclasses.replace(TINY, head_layers=1, logits_from=1)
    info = StageInfo(stage="finetune", architecture=architecture, image_size=16, step=1)
    write_stage(build_network(architecture), info, str(root / "runs" / "finetune" / "saved_model"))
    write_tiny_release(root / "released" / "r50_1x_sk0")
    write_saved_model(values_of(TINY, "tf2"), root / "released" / "r18_finetuned" / "saved_model")
    return root


def small(flags):
    trains = parse(flags).mode.trains
    student = ["--width_multiplier=0.125"] if parse(flags).mode is Mode.DISTILL else []
    return [
        *flags,
        *(["--train_steps=1", "--train_batch_size=8", "--image_size=8"] if trains else []),
        *student,
    ]


@pytest.mark.slow
def test_the_commands_run_in_order_and_then_the_programs(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    for words in commands():
        if words[0] == "tar":
            subprocess.run(words, check=True)
        else:
            run.run(parse(small(words[2:])))
    has_keras_3 = not importlib.metadata.version("keras").startswith("2.")
    shown = blocks(TEXT, "python")
    programs = [program for program in shown if has_keras_3 or "import keras\n" not in program]
    assert len(shown) == 3
    done = subprocess.run(
        [sys.executable, "-I", "-c", "\n".join(programs)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
