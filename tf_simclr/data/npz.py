"""``--dataset=npz:PATH``: a NumPy archive of image arrays, checked before a pixel is read."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tf_simclr.config import ConfigError
from tf_simclr.data.arrays import ArraySource, ArraySplit, is_image_shape
from tf_simclr.data.source import NO_LABEL

SPLITS = ("train", "test")
_KEYS = ("train_images", "train_labels", "test_images", "test_labels", "class_names")
# What zipfile, zlib and numpy raise for bytes that no archive has.
_DAMAGED = (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, ValueError, NotImplementedError)
_HOW = (
    "Write it with numpy.savez(PATH, train_images=..., train_labels=..., test_images=..., test_labels=...); "
    "train_labels and the test arrays may be left out."
)


def npz(path: str) -> ArraySource:
    """Source of ``path``: images uint8 [n, h, w] or [n, h, w, 1 or 3], labels int [n], class_names [k].

    Pixels are loaded on first use. Raises ConfigError for a file, key, shape, dtype or label that is wrong.
    """
    file = Path(path).expanduser()
    headers = _headers(file)
    unknown = [key for key in headers if key not in _KEYS]
    if unknown or "train_images" not in headers:
        raise ConfigError(
            f"--dataset=npz:{path} holds the arrays {', '.join(headers) or '(none)'}; "
            f"valid are {', '.join(_KEYS)}, and train_images must be there. {_HOW}"
        )
    if "test_labels" in headers and "test_images" not in headers:
        raise ConfigError(f"--dataset=npz:{path} has test_labels but no test_images. {_HOW}")
    splits = {split: _split(file, split, headers) for split in SPLITS if f"{split}_images" in headers}
    _check_classes(file, headers, {split: np.unique(splits[split].labels) for split in splits})
    return ArraySource(f"npz:{path}", splits, _class_names(file, headers, splits))


def _headers(file: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and dtype of every array, from the first bytes of each."""
    if not file.is_file():
        raise ConfigError(f"--dataset=npz:{file} names a file that does not exist. {_HOW}")
    headers = {}
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.namelist():
                with archive.open(member) as stream:
                    version = np.lib.format.read_magic(stream)
                    read = {
                        (1, 0): np.lib.format.read_array_header_1_0,
                        (2, 0): np.lib.format.read_array_header_2_0,
                    }[version]
                    shape, _, dtype = read(stream)
                headers[member.removesuffix(".npy")] = (shape, dtype)
    except _DAMAGED as error:
        raise ConfigError(f"--dataset=npz:{file} is not a NumPy .npz archive ({error}). {_HOW}") from error
    return headers


def _split(file: Path, split: str, headers: dict[str, tuple[tuple[int, ...], np.dtype]]) -> ArraySplit:
    images_key, labels_key = f"{split}_images", f"{split}_labels"
    shape, dtype = headers[images_key]
    if dtype != np.uint8 or not is_image_shape(shape) or shape[0] == 0:
        raise ConfigError(
            f"{images_key} in --dataset=npz:{file} is {dtype} {list(shape)}. "
            "It must be uint8 (0..255) [n, h, w], [n, h, w, 1] or [n, h, w, 3] with at least one image."
        )
    labels = np.full(shape[0], NO_LABEL, np.int64)
    if labels_key in headers:
        labels = _labels(file, labels_key, shape[0], *headers[labels_key])
    return ArraySplit(labels, (shape[1], shape[2]), lambda: _read(file, images_key))


def _labels(file: Path, key: str, count: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if dtype.kind not in "iu" or shape != (count,):
        raise ConfigError(
            f"{key} in --dataset=npz:{file} is {dtype} {list(shape)}. "
            f"It must hold one integer for each of the {count} images: shape [{count}]."
        )
    labels = _read(file, key).astype(np.int64)
    if labels.min() < 0:
        raise ConfigError(
            f"{key} in --dataset=npz:{file} holds the label {labels.min()}. Labels count from 0; "
            "leave the array out if the images have none."
        )
    return labels


def _check_classes(file: Path, headers: Mapping[str, Any], present: Mapping[str, np.ndarray]) -> None:
    """``present``: the labels that occur in each split, sorted; -1 alone where it has none."""
    train = present["train"][present["train"] != NO_LABEL]
    if not train.size:
        return
    if "class_names" not in headers and train[-1] >= train.size:
        gap = np.flatnonzero(train != np.arange(train.size))[0]
        raise ConfigError(
            f"train_labels in --dataset=npz:{file} hold {train[-1]} and no {gap}: class {gap} has no image. "
            "Number the classes from 0 without gaps, or add class_names, a list of the names of all classes."
        )
    lacking = np.setdiff1d(present.get("test", train), [*train, NO_LABEL])
    if lacking.size:
        raise ConfigError(
            f"test_labels in --dataset=npz:{file} hold {', '.join(map(str, lacking[:10]))}, which "
            "train_labels lack. Add images of these classes to train or remove them from test."
        )


def _class_names(
    file: Path, headers: dict[str, tuple[tuple[int, ...], np.dtype]], splits: dict[str, ArraySplit]
) -> tuple[str, ...]:
    """The names in the file, or the class numbers."""
    classes = 1 + max(int(split.labels.max()) for split in splits.values())
    if "class_names" not in headers:
        return tuple(str(number) for number in range(classes))
    shape, dtype = headers["class_names"]
    if dtype.kind != "U" or len(shape) != 1 or shape[0] < classes:
        raise ConfigError(
            f"class_names in --dataset=npz:{file} is {dtype} {list(shape)}. "
            f"It must be a list of at least {classes} strings, because the largest label is {classes - 1}."
        )
    return tuple(str(name) for name in _read(file, "class_names"))


def _read(file: Path, key: str) -> np.ndarray:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return archive[key]
    except _DAMAGED as error:
        raise ConfigError(
            f"{key} in --dataset=npz:{file} cannot be read ({error}): the file is damaged. {_HOW}"
        ) from error
