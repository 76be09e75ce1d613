"""The stages on real photographs: Fashion-MNIST, and JPEG files of mixed sizes made from it."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

import run
from benchmarks import fashion_mnist
from flags.parse import parse

TRAIN, TEST = 600, 200
SMALL = ["--resnet_depth=18", "--width_multiplier=0.125", "--train_batch_size=32", "--train_steps=3"]


def start_run(mode, model_dir, *flags):
    run.run(parse([f"--mode={mode}", f"--model_dir={model_dir}", "--train_steps=3", *flags]))
    return json.loads((model_dir / "results.json").read_text())


@pytest.fixture(scope="module")
def fashion():
    """The first images of the real data set: arrays by name."""
    folder = fashion_mnist.DEBIAN_FOLDER
    if not folder.is_dir() and "CI" not in os.environ:
        pytest.skip("Fashion-MNIST is not installed. On Debian: apt-get install dataset-fashion-mnist")
    counts = {"train_images": TRAIN, "train_labels": TRAIN, "test_images": TEST, "test_labels": TEST}
    return {
        name: fashion_mnist.read_idx(folder / file)[: counts[name]]
        for name, file in fashion_mnist.FILES.items()
    }


@pytest.fixture(scope="module")
def archive(fashion, tmp_path_factory):
    path = tmp_path_factory.mktemp("npz") / "fashion.npz"
    np.savez(path, class_names=np.array(fashion_mnist.CLASS_NAMES), **fashion)
    return path


def write_jpeg(path, image, rng):
    """``image`` uint8 [28, 28] as a colour JPEG of a random size and shape."""
    height, width = rng.integers(20, 90, 2)
    pixels = tf.image.resize(np.repeat(image[..., np.newaxis], 3, axis=-1), [height, width])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tf.io.encode_jpeg(tf.cast(pixels, tf.uint8)).numpy())


@pytest.fixture(scope="module")
def photos(fashion, tmp_path_factory):
    """``flat/``: unlabelled; ``sorted/train/CLASS/`` and ``sorted/test/CLASS/``."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for i, image in enumerate(fashion["train_images"][:70]):
        write_jpeg(root / "flat" / f"{i}.jpg", image, rng)
    for split, count in (("train", 60), ("test", 30)):
        for i in range(count):
            name = fashion_mnist.CLASS_NAMES[fashion[f"{split}_labels"][i]]
            write_jpeg(root / "sorted" / split / name / f"{i}.jpg", fashion[f"{split}_images"][i], rng)
    return root


def three_stages(tmp_path, unlabelled, labelled, *network):
    start_run("pretrain", tmp_path / "pretrain", f"--dataset={unlabelled}", *SMALL, *network)
    few = ["--labels_per_class=1", f"--checkpoint={tmp_path / 'pretrain'}"]
    finetuned = start_run("finetune", tmp_path / "finetune", f"--dataset={labelled}", *few)
    teacher = f"--teacher={tmp_path / 'finetune'}"
    student = start_run("distill", tmp_path / "distill", f"--dataset={labelled}", *SMALL, teacher)
    assert student["teacher"] == finetuned["eval"]
    return student


@pytest.mark.slow
def test_fashion_mnist_goes_through_the_three_stages(archive, tmp_path):
    dataset = f"npz:{archive}"
    student = three_stages(tmp_path, dataset, dataset)
    assert student["eval"]["count"] == TEST
    settings = json.loads((tmp_path / "finetune" / "config.json").read_text())
    assert settings["image_size"] == 28 and len(settings["label_subset_ids"]) == 10


@pytest.mark.slow
def test_unlabelled_photos_pretrain_and_labelled_ones_follow(photos, tmp_path):
    flat, labelled = f"folder:{photos / 'flat'}", f"folder:{photos / 'sorted'}"
    student = three_stages(tmp_path, flat, labelled, "--image_size=40")
    assert student["eval"]["count"] == 30
    pretraining = json.loads((tmp_path / "pretrain" / "results.json").read_text())
    assert pretraining["eval"] == {} and "supervised_loss" not in pretraining["train"]
