"""Small image folders and a prepared TFDS data set for the tests of the data package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIZES = ((9, 12), (16, 16), (20, 11))  # (height, width) of the folder's images, in turn


def pixels(seed: int, height: int, width: int, grey: bool = False) -> np.ndarray:
    shape = (height, width) if grey else (height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def write_image(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/{ant,bee,cat} with 5 PNGs each (every third one grey), test/{ant,bee} with 2 each."""
    root = tmp_path_factory.mktemp("images")
    for number, name in enumerate(("ant", "bee", "cat")):
        for k in range(5):
            array = pixels(10 * number + k, *SIZES[k % 3], grey=k % 3 == 2)
            write_image(root / "train" / name / f"{k}.png", array)
        if name != "cat":
            for k in range(2):
                write_image(root / "test" / name / f"{k}.png", pixels(100 + 10 * number + k, 16, 16))
    return root


@pytest.fixture(scope="session")
def tfds_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data_dir with 20 train and 4 test images of mixed sizes; label = number % 3.

    The configurations of ``tiny_shapes`` are ``small`` and ``unlabelled``.
    """
    import tensorflow_datasets as tfds

    data_dir = tmp_path_factory.mktemp("tfds")
    for config in ("small", "unlabelled"):
        features = {"image": tfds.features.Image(shape=(None, None, 3)), "number": np.int64}
        if config == "small":
            features["label"] = tfds.features.ClassLabel(names=["x", "y", "z"])
        tfds.dataset_builders.store_as_tfds_dataset(
            name="tiny_shapes",
            version="1.0.0",
            config=config,
            features=tfds.features.FeaturesDict(features),
            split_datasets={
                "train": [(number, _tfds_example(number, features)) for number in range(20)],
                "test": [(number, _tfds_example(number, features)) for number in range(50, 54)],
            },
            data_dir=data_dir,
        )
    return data_dir


def _tfds_example(number: int, features: dict) -> dict:
    example = {"image": pixels(number, *SIZES[number % 3]), "number": number, "label": number % 3}
    return {name: example[name] for name in features}
