import json

import pytest

from export.info import FORMAT_VERSION, StageInfo
from export.stage import read_info
from tf_simclr.config import CIFAR_STEM_MAX_SIZE, ConfigError, EncoderConfig
from tf_simclr.data import augment
from tf_simclr.files.manifest import seal
from tf_simclr.model.network import Architecture


def _info(**changes):
    values = {
        "stage": "finetune",
        "architecture": Architecture(encoder=EncoderConfig(cifar_stem=False), num_classes=2),
        "image_size": 64,
        "class_names": ("a", "b"),
        "step": 0,
    }
    return StageInfo(**(values | changes))


def test_the_file_says_what_a_program_in_another_language_needs(written):
    stage = written("pretrain_with_probe")
    with open(f"{stage.path}/assets/stage.json", encoding="utf-8") as file:
        values = json.load(file)
    assert values["format_version"] == FORMAT_VERSION == 1
    assert (values["stage"], values["step"], values["image_size"]) == ("pretrain", 7, 16)
    assert values["class_names"] == ["cat", "dog", "owl"]
    assert values["architecture"]["encoder"]["resnet_depth"] == 18
    assert values["architecture"]["head"]["proj_out_dim"] == 4
    assert values["preprocessing"] == {
        "range": [0, 1],
        "channels": "RGB",
        "crop_proportion": None,
        "resize": "bicubic",
    }
    assert set(values["versions"]) == {"tensorflow", "tf_simclr"}
    kernels = [v for v in values["variables"] if v["name"] == "head_supervised/kernel"]
    assert kernels == [{"name": "head_supervised/kernel", "shape": [128, 3], "dtype": "float32"}]
    assert len(values["variables"]) == len(stage.network.variables)


def test_preprocessing_is_that_of_the_evaluation_pipeline():
    assert _info(image_size=augment.NO_CROP_MAX_SIZE).preprocessing["crop_proportion"] is None
    above = _info(image_size=augment.NO_CROP_MAX_SIZE + 1).preprocessing
    assert above["crop_proportion"] == augment.EVAL_CROP
    assert augment.NO_CROP_MAX_SIZE == CIFAR_STEM_MAX_SIZE


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"stage": "eval"},
            "stage must be one of pretrain, finetune, linear_eval, supervised, distill, import. Received 'e",
        ),
        ({"image_size": 0}, "image_size must be at least 1 and step at least 0. Received 0 and 0"),
        ({"step": -1}, "Received 64 and -1"),
        ({"class_names": ("a",)}, "class_names must name all 2 classes, or none. Received 1."),
        ({"architecture": Architecture(encoder=EncoderConfig())}, "cifar_stem must be decided"),
    ],
)
def test_an_impossible_description_is_refused(changes, text):
    with pytest.raises(ConfigError) as error:
        _info(**changes)
    assert text in str(error.value)


def test_classes_without_names_are_allowed():
    assert _info(class_names=()).class_names == ()


def test_a_saved_model_of_another_program_is_told_from_a_stage(tmp_path):
    with pytest.raises(
        ConfigError, match=r"assets/stage\.json does not exist, so this is no SavedModel of a stage"
    ):
        read_info(str(tmp_path))


def _set(*keys, value):
    def change(values):
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = value

    return change


def _drop(*keys):
    def change(values):
        for key in keys[:-1]:
            values = values[key]
        del values[keys[-1]]

    return change


DAMAGES = [
    (
        _set("format_version", value=2),
        "has format_version 2; this program reads 1. Use the version of tf_simclr",
    ),
    (_drop("format_version"), "has format_version None; this program reads 1"),
    (
        _set("surprise", value=1),
        "is damaged: stage.surprise is unknown. Known fields: stage, architecture, image_",
    ),
    (_drop("image_size"), "is damaged: stage.image_size is missing."),
    (_set("image_size", value="16"), "stage.image_size must be int. Found '16'."),
    (_set("image_size", value=16.5), "stage.image_size must be int. Found 16.5."),
    (_set("step", value=True), "stage.step must be int. Found True."),
    (_set("stage", value="nap"), "stage holds an impossible value: stage must be one of pretrain, finetune"),
    (_set("class_names", value="cat"), "stage.class_names must be a list. Found 'cat'."),
    (_set("class_names", 1, value=7), "stage.class_names[1] must be str. Found 7."),
    (_set("architecture", value=None), "stage.architecture must be a JSON object. Found None."),
    (_drop("architecture", "head_layers"), "stage.architecture.head_layers is missing."),
    (
        _set("architecture", "head_layers", value=9),
        "stage.architecture holds an impossible value: head_layers must",
    ),
    (_set("architecture", "encoder", "dropout", value=1), "stage.architecture.encoder.dropout is unknown."),
    (_drop("architecture", "encoder", "se_ratio"), "stage.architecture.encoder.se_ratio is missing."),
    (_set("architecture", "encoder", "resnet_depth", value=19), "--resnet_depth=19 is not a valid choice"),
    (
        _set("architecture", "encoder", "cifar_stem", value=1),
        "encoder.cifar_stem must be bool or null. Found 1.",
    ),
    (_set("architecture", "encoder", "cifar_stem", value=None), "cifar_stem must be decided"),
    (_set("preprocessing", "crop_proportion", value=0.5), "stage.preprocessing must be {'range': [0, 1]"),
    (_drop("preprocessing"), "stage.preprocessing must be"),
    (_drop("variables"), "stage.variables is missing."),
    (_set("variables", 0, "shape", value=[3, None]), "stage.variables[0].shape[1] must be int. Found None."),
    (_drop("versions", "tensorflow"), "stage.versions.tensorflow is missing."),
]


@pytest.mark.parametrize(("change", "text"), DAMAGES, ids=[text[:40] for _, text in DAMAGES])
def test_a_wrong_field_is_named(copied, change, text):
    path = copied("pretrain_with_probe")
    file = path / "assets/stage.json"
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))
    with pytest.raises(ConfigError) as error:
        read_info(str(path))
    assert str(file) in str(error.value)
    assert text in str(error.value)
    assert "repeat the stage" in str(error.value)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'{"format_version": 1, "sta', "is damaged: it is no JSON (Unterminated string"),
        (b"", "is damaged: it is no JSON (Expecting value"),
        (b"\xff\xfe", "is damaged: it is no JSON ('utf-8' codec can't decode"),
        (b"[" * 100_000, "is damaged: it is no JSON (maximum recursion"),
        (b"[1]", "is damaged: it must hold a JSON object"),
    ],
)
def test_a_file_that_is_no_json_is_refused(copied, content, text):
    path = copied("pretrain_with_probe")
    (path / "assets/stage.json").write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_info(str(path))
    assert text in str(error.value)


def test_a_whole_number_is_a_valid_width(copied):
    path = copied("pretrain_with_probe")
    file = path / "assets/stage.json"
    file.write_text(file.read_text().replace('"width_multiplier": 0.25', '"width_multiplier": 2'))
    seal(str(path))
    width = read_info(str(path)).architecture.encoder.width_multiplier
    assert (width, type(width)) == (2.0, float)


def test_a_description_that_was_changed_is_refused(copied):
    path = copied("pretrain_with_probe")
    file = path / "assets/stage.json"
    file.write_text(file.read_text().replace('"cat"', '"cow"'))
    with pytest.raises(ConfigError, match=r"stage\.json is damaged: its content has changed\. Copy the"):
        read_info(str(path))
