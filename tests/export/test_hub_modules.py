import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import run
from export.hub import check_part, write_module
from export.hub_readme import origin
from export.start import open_start
from flags.parse import parse
from tf_simclr.config import ConfigError
from tf_simclr.model.network import named_variables

from .conftest import KINDS

CONSUMER = pathlib.Path(__file__).with_name("consume_hub_module.py")


@pytest.fixture(scope="module")
def modules(written, tmp_path_factory):
    """Part -> directory of its module, of a pretrained network with a probe on layer 1."""
    stage, folder = written("pretrain_with_probe"), tmp_path_factory.mktemp("hub")
    parts = {"encoder": None, "projection_head": None, "head_layer_2": 2, "classifier": None}
    return {
        part: write_module(stage.network, stage.info, part, str(folder / part), head_layer=layer)
        for part, layer in parts.items()
    }


def _expected(network, part, images):
    activations = {name: value.numpy() for name, value in network(images).items()}
    hidden = [activations["final_avg_pool"]]
    for layer in network.projection_head.projection_layers:
        hidden.append(layer(hidden[-1]).numpy())
    return {
        "encoder": {"inputs": images, "outputs": hidden[0], **activations},
        "projection_head": {"inputs": hidden[0], "outputs": hidden[3]},
        "head_layer_2": {"inputs": hidden[1], "outputs": hidden[2]},
        "classifier": {"inputs": hidden[1], "outputs": activations["logits_sup"]},
    }[part]


@pytest.mark.slow
def test_a_program_without_this_project_uses_and_trains_every_part(modules, written, images, tmp_path):
    arguments = []
    for part, path in modules.items():
        archive = str(tmp_path / f"{part}.npz")
        np.savez(archive, **_expected(written("pretrain_with_probe").network, part, images))
        arguments += [path, archive]
    command = [sys.executable, "-I", str(CONSUMER), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [word for path in arguments[::2] for word in ("consumed", path)]


def test_a_module_holds_its_own_variables_and_no_others(modules, written):
    network = written("pretrain_with_probe").network
    owners = {
        "encoder": network.encoder,
        "projection_head": network.projection_head,
        "head_layer_2": network.projection_head.projection_layers[1],
        "classifier": network.classifier,
    }
    for part, path in modules.items():
        stored = dict(tf.train.list_variables(f"{path}/variables/variables"))
        values = [name for name in stored if name.endswith("VARIABLE_VALUE")]
        described = json.loads((pathlib.Path(path) / "assets/stage.json").read_text())
        assert len(values) == len(owners[part].variables) == len(described["variables"]), part
        assert {spec["name"] for spec in described["variables"]} == set(named_variables(owners[part]))
        assert described["part"] == part


def test_the_readme_says_what_goes_in_and_out(modules):
    text = {part: (pathlib.Path(path) / "README.md").read_text() for part, path in modules.items()}
    assert (
        "`images`: float32 [batch, height, width, 3] in [0, 1], RGB, any size; trained at 16 px"
        in text["encoder"]
    )
    assert "| output | float32 [batch, 128]: the features" in text["encoder"]
    assert (
        "`features`: float32 [batch, 128] the output of layer 1 of the projection head"
        in text["head_layer_2"]
    )
    assert "| output | float32 [batch, 4]: the projection, not normalised |" in text["projection_head"]
    assert "float32 [batch, 3]: logits (no softmax), in this order: cat, dog, owl" in text["classifier"]
    assert not any("{" in part or "None" in part for part in text.values())


def test_the_readme_says_where_the_network_is_from(written):
    info = written("pretrain_with_probe").info
    assert "trained with tf_simclr (SimCLRv2, Chen et al. 2020); step 7 of stage `pretrain`." in origin(info)
    assert origin(dataclasses.replace(info, stage="import")).startswith("It is a released SimCLR network")


def test_a_stage_can_start_from_an_encoder_module_and_from_no_other(modules, written):
    network = open_start(modules["encoder"], "checkpoint").load()
    wanted = named_variables(written("pretrain_with_probe").network.encoder)
    found = named_variables(network)
    assert set(found) == set(wanted)
    for name, variable in found.items():
        np.testing.assert_array_equal(variable, wanted[name], err_msg=name)
    with pytest.raises(ConfigError, match="is a module of classifier alone, so no stage can start from it"):
        open_start(modules["classifier"], "checkpoint")


def _export(stage, *flags):
    run.run(parse(["--mode=export", f"--checkpoint={stage.path}", *flags]))


def test_the_command_writes_a_module_again_but_replaces_nothing_else(written, tmp_path, capsys):
    stage, directory = written("pretrain_with_probe"), tmp_path / "deep" / "classifier"
    for _ in range(2):
        _export(stage, "--export_part=classifier", f"--export_dir={directory}/")
        assert json.loads(capsys.readouterr().out)["module"] == f"{directory}/"
    assert sorted(path.name for path in directory.parent.iterdir()) == ["classifier"]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.tex").write_text("the only copy")
    for other in (tmp_path / "own", tmp_path / "own" / "thesis.tex", stage.path):
        with pytest.raises(
            ConfigError, match=r"exists and is no module of --mode=export, so it is not replaced"
        ):
            _export(stage, "--export_part=classifier", f"--export_dir={other}")
    assert (tmp_path / "own" / "thesis.tex").read_text() == "the only copy"


@pytest.mark.parametrize(
    ("kind", "part", "there"),
    [
        ("finetune_from_0", "projection_head", "encoder, classifier"),
        (
            "finetune_from_2",
            "head_layer_3",
            "encoder, projection_head, head_layer_1, head_layer_2, classifier",
        ),
        ("pretrain", "classifier", "encoder, projection_head, head_layer_1, head_layer_2, head_layer_3"),
    ],
)
def test_a_part_that_is_not_there_is_refused_with_those_that_are(kind, part, there):
    with pytest.raises(ConfigError) as error:
        check_part(KINDS[kind], part, "runs/a")
    assert str(error.value).startswith(
        f"--export_part={part} is not in --checkpoint=runs/a, which has: {there}."
    )


@pytest.mark.parametrize("part", ["stem", "head_layer_0", "head_layer_", "head_layer_K", ""])
def test_a_word_that_is_no_part_is_refused(part):
    with pytest.raises(ConfigError, match=r"is no part of a network\. Use one of: encoder, project"):
        parse(["--mode=export", f"--export_part={part}"])
