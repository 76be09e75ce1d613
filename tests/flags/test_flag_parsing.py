"""From a command line to settings, and what a user reads when it is wrong."""

import dataclasses
import pathlib
import subprocess
import sys

import pytest
from absl import flags

from flags.parse import define_all, parse, read_command_line, to_config
from tf_simclr.config import ConfigError, Mode

ROOT = pathlib.Path(__file__).parents[2]

GIVEN_VALUES = [
    ("mode", "finetune"),
    ("model_dir", "somewhere"),
    ("checkpoint", "a"),
    ("teacher", "b"),
    ("dataset", "npz:x.npz"),
    ("data_dir", "d"),
    ("train_split", "unlabelled"),
    ("eval_split", "validation"),
    ("image_size", 96),
    ("cache_dataset", True),
    ("color_jitter_strength", 0.25),
    ("use_blur", False),
    ("resnet_depth", 101),
    ("width_multiplier", 3.0),
    ("sk_ratio", 0.0625),
    ("se_ratio", 0.25),
    ("batch_norm_decay", 0.5),
    ("global_bn", False),
    ("proj_head_mode", "linear"),
    ("num_proj_layers", 4),
    ("proj_out_dim", 32),
    ("temperature", 0.3),
    ("hidden_norm", False),
    ("lineareval_while_pretraining", False),
    ("distill_alpha", 0.5),
    ("memory_size", 64),
    ("memory_momentum", 0.9),
    ("export_ema", True),
    ("ft_proj_selector", 2),
    ("fine_tune_after_block", 3),
    ("optimizer", "adam"),
    ("learning_rate", 0.7),
    ("learning_rate_scaling", "linear"),
    ("momentum", 0.8),
    ("weight_decay", 0.01),
    ("warmup_epochs", 1.5),
    ("train_batch_size", 12),
    ("eval_batch_size", 13),
    ("train_epochs", 14),
    ("train_steps", 15),
    ("checkpoint_epochs", 16),
    ("eval_epochs", 17),
    ("keep_checkpoint_max", 18),
    ("log_steps", 19),
    ("steps_per_loop", 4),
    ("profile_steps", "2,5"),
    ("seed", 20),
    ("deterministic", True),
    ("strategy", "tpu"),
    ("tpu_name", "t"),
    ("tpu_zone", "z"),
    ("gcp_project", "p"),
    ("rematerialize", True),
    ("mixed_precision", "bfloat16"),
    ("jit_compile", True),
    ("data_service", "grpc://h:1"),
    ("knn_neighbors", 21),
    ("knn_temperature", 0.22),
]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("--cache_dataset", True),
        ("--cache_dataset=true", True),
        ("--nocache_dataset", False),
        ("--cache_dataset=false", False),
        ("--cache_dataset=auto", "auto"),
    ],
)
def test_cache_dataset_is_a_switch_that_can_be_left_to_the_program(argument, value):
    assert parse([argument]).data.cache_dataset == value
    assert isinstance(parse([argument]).data.cache_dataset, type(value))


def find(config, name):
    """The value of a setting, wherever in the configuration it lives."""
    run_fields = {key: value for key, value in vars(config).items() if not dataclasses.is_dataclass(value)}
    sections = [vars(value) for value in vars(config).values() if dataclasses.is_dataclass(value)]
    (value,) = [home[name] for home in (run_fields, *sections) if name in home]
    return value


def message(argv):
    with pytest.raises(ConfigError) as caught:
        parse(argv)
    return str(caught.value)


def test_every_given_flag_reaches_the_field_of_its_name():
    argv = [
        f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in GIVEN_VALUES
    ]
    config = parse(argv)
    for name, value in GIVEN_VALUES:
        assert find(config, name) == value, name
    assert config.given == {name for name, _ in GIVEN_VALUES}


def test_label_flags_reach_their_fields():
    assert parse(["--mode=finetune", "--label_fraction=0.1"]).labels.label_fraction == 0.1
    assert parse(["--mode=finetune", "--labels_per_class=4"]).labels.labels_per_class == 4


def test_the_microbatch_flag_reaches_its_field():
    assert parse(["--microbatch_size=4"]).scale.microbatch_size == 4


