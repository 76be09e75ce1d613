"""The published recipes parse, are whole and say where they come from."""

import pathlib
import re
import shlex

import pytest

from flags.parse import parse, unused_flags
from tf_simclr.config import Mode

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "flags" / "presets"
PRESETS = sorted(path.stem for path in FOLDER.glob("*.flags"))

MODES = {
    "cifar10_finetune": Mode.FINETUNE,
    "cifar10_linear_eval": Mode.LINEAR_EVAL,
    "cifar10_pretrain": Mode.PRETRAIN,
    "imagenet_distill_self": Mode.DISTILL,
    "imagenet_distill_small": Mode.DISTILL,
    "imagenet_finetune_100pct": Mode.FINETUNE,
    "imagenet_finetune_10pct": Mode.FINETUNE,
    "imagenet_finetune_1pct": Mode.FINETUNE,
    "imagenet_linear_eval": Mode.LINEAR_EVAL,
    "imagenet_pretrain": Mode.PRETRAIN,
    "imagenet_pretrain_100ep": Mode.PRETRAIN,
    "imagenet_supervised": Mode.SUPERVISED,
}


def load(name):
    return parse([f"--flagfile={FOLDER / name}.flags"])


def header(name):
    lines = (FOLDER / f"{name}.flags").read_text().splitlines()
    return "\n".join(line[1:].strip() for line in lines if line.startswith("#"))


def commands(name):
    joined = header(name).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.startswith("python run.py")]


def peak_rate(config):
    """The rate that the paper states: after scaling with the batch."""
    opt, batch = config.optimizer, config.train.train_batch_size
    factor = {"sqrt": batch**0.5, "linear": batch / 256, "none": 1}
    return opt.learning_rate * factor[opt.learning_rate_scaling]


def test_the_presets_are_the_ones_listed_here():
    assert sorted(MODES) == PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_preset_parses_for_its_stage_and_sets_nothing_in_vain(name):
    config = load(name)
    assert config.mode is MODES[name]
    assert unused_flags(config) == []


@pytest.mark.parametrize("name", PRESETS)
def test_preset_opens_with_source_command_result_and_hardware(name):
    text = header(name)
    assert re.search(r"SimCLR|README", text.splitlines()[0]), "the first line names the source"
    assert any(f"flags/presets/{name}.flags" in command for command in commands(name))
    assert re.search(r"^Expected: .*%", text, re.MULTILINE)
    assert re.search(r"^Needs", text, re.MULTILINE)


@pytest.mark.parametrize("name", PRESETS)
def test_every_command_in_a_preset_parses(name, monkeypatch):
    monkeypatch.chdir(ROOT)  # Commands name the presets relative to the repository.
    for command in commands(name):
        parse(shlex.split(command)[2:])


@pytest.mark.parametrize("name", PRESETS)
def test_stages_of_a_preset_read_what_another_preset_or_its_own_command_writes(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    written = {parse(shlex.split(command)[2:]).model_dir for command in commands(name)}
    source = load(name).teacher or load(name).checkpoint
    assert source is None or source in written


@pytest.mark.parametrize(
    "name, rate, epochs, warmup",
    [
        ("imagenet_pretrain", 6.4, 800, 40),
        ("imagenet_pretrain_100ep", 4.8, 100, 10),
        ("imagenet_finetune_1pct", 0.16, 60, 0),
        ("imagenet_finetune_10pct", 0.16, 30, 0),
        ("imagenet_finetune_100pct", 0.16, 30, 0),
        ("imagenet_linear_eval", 1.6, 90, 0),
        ("imagenet_distill_self", 6.4, 400, 20),
        ("imagenet_distill_small", 6.4, 400, 20),
        ("cifar10_pretrain", 2.0, 1000, 10),
    ],
)
def test_published_schedules(name, rate, epochs, warmup):
    config = load(name)
    assert peak_rate(config) == pytest.approx(rate)
    assert (config.train.train_epochs, config.optimizer.warmup_epochs) == (epochs, warmup)


@pytest.mark.parametrize("name, layer", [("1pct", 1), ("10pct", 1), ("100pct", 0)])
def test_imagenet_fine_tuning_starts_at_the_published_head_layer(name, layer):
    assert load(f"imagenet_finetune_{name}").finetune.ft_proj_selector == layer


@pytest.mark.parametrize("name, temperature", [("self", 0.1), ("small", 1.0)])
def test_distillation_temperatures(name, temperature):
    assert load(f"imagenet_distill_{name}").loss.temperature == temperature
