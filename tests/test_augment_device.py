"""Colours that change in the training step are those that the host would have made."""

import json

import pytest

import run
from flags.parse import parse

TINY = ["--width_multiplier=0.125", "--image_size=12", "--train_batch_size=16", "--log_steps=1", "--use_blur"]


def test_training_loses_the_same_on_either_device(tmp_path):
    losses = {}
    for device in ("host", "accelerator"):
        directory = tmp_path / device
        run.run(parse([f"--model_dir={directory}", f"--augment_device={device}", "--train_steps=2", *TINY]))
        lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
        name = "train/contrastive_loss"
        losses[device] = [line[name] for line in lines if name in line]
    assert len(losses["host"]) == 2
    assert losses["accelerator"] == pytest.approx(losses["host"], rel=1e-3)