def test_given_holds_flags_of_the_command_line_and_of_a_flagfile(tmp_path):
    flagfile = tmp_path / "my.flags"
    flagfile.write_text("# A comment.\n--resnet_depth=34\n--nouse_blur\n")
    config = parse([f"--flagfile={flagfile}", "--seed=0"])
    assert config.given == {"resnet_depth", "use_blur", "seed"}
    assert config.encoder.resnet_depth == 34


def test_a_flag_after_the_flagfile_overrides_it(tmp_path):
    flagfile = tmp_path / "my.flags"
    flagfile.write_text("--train_epochs=7\n--seed=3\n")
    config = parse([f"--flagfile={flagfile}", "--train_epochs=2"])
    assert (config.train.train_epochs, config.train.seed) == (2, 3)


def test_two_command_lines_do_not_influence_each_other():
    parse(["--seed=5", "--mode=knn"])
    config = parse([])
    assert (config.train.seed, config.mode) == (0, Mode.PRETRAIN)


def test_the_steps_work_on_the_callers_own_flag_values():
    flag_values = flags.FlagValues()
    define_all(flag_values)
    assert read_command_line(flag_values, ["program", "--seed=9"]) == ["program"]
    assert to_config(flag_values).train.seed == 9


@pytest.mark.parametrize(
    "argv, expected",
    [
        (["--learnin_rate=1"], "There is no flag --learnin_rate. Did you mean --learning_rate?"),
        (["--nouse_blurr"], "There is no flag --nouse_blurr. Did you mean --nouse_blur?"),
        (["--xyzzy"], "There is no flag --xyzzy. `python run.py --help` lists all flags."),
        (["--mode=pretain"], "--mode=pretain is not a valid choice. Use one of: pretrain, finetune,"),
        (["--mode=pretain"], "Did you mean --mode=pretrain?"),
        (["--resnet_depth=fifty"], "--resnet_depth=fifty cannot be read: --resnet_depth is a whole number"),
        (["--seed=1.5"], "--seed=1.5 cannot be read: --seed is a whole number, for example --seed=4."),
        (["--temperature=warm"], "--temperature=warm cannot be read: --temperature is a number"),
        (["--use_blur=maybe"], "--use_blur is a switch: write --use_blur or --nouse_blur."),
        (["--nouse_blur=1"], "--nouse_blur takes no value. Write --use_blur or --nouse_blur."),
        (["--seed"], "--seed has no value. Write --seed=VALUE."),
        (["--flagfile"], "--flagfile has no value. Write --flagfile=VALUE."),
        (["--flagfile=no.flags"], "--flagfile=no.flags cannot be read (No such file or directory)."),
        (["pretrain"], "The argument 'pretrain' is not a flag. Did you mean --mode=pretrain?"),
        (["--use_blur", "False"], "Switches take no separate value: write --use_blur or --nouse_blur."),
        (["--seed=1", "100"], "The argument '100' is not a flag. Flags are written --name=value"),
    ],
)
def test_an_unreadable_command_line_is_explained(argv, expected):
    assert expected in message(argv)
    assert "\n" not in message(argv)


