"""Values of the flags that a user leaves out."""

import pytest

from flags.defaults import default_values
from flags.parse import parse
from tf_simclr.config import Mode

RECIPES = {  # SimCLRv2, section 3.1 and appendix F; epochs are this project's.
    "pretrain": ("lars", 0.1, "sqrt", 1e-4, 100, 10),
    "finetune": ("lars", 0.005, "sqrt", 0.0, 60, 0),
    "linear_eval": ("momentum", 0.1, "linear", 0.0, 90, 0),
    "supervised": ("momentum", 0.1, "linear", 1e-4, 90, 5),
    "distill": ("lars", 0.1, "sqrt", 1e-4, 400, 20),
}


def recipe(config):
    opt = config.optimizer
    rate = (opt.optimizer, opt.learning_rate, opt.learning_rate_scaling, opt.weight_decay)
    return (*rate, config.train.train_epochs, opt.warmup_epochs)


@pytest.mark.parametrize("mode", RECIPES)
def test_each_training_stage_starts_from_its_published_recipe(mode):
    config = parse([f"--mode={mode}", "--dataset=cifar10"])
    assert recipe(config) == RECIPES[mode]
    assert config.model_dir == f"runs/{mode}"
    assert (config.encoder.resnet_depth, config.encoder.width_multiplier) == (50, 1.0)
    assert (config.augment.use_blur, config.head.proj_out_dim) == (True, 128)
    assert config.train.train_batch_size is None and config.loss.temperature is None


@pytest.mark.parametrize(
    "mode, checkpoint, teacher",
    [
        ("pretrain", None, None),
        ("finetune", "runs/pretrain", None),
        ("linear_eval", "runs/pretrain", None),
        ("knn", "runs/pretrain", None),
        ("supervised", None, None),
        ("distill", None, "runs/finetune"),
        ("eval", "runs/finetune", None),
    ],
)
def test_without_flags_the_stages_chain(mode, checkpoint, teacher):
    config = parse([f"--mode={mode}"])
    assert (config.model_dir, config.checkpoint, config.teacher) == (f"runs/{mode}", checkpoint, teacher)


def test_without_any_flag_the_run_pretrains_on_digits_with_a_small_network():
    config = parse([])
    assert config.mode is Mode.PRETRAIN and config.data.dataset == "digits"
    assert (config.encoder.resnet_depth, config.encoder.width_multiplier) == (18, 0.25)
    assert (config.augment.color_jitter_strength, config.augment.use_blur) == (0.5, False)
    assert config.given == frozenset()


@pytest.mark.parametrize("mode", list(Mode))
def test_digits_has_the_small_network_in_every_stage(mode):
    config = parse([f"--mode={mode.value}"])
    assert (config.encoder.resnet_depth, config.head.proj_out_dim) == (18, 64)


def test_describe_shows_what_pretraining_would_do():
    assert default_values(Mode.DESCRIBE, "digits") == default_values(Mode.PRETRAIN, "digits")


@pytest.mark.parametrize(
    "dataset, optimizer, rate, scaling",
    [
        ("digits", "adam", 1e-3, "none"),
        ("digits", "lamb", 2.2e-4, "sqrt"),
        ("digits", "lars", 0.1, "sqrt"),
        ("cifar10", "adam", 1e-3, "none"),
        ("cifar10", "lamb", 2.2e-4, "sqrt"),
        ("cifar10", "momentum", 0.05, "linear"),
    ],
)
def test_another_optimizer_brings_its_own_rate(dataset, optimizer, rate, scaling):
    config = parse([f"--dataset={dataset}", f"--optimizer={optimizer}"])
    assert (config.optimizer.learning_rate, config.optimizer.learning_rate_scaling) == (rate, scaling)


def test_the_published_fine_tuning_optimizer_keeps_its_published_rate_on_digits():
    config = parse(["--mode=finetune", "--optimizer=lars"])
    assert (config.optimizer.learning_rate, config.optimizer.learning_rate_scaling) == (0.005, "sqrt")
    assert config.train.train_batch_size == 64


def test_a_given_rate_wins_over_the_default_of_its_optimizer():
    assert parse(["--optimizer=adam", "--learning_rate=0.01"]).optimizer.learning_rate == 0.01


def test_default_warmup_shrinks_with_the_epochs_but_never_grows():
    def warmup(*argv):
        return parse(["--dataset=cifar10", *argv]).optimizer.warmup_epochs

    assert warmup("--train_epochs=5") == 0.5
    assert warmup("--train_epochs=800") == 10
    assert warmup("--train_epochs=5", "--warmup_epochs=3") == 3


def test_default_values_of_one_run_do_not_leak_into_the_next():
    default_values(Mode.PRETRAIN, "cifar10", optimizer="adam", train_epochs=1)
    assert recipe(parse(["--dataset=cifar10"])) == RECIPES["pretrain"]
