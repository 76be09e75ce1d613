"""The stages from the command line's settings to the files they leave, on a tiny network."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import run
from export.stage import load_stage, read_info
from export.start import open_start
from flags.parse import parse
from tf_simclr.config import ConfigError
from tf_simclr.model.network import named_variables
from tf_simclr.train import execute

TINY = ["--width_multiplier=0.125", "--image_size=8", "--train_batch_size=32", "--log_steps=2"]
STEPS = 4


def start_run(mode, model_dir, *flags, steps=STEPS, network=TINY):
    run.run(parse([f"--mode={mode}", f"--model_dir={model_dir}", f"--train_steps={steps}", *network, *flags]))
    return pathlib.Path(model_dir)


def read_json(path):
    return json.loads(path.read_text())


def metrics(directory):
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def network_of(directory):
    return load_stage(open_start(str(directory), "checkpoint").path)[0]


def values_of(network):
    return {name: variable.numpy() for name, variable in named_variables(network).items()}


def assert_equal_values(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory):
    return start_run("pretrain", tmp_path_factory.mktemp("runs") / "pretrain")


@pytest.fixture(scope="session")
def finetuned(pretrained, tmp_path_factory):
    few = ["--labels_per_class=4", "--learning_rate=0.5", f"--checkpoint={pretrained}"]
    directory = tmp_path_factory.mktemp("runs") / "finetune"
    return start_run("finetune", directory, *few, network=TINY[1:])


def test_pretraining_leaves_the_run_directory(pretrained):
    names = {path.name for path in pretrained.iterdir()}
    assert names == {
        "config.json",
        "checkpoints",
        "saved_model",
        "summaries",
        "metrics.jsonl",
        "results.json",
        "log.txt",
    }
    settings = read_json(pretrained / "config.json")
    assert settings["plan"]["total_steps"] == STEPS and settings["image_size"] == 8
    assert settings["architecture"]["encoder"]["width_multiplier"] == 0.125
    assert len(settings["data"]["fingerprint"]) == 64
    assert settings["versions"]["tensorflow"] == tf.__version__
    results = read_json(pretrained / "results.json")
    assert results["step"] == STEPS and results["eval"]["count"] == 360
    assert (pretrained / "summaries" / "views.png").stat().st_size > 100


def test_pretraining_logs_what_one_watches(pretrained):
    lines = [line for line in metrics(pretrained) if "train/total_loss" in line]
    assert [line["step"] for line in lines] == [2, 4]
    parts = ("contrastive_loss", "supervised_loss", "weight_decay")
    for line in lines:
        assert line["train/total_loss"] == pytest.approx(
            sum(line[f"train/{part}"] for part in parts), rel=1e-5
        )
        for name in ("contrastive_accuracy", "contrastive_entropy", "gradient_norm", "images_per_second"):
            assert np.isfinite(line[f"train/{name}"])
    assert lines[0]["epoch"] == pytest.approx(2 * 32 / 1437)


def test_tensorboard_gets_the_scalars_and_the_picture(pretrained):
    tags = {
        value.tag
        for path in (pretrained / "summaries").glob("events*")
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert {"views", "train/total_loss", "train/learning_rate", "eval/top_1"} <= tags


def test_each_stage_finds_the_architecture_in_the_savedmodel(finetuned, pretrained):
    before = read_info(open_start(str(pretrained), "checkpoint").path).architecture
    info = read_info(open_start(str(finetuned), "checkpoint").path)
    assert info.architecture.encoder == before.encoder
    assert info.architecture.head_layers == info.architecture.logits_from == 1
    assert info.class_names == tuple("0123456789")
    assert info.image_size == 8


def test_the_label_subset_is_on_record(finetuned):
    settings = read_json(finetuned / "config.json")
    assert len(settings["label_subset_ids"]) == 40 == settings["data"]["images"] - 1397
    assert settings["start"].endswith(f"saved_model/{STEPS}")


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_classifier_from_any_head_layer_gives_the_same_logits_reloaded(layer, pretrained, tmp_path):
    config = parse(
        [
            "--mode=finetune",
            f"--checkpoint={pretrained}",
            f"--ft_proj_selector={layer}",
            f"--model_dir={tmp_path}",
            "--train_steps=1",
            "--labels_per_class=2",
        ]
    )
    images = np.random.default_rng(0).uniform(size=(3, 8, 8, 3)).astype(np.float32)
    start = open_start(str(pretrained), "checkpoint")
    finished = execute.train_stage(config, start)
    live = finished.network(images, training=False)["logits_sup"]
    run.save(config, finished)
    reloaded = network_of(tmp_path)
    assert reloaded.architecture.logits_from == reloaded.architecture.head_layers == layer
    np.testing.assert_allclose(reloaded(images, training=False)["logits_sup"], live, rtol=1e-5, atol=1e-5)
    served = tf.saved_model.load(open_start(str(tmp_path), "checkpoint").path)
    np.testing.assert_allclose(served(images), live, rtol=1e-5, atol=1e-5)


def test_linear_evaluation_leaves_every_encoder_value_as_it_was(pretrained, tmp_path):
    start_run("linear_eval", tmp_path, f"--checkpoint={pretrained}", network=TINY[1:])
    before, after = network_of(pretrained), network_of(tmp_path)
    assert_equal_values(values_of(after.encoder), values_of(before.encoder))
    assert np.abs(after.classifier.kernel.numpy()).max() > 0


def test_freezing_keeps_the_lower_block_groups(pretrained, tmp_path):
    flags = [f"--checkpoint={pretrained}", "--fine_tune_after_block=2", "--learning_rate=0.5"]
    start_run("finetune", tmp_path, *flags, network=TINY[1:])
    before, after = values_of(network_of(pretrained).encoder), values_of(network_of(tmp_path).encoder)
    changed = {name.split("/")[1] for name in after if not np.array_equal(before[name], after[name])}
    assert changed == {"block_group3", "block_group4"}


def test_a_student_is_distilled_from_the_finetuned_network(finetuned, tmp_path):
    directory = start_run("distill", tmp_path, f"--teacher={finetuned}", "--width_multiplier=0.25")
    results = read_json(directory / "results.json")
    assert results["teacher"] == read_json(finetuned / "results.json")["eval"]
    assert 0 <= results["train"]["teacher_agreement"] <= 1
    student = network_of(directory).architecture
    assert (student.encoder.width_multiplier, student.num_classes, student.head_layers) == (0.25, 10, 0)


def test_distillation_can_use_labels_too(finetuned, tmp_path):
    flags = [f"--teacher={finetuned}", "--distill_alpha=0.5", "--labels_per_class=3"]
    directory = start_run("distill", tmp_path, *flags)
    assert len(read_json(directory / "config.json")["label_subset_ids"]) == 30
    assert "supervised_loss" in read_json(directory / "results.json")["train"]


def test_the_supervised_baseline_starts_from_nothing(tmp_path):
    directory = start_run("supervised", tmp_path, "--label_fraction=0.1")
    assert read_json(directory / "config.json")["start"] is None
    assert len(read_json(directory / "config.json")["label_subset_ids"]) == 144


def test_eval_counts_what_the_stage_counted(finetuned, tmp_path, capsys):
    run.run(
        parse(["--mode=eval", f"--checkpoint={finetuned}", f"--model_dir={tmp_path}", "--eval_batch_size=77"])
    )
    stage = read_json(finetuned / "results.json")["eval"]
    found = read_json(tmp_path / "results.json")["eval"]
    assert found["count"] == 360 and found["top_1"] == stage["top_1"]
    assert found["cross_entropy"] == pytest.approx(stage["cross_entropy"], rel=1e-4)
    assert json.loads(capsys.readouterr().out)["eval"] == found


def test_knn_scores_the_features(pretrained, tmp_path):
    run.run(parse(["--mode=knn", f"--checkpoint={pretrained}", f"--model_dir={tmp_path}"]))
    assert 0.2 < read_json(tmp_path / "results.json")["eval"]["top_1"] <= 1


def test_describe_tells_the_savedmodel(pretrained, capsys):
    run.run(parse(["--mode=describe", f"--checkpoint={pretrained}"]))
    text = capsys.readouterr().out
    assert "ResNet-18 0.125x, images 8x8x3" in text and "projection_head" in text


def test_a_finished_run_is_not_trained_again(pretrained, tmp_path):
    before = values_of(network_of(pretrained))
    start_run("pretrain", pretrained)
    assert_equal_values(values_of(network_of(pretrained)), before)
    assert len([line for line in metrics(pretrained) if "eval/top_1" in line]) == 1


def test_pretraining_does_not_look_at_labels(pretrained, tmp_path, monkeypatch):
    """With other labels the probe changes, and nothing else does."""
    batches = execute.Pretraining.batches

    def relabelled(self, **options):
        return batches(self, **options).map(lambda batch: {**batch, "label": 9 - batch["label"]})

    monkeypatch.setattr(execute.Pretraining, "batches", relabelled)
    start_run("pretrain", tmp_path)
    before, after = network_of(pretrained), network_of(tmp_path)
    assert_equal_values(values_of(after.encoder), values_of(before.encoder))
    assert_equal_values(values_of(after.projection_head), values_of(before.projection_head))
    assert not np.array_equal(after.classifier.kernel, before.classifier.kernel)


def test_a_run_directory_of_other_settings_is_refused(pretrained):
    with pytest.raises(ConfigError, match=r"config\.train\.seed was 0 and is now 7"):
        start_run("pretrain", pretrained, "--seed=7")


@pytest.mark.parametrize(
    "flags, text",
    [
        (
            "--mode=finetune --checkpoint={pretrained} --width_multiplier=0.25",
            r"first at variable encoder/stem/.*kernel: expected float32 \[3, 3, 3, 16\], "
            r"found float32 \[3, 3, 3, 8\]",
        ),
        (
            "--mode=knn --checkpoint={pretrained} --resnet_depth=34",
            r"first at variable encoder/block_group1/block_2/.*: expected float32 .*, found no such variable",
        ),
        (
            "--mode=finetune --checkpoint={pretrained} --ft_proj_selector=4",
            r"--ft_proj_selector=4 is beyond the projection head of .*, which has 3 layers\. Use 0",
        ),
        (
            "--mode=finetune --checkpoint=/nowhere",
            r"--checkpoint=/nowhere does not exist\. Give a run directory",
        ),
        ("--mode=distill --teacher=/nowhere", r"--teacher=/nowhere does not exist"),
        (
            "--mode=pretrain --train_batch_size=2000",
            r"--train_batch_size=2000 is larger than the data: there are 1437 images to train on\. "
            r"Use at most 1437",
        ),
        ("--mode=pretrain --train_split=holdout", r"has no split 'holdout'\. .* one of: train, test"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(flags, text, pretrained, tmp_path):
    config = parse([*flags.format(pretrained=pretrained).split(), f"--model_dir={tmp_path / 'run'}"])
    with pytest.raises(ConfigError, match=text):
        run.run(config)
    assert not (tmp_path / "run").exists()


def test_other_classes_than_the_classifiers_are_refused(finetuned, tmp_path):
    path = tmp_path / "three.npz"
    images, labels = np.zeros((6, 8, 8), np.uint8), np.arange(6) % 3
    np.savez(path, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    for mode, flag in (("eval", "checkpoint"), ("distill", "teacher")):
        flags = [
            f"--mode={mode}",
            f"--{flag}={finetuned}",
            f"--dataset=npz:{path}",
            f"--model_dir={tmp_path}",
        ]
        with pytest.raises(
            ConfigError,
            match=r"has 3 classes, and the classifier of .* tells 10: .* head_supervised/kernel: "
            r"expected float32 \[64, 3\], found float32 \[64, 10\]",
        ):
            run.run(parse(flags))


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    with pytest.raises(FloatingPointError, match=r"non-finite at step \d: .*--learning_rate"):
        start_run("supervised", tmp_path, "--learning_rate=1e30", "--warmup_epochs=0", steps=6)
    assert not (tmp_path / "saved_model").exists()
