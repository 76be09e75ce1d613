"""Every setting has one flag, and every flag says what it does."""

import dataclasses
import re

import pytest
from absl import flags

from flags import client, data, export, memory, model, optimizer, scale, servable, server, stages, train
from flags.parse import define_all
from tf_simclr import config

MODULES = (stages, data, model, memory, optimizer, train, scale, export, servable, client, server)
SECTIONS = (
    config.DataConfig,
    config.LabelConfig,
    config.AugmentConfig,
    config.EncoderConfig,
    config.HeadConfig,
    config.LossConfig,
    config.MemoryConfig,
    config.FinetuneConfig,
    config.OptimizerConfig,
    config.TrainConfig,
    config.ScaleConfig,
    config.KnnConfig,
    config.ExportConfig,
    config.ServableConfig,
    config.ClientConfig,
    config.ServerConfig,
)


def all_flags():
    flag_values = flags.FlagValues()
    define_all(flag_values)
    return flag_values


def section_fields():
    fields = [field for section in SECTIONS for field in dataclasses.fields(section)]
    return {field.name: field.default for field in fields if field.name != "cifar_stem"}


def test_every_section_of_the_run_is_covered_by_this_test():
    of_run = {type(f.default) for f in dataclasses.fields(config.RunConfig)}
    assert {cls for cls in of_run if dataclasses.is_dataclass(cls)} == set(SECTIONS)


def test_no_two_sections_share_a_field_name():
    names = [field.name for section in SECTIONS for field in dataclasses.fields(section)]
    assert len(names) == len(set(names))


def test_flags_and_fields_are_the_same_set():
    assert set(all_flags()) == set(section_fields()) | {"mode", "model_dir", "checkpoint", "teacher"}


def test_each_flag_is_defined_by_exactly_one_module():
    defined = []
    for module in MODULES:
        flag_values = flags.FlagValues()
        module.define(flag_values)
        defined += list(flag_values)
    assert sorted(defined) == sorted(all_flags())


@pytest.mark.parametrize("name, default", section_fields().items())
def test_flag_default_is_the_dataclass_default_unless_the_stage_decides(name, default):
    flag = all_flags()[name]
    assert flag.default is None or flag.default == default


@pytest.mark.parametrize("section", SECTIONS)
def test_flag_type_is_the_type_of_the_field(section):
    kinds = {"int": "int", "float": "float", "bool": "bool", "bool or auto": "bool | str", "string": "str"}
    for field in dataclasses.fields(section):
        if field.name != "cifar_stem":
            flag = all_flags()[field.name]
            assert kinds[flag.flag_type()] == field.type.replace(" | None", ""), field.name


def test_help_texts_are_unique_sentences():
    helps = [all_flags()[name].help for name in all_flags()]
    assert len(set(helps)) == len(helps)
    for text in helps:
        assert len(text.split()) >= 5 and text.rstrip().endswith("."), text
        assert "  " not in text and not re.search(r"\.\.", text), text


@pytest.mark.parametrize(
    "name, expected",
    [
        ("learning_rate", "Default: 0.1 (pretrain, linear_eval, supervised, distill); 0.005 (finetune)."),
        (
            "checkpoint",
            "Default: runs/pretrain (finetune, linear_eval, knn, embed); runs/finetune (eval); runs/di",
        ),
        ("teacher", "Default: runs/finetune (distill)."),
        ("resnet_depth", "Default: 50. On digits: 18."),
        ("use_blur", "Default: True. On digits: False."),
        ("temperature", "On digits: 0.2 (pretrain)."),
    ],
)
def test_help_states_the_defaults_that_depend_on_stage_or_data(name, expected):
    assert all_flags()[name].help.endswith(expected) or expected in all_flags()[name].help


def test_help_of_the_program_lists_every_flag():
    flag_values = all_flags()
    text = flag_values.main_module_help()
    for name in flag_values:
        assert re.search(rf"--(\[no\])?{name}:", text), name
