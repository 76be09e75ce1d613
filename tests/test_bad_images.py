"""A run over a folder with images that cannot be used."""

import json

import pytest

import run
from flags.parse import parse
from tests import odd_images
from tf_simclr.config import ConfigError
from tf_simclr.data import folder
from tf_simclr.train import execute

TINY = ["--width_multiplier=0.125", "--resnet_depth=18", "--image_size=8", "--train_batch_size=8"]


def test_a_run_lists_what_it_skipped_and_checks_no_image_twice(tmp_path, monkeypatch, capsys):
    images, run_directory = tmp_path / "images", tmp_path / "run"
    images.mkdir()
    for name, content in odd_images.usable().items():
        (images / name).write_bytes(content)
    for name in ("empty.jpg", "cut_plain.png"):
        (images / name).write_bytes(odd_images.broken()[name][0])
    pretrain = ["--mode=pretrain", f"--dataset=folder:{images}", f"--model_dir={run_directory}", *TINY]
    with pytest.raises(
        ConfigError, match=r"^2 of the 21 images .*cut_plain.png: Invalid PNG.*empty.jpg: empty"
    ):
        run.run(parse([*pretrain, "--train_steps=2"]))
    assert not run_directory.exists()

    run.run(parse([*pretrain, "--train_steps=2", "--max_bad_fraction=0.1"]))
    lines = [json.loads(line) for line in (run_directory / "skipped.jsonl").read_text().splitlines()]
    assert [(line["split"], line["id"]) for line in lines] == [
        ("train", "cut_plain.png"),
        ("train", "empty.jpg"),
    ]
    settings = json.loads((run_directory / "config.json").read_text())
    assert settings["data"]["images"] == len(odd_images.usable())

    monkeypatch.setattr(folder, "check_file", lambda path: pytest.fail(f"{path} is checked again"))
    monkeypatch.setattr(execute, "Loop", _StopAtOnce)
    with pytest.raises(_Stopped):
        run.run(parse([*pretrain, "--train_steps=2", "--max_bad_fraction=0.1"]))


class _Stopped(Exception):
    pass


class _StopAtOnce:
    def __init__(self, *_, **__):
        raise _Stopped