@pytest.mark.parametrize(
    "argv, expected",
    [
        (
            "--resnet_depth=17",
            "--resnet_depth=17 is not a valid choice. Use one of: 18, 34, 50, 101, 152, 200.",
        ),
        ("--width_multiplier=0", "--width_multiplier must be greater than 0. Received 0.0."),
        ("--sk_ratio=2", "--sk_ratio must be in [0, 1]. Received 2.0."),
        ("--se_ratio=-1", "--se_ratio must be in [0, 1]. Received -1.0."),
        ("--batch_norm_decay=1", "--batch_norm_decay must be in [0, 1). Received 1.0."),
        ("--max_bad_fraction=2", "--max_bad_fraction must be in [0, 1], such as 0.01 for 1%. Received 2.0."),
        (
            "--cache_dataset=maybe",
            "--cache_dataset=maybe is not a valid choice. Use one of: true, false, auto.",
        ),
        ("--color_jitter=lab", "--color_jitter=lab is not a valid choice. Use one of: simclr, yiq."),
        ("--augment_device=gpu", "Use one of: host, accelerator."),
        ("--image_size=4", "--image_size must be at least 8 (pixels). Received 4."),
        ("--dataset=", "--dataset is empty. Use digits"),
        ("--dataset=folder:", "--dataset=folder: names no path. Write --dataset=folder:PATH."),
        ("--color_jitter_strength=-1", "--color_jitter_strength must be 0 or more. Received -1.0."),
        ("--proj_head_mode=mlp", "--proj_head_mode=mlp is not a valid choice. Use one of: none, linear"),
        ("--proj_out_dim=0", "--proj_out_dim must be greater than 0."),
        ("--temperature=0", "--temperature must be greater than 0. Received 0.0."),
        ("--distill_alpha=1.5", "--distill_alpha must be in [0, 1]"),
        ("--memory_size=-1", "--memory_size must be 0 or more. Received -1."),
        ("--memory_momentum=1", "--memory_momentum must be in [0, 1). Received 1.0. The paper uses 0.999."),
        ("--export_ema", "Give --memory_size, such as 65536, or leave --export_ema out."),
        ("--memory_size=512 --nohidden_norm", "the queue holds projections of length 1. Leave one of them"),
        ("--mode=finetune --ft_proj_selector=-1", "--ft_proj_selector must be 0 or more."),
        ("--mode=finetune --fine_tune_after_block=5", "Use one of: -1, 0, 1, 2, 3, 4."),
        ("--optimizer=sgd", "--optimizer=sgd is not a valid choice. Use one of: lars, momentum, adam, lamb."),
        ("--learning_rate_scaling=log", "Use one of: linear, sqrt, none."),
        ("--learning_rate=-1", "--learning_rate must be greater than 0. Received -1.0."),
        ("--momentum=1", "--momentum must be in [0, 1). Received 1.0."),
        ("--weight_decay=-1", "--weight_decay must be 0 or more."),
        ("--train_batch_size=0", "--train_batch_size must be greater than 0. Received 0."),
        ("--train_steps=0", "--train_steps must be greater than 0. Received 0."),
        ("--log_steps=0", "--log_steps must be greater than 0. Received 0."),
        ("--steps_per_loop=0", "--steps_per_loop must be greater than 0. Received 0."),
        ("--profile_steps=5", "two step numbers, such as 10,12. Received '5'."),
        ("--profile_steps=5,4", "begins at step 1 or later and ends no earlier. Received 5,4."),
        ("--profile_steps=0,4", "begins at step 1 or later and ends no earlier. Received 0,4."),
        ("--seed=-1", "--seed must be 0 or more. Received -1."),
        ("--microbatch_size=0", "--microbatch_size must be greater than 0. Received 0."),
        ("--microbatch_size=2 --steps_per_loop=4", "and --steps_per_loop one call for several steps. Leave"),
        ("--mixed_precision=float8", "Use one of: auto, off, bfloat16, float16."),
        ("--mixed_precision=float16 --optimizer=lamb", "Use --mixed_precision=bfloat16 or --optimizer=lars."),
        ("--data_service=h:1", "--data_service=h:1 is no address. Write grpc://HOST:PORT, the dispatcher's."),
        ("--strategy=gpu", "Use one of: auto, one_device, mirrored, multi_worker, tpu."),
        ("--strategy=mirrored --tpu_name=t", "--tpu_name names a TPU, and --strategy=mirrored uses none."),
        ("--knn_neighbors=0", "--knn_neighbors must be greater than 0. Received 0."),
        (
            "--mode=finetune --label_fraction=2",
            "--label_fraction must be in (0, 1], such as 0.01 for 1%.",
        ),
        (
            "--mode=finetune --label_fraction=0.1 --labels_per_class=4",
            "--label_fraction and --labels_per_class exclude each other. Give one of them.",
        ),
        (
            "--label_fraction=0.1",
            "pretraining uses none. Leave them out here and give them to --mode=finetune.",
        ),
        ("--fine_tune_after_block=2", "which pretraining cannot do"),
        ("--ft_proj_selector=4", "--ft_proj_selector=4 is beyond the projection head, which has 3 layers."),
        ("--ft_proj_selector=1 --proj_head_mode=none", "which has 0 layers. Use 0 (encoder output) to 0."),
        (
            "--mode=linear_eval --fine_tune_after_block=4",
            "--fine_tune_after_block has no place in --mode=linear_eval",
        ),
    ],
)
def test_a_wrong_value_or_combination_says_what_is_valid(argv, expected):
    assert expected in message(argv.split())


def test_parsing_flags_does_not_load_tensorflow():
    code = "import sys, flags.parse; print('tensorflow' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
