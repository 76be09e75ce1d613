import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from export.stage import load_stage, load_variables
from tf_simclr.config import ConfigError
from tf_simclr.files.manifest import seal
from tf_simclr.model.network import build_network, named_variables

DATA = "variables/variables.data-00000-of-00001"
INDEX = "variables/variables.index"


def _other(stage, **changes):
    architecture = dataclasses.replace(stage.info.architecture, **changes)
    return build_network(architecture)


def _edit_variables(path, change):
    file = path / "assets/stage.json"
    values = json.loads(file.read_text())
    change(values["variables"])
    file.write_text(json.dumps(values))
    seal(str(path))


def test_another_depth_is_refused_with_the_first_variable_that_differs(written):
    stage = written("finetune_from_0")
    encoder = dataclasses.replace(stage.info.architecture.encoder, resnet_depth=34)
    with pytest.raises(ConfigError) as error:
        load_variables(_other(stage, encoder=encoder), stage.path)
    assert str(error.value) == (
        f"{stage.path} doesn't fit the network, first at variable "
        "encoder/block_group1/block_2/conv_1/conv/kernel: "
        "expected float32 [3, 3, 16, 16], found no such variable. "
        "Load the SavedModel's own architecture (leave out the architecture flags, such as --resnet_depth), "
        "or give another SavedModel."
    )


def test_another_number_of_classes_is_refused_with_both_shapes(written):
    stage = written("finetune_from_0")
    expected = r"head_supervised/kernel: expected float32 \[128, 10\], found float32 \[128, 3\]\. Load the"
    with pytest.raises(ConfigError, match=expected):
        load_variables(_other(stage, num_classes=10), stage.path)


def test_a_variable_that_the_network_lacks_is_refused(written):
    stage = written("finetune_from_0")
    expected = r"head_supervised/kernel: expected no such variable, found float32 \[128, 3\]"
    with pytest.raises(ConfigError, match=expected):
        load_variables(_other(stage, num_classes=0), stage.path)


def test_another_dtype_is_refused(written, copied):
    path = copied("finetune_from_0")
    _edit_variables(path, lambda variables: variables[0].update(dtype="float16"))
    with pytest.raises(ConfigError, match=r"stem/conv/kernel: expected float32 .*, found float16 \["):
        load_variables(_other(written("finetune_from_0")), str(path))


def test_a_description_that_does_not_fit_the_variables_file_is_refused(copied):
    path = copied("finetune_from_0")
    _edit_variables(path, lambda variables: variables.reverse())
    expected = (
        r"variables/variables\.\* doesn't fit .*stage\.json, first at variable head_supervised/bias: expected"
    )
    with pytest.raises(ConfigError, match=expected):
        load_stage(str(path))


def test_the_order_in_the_description_decides_where_a_value_goes(written, copied):
    path = copied("finetune_from_0")
    names = [
        name for name in named_variables(written("finetune_from_0").network) if "stem/norm/moving" in name
    ]

    def swap(variables):
        mean, variance = (next(v for v in variables if v["name"] == name) for name in names)
        mean["name"], variance["name"] = variance["name"], mean["name"]

    _edit_variables(path, swap)
    loaded, live = (
        named_variables(n) for n in (load_stage(str(path))[0], written("finetune_from_0").network)
    )
    np.testing.assert_array_equal(loaded[names[0]].numpy(), live[names[1]].numpy())


def _cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(bytes(content))


@pytest.mark.parametrize("name", [DATA, INDEX])
@pytest.mark.parametrize("damage", [_cut, _flip, lambda file: file.unlink()], ids=["cut", "flipped", "gone"])
def test_damaged_variables_are_refused_and_nothing_is_half_loaded(written, copied, name, damage):
    path = copied("finetune_from_0")
    damage(path / name)
    network = _other(written("finetune_from_0"))
    before = [variable.numpy() for variable in network.variables]
    expected = rf"{name} is (damaged: .*|missing)\. Copy the SavedModel again"
    with pytest.raises(ConfigError, match=expected):
        load_variables(network, str(path))
    assert all(np.array_equal(b, v) for b, v in zip(before, network.variables, strict=True))


def test_loading_runs_no_graph_of_the_saved_model(copied):
    path = copied("finetune_from_0")
    (path / "saved_model.pb").write_bytes(b"not a graph")
    seal(str(path))
    load_stage(str(path))
    with pytest.raises(Exception, match="Cannot parse file"):
        tf.saved_model.load(str(path))
