"""A SavedModel damaged anywhere is refused by name, or loads with the weights that it had."""

import numpy as np
import pytest

from export.stage import load_variables, read_info
from tests.damage import damages
from tf_simclr.config import ConfigError
from tf_simclr.model.network import build_network


def test_no_damage_of_a_saved_model_changes_weights_in_silence(written, copied):
    stage, path = written("pretrain_with_probe"), copied("pretrain_with_probe")
    network = build_network(stage.info.architecture)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    assert {file.name for file in files} >= {
        "saved_model.pb",
        "stage.json",
        "manifest.json",
        "variables.index",
    }
    harmless = []
    for file in files:
        good = file.read_bytes()
        for name, content in damages(file):
            if content is None:
                file.unlink()
            else:
                file.write_bytes(content)
            try:
                info = read_info(str(path))
                load_variables(network, str(path))
            except ConfigError as error:
                assert str(path) in str(error), name
            else:
                harmless.append(f"{file.name}: {name}")
                assert info == stage.info
                _assert_equal(network, stage.network)
        file.write_bytes(good)
    load_variables(network, str(path))
    _assert_equal(network, stage.network)
    assert [text for text in harmless if not text.startswith("manifest.json")] == []


def _assert_equal(network, wanted):
    for found, expected in zip(network.variables, wanted.variables, strict=True):
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


@pytest.mark.parametrize("name", ["a_note.txt", "assets.extra/tf_serving_warmup_requests"])
def test_a_file_that_was_added_is_no_damage(copied, name):
    path = copied("pretrain_with_probe")
    (path / name).parent.mkdir(exist_ok=True)
    (path / name).write_text("added by an operator")
    read_info(str(path))
