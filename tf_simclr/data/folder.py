"""``--dataset=folder:PATH``: image files in class folders, or one flat folder without labels."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_simclr.config import ConfigError, DataConfig
from tf_simclr.data.check import check_file, in_parallel
from tf_simclr.data.skipped import SplitCheck
from tf_simclr.data.source import HOST, NO_LABEL, Examined, RandomAccessSource, Reader, digest

EXTENSIONS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")
_LAYOUTS = (
    "Lay images out as PATH/train/CLASS/*.jpg and PATH/test/CLASS/*.jpg, as PATH/CLASS/*.jpg (all of it is "
    "the split train), or as PATH/*.jpg (no labels)."
)


@dataclasses.dataclass(frozen=True)
class Listing:
    """The image files of a split in order. ``ids``: [n] str paths below PATH; ``labels``: [n] int64."""

    ids: np.ndarray
    labels: np.ndarray


class FolderSource(RandomAccessSource):
    """Image files, decoded as they are read; sorted by path, so that rows are stable.

    Folders below a class folder count to the class; hidden and other files are ignored; links to files and
    to class folders are followed. The first use of a split reads all of its files once and leaves out those
    that cannot be decoded; where ``known`` has the result for these very files, it is taken.

    Raises ConfigError for a layout that cannot be used, and for more unusable files than
    ``max_bad_fraction`` of all.
    """

    def __init__(
        self,
        path: str,
        *,
        max_bad_fraction: float = DataConfig.max_bad_fraction,
        known: Mapping[str, SplitCheck] | None = None,
    ) -> None:
        self.name = f"folder:{path}"
        self._max_bad_fraction = max_bad_fraction
        self._known = known or {}
        self._root = Path(path).expanduser()
        if not self._root.is_dir():
            raise ConfigError(f"--dataset={self.name} names a folder that does not exist. {_LAYOUTS}")
        self._split_roots = _split_roots(self._root)
        self._files = functools.cache(self._list)
        self._listing = functools.cache(self._usable)
        # A split decides the class names: train, or, where that has no labels, the first one that does.
        class_folders = [_class_folders(root) for root in self._split_roots.values()]
        self.class_names = next((names for names in class_folders if names), ())
        if "train" in self._split_roots:
            self._files("train")  # What is wrong there is said at once.

    @property
    def splits(self) -> tuple[str, ...]:
        """See :class:`Source`."""
        return tuple(self._split_roots)

    def check_split(self, split: str) -> None:
        """Raises ConfigError unless the folder has ``split``."""
        if split not in self._split_roots:
            raise ConfigError(
                f"--dataset={self.name} has no split {split!r}, only {', '.join(self.splits)}. "
                f"Put its images into {self._root / split}/CLASS/ (and those of train into "
                f"{self._root / 'train'}/CLASS/), or set --train_split and --eval_split to splits that exist."
            )

    def num_examples(self, split: str) -> int:
        """See :class:`Source`."""
        return len(self._listing(split).ids)

    def ids(self, split: str) -> np.ndarray:
        """See :class:`Source`; "train/cat/1.jpg"."""
        return self._listing(split).ids.copy()

    def labels(self, split: str) -> np.ndarray:
        """See :class:`Source`."""
        return self._listing(split).labels.copy()

    def fingerprint(self, split: str) -> str:
        """See :class:`Source`; hashes paths, labels and file sizes."""
        listing = self._listing(split)
        sizes = np.array([os.stat(path).st_size for path in self._paths(listing)], np.int64)
        return digest(split, listing.ids, listing.labels, sizes)

    def decoded_bytes(self, split: str) -> int:
        """See :class:`Source`; exact."""
        self._listing(split)
        return self.checks[split].decoded_bytes

    def examine(self, split: str) -> Examined:
        """See :class:`Source`."""
        files = self._files(split)
        found = in_parallel(
            check_file, self._paths(files), len(files.ids), f"Checking {split} of {self.name}"
        )
        return Examined(files.ids, files.labels, found)

    def reader(self, split: str) -> Reader:
        """See :class:`RandomAccessSource`."""
        listing = self._listing(split)
        with tf.device(HOST):
            paths = tf.constant(listing.ids.astype(object), tf.string)
            labels = tf.constant(listing.labels)
        root = os.fspath(self._root)

        def read(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            path = tf.strings.join([root, tf.gather(paths, row)], separator="/")
            return self._decode(tf.io.read_file(path)), tf.gather(labels, row)

        return read

    def _usable(self, split: str) -> Listing:
        """The files of ``split`` that can be decoded."""
        files = self._files(split)
        stamp = digest(files.ids, np.array([_stamp(path) for path in self._paths(files)], np.int64))
        check = self._known.get(split)
        if check is None or check.listing != stamp:
            check = SplitCheck.of(stamp, self.examine(split).pairs())
        self.checks[split] = check
        check.require_few_skipped(self.name, split, self._max_bad_fraction)
        kept = ~np.isin(files.ids, list(check.skipped))
        self._require_classes(split, files.labels, files.labels[kept])
        return Listing(files.ids[kept], files.labels[kept])

    def _require_classes(self, split: str, labels: np.ndarray, usable: np.ndarray) -> None:
        lost = np.setdiff1d(labels, usable)
        if lost.size:
            of = f"of class {self.class_names[lost[0]]} " if self.class_names else ""
            raise ConfigError(
                f"No image {of}in split {split} of --dataset={self.name} can be used; --mode=check_data says "
                "why. Repair them or remove the folder."
            )

    def _paths(self, listing: Listing) -> list[str]:
        return [f"{self._root}/{name}" for name in listing.ids]

    def _list(self, split: str) -> Listing:
        self.check_split(split)
        root = self._split_roots[split]
        names = _class_folders(root)
        _check_layout(root, names)
        missing = [name for name in names if name not in self.class_names]
        if missing:
            raise ConfigError(
                f"The split {split} of --dataset={self.name} has classes that train lacks: "
                f"{', '.join(missing)}. Add them to train or remove them from {split}."
            )
        found = [
            (path.relative_to(self._root).as_posix(), self.class_names.index(name) if name else NO_LABEL)
            for name in names or ("",)
            for path in _images_of_class(root, name)
        ]
        found.sort()
        ids, labels = zip(*found, strict=True)
        return Listing(np.array(ids, np.str_), np.array(labels, np.int64))


def _split_roots(root: Path) -> dict[str, Path]:
    """Folders of the splits: those in PATH if one is called train or test, else PATH itself."""
    folders = _class_folders(root)
    if "train" not in folders and "test" not in folders:
        return {"train": root}
    ordered = [name for name in ("train", "test") if name in folders]
    ordered += [name for name in folders if name not in ordered]
    return {name: root / name for name in ordered}


def _class_folders(root: Path) -> tuple[str, ...]:
    with os.scandir(root) as entries:
        return tuple(sorted(e.name for e in entries if e.is_dir() and not e.name.startswith(".")))


def _check_layout(root: Path, class_folders: tuple[str, ...]) -> None:
    with os.scandir(root) as entries:
        loose = sorted(e.name for e in entries if e.is_file() and _is_image(e.name))
    if not class_folders and not loose:
        raise ConfigError(f"{root} holds no image ({', '.join(EXTENSIONS)}). {_LAYOUTS}")
    if class_folders and loose:
        raise ConfigError(
            f"{root} holds both class folders ({class_folders[0]}, ...) and images outside of them "
            f"({loose[0]}, ...). Move the images into a class folder or away. {_LAYOUTS}"
        )


def _images_of_class(root: Path, name: str) -> list[Path]:
    """Image files of one class folder, nested ones too; ``name`` "": those of the flat folder."""
    top = root / name
    images = []
    for folder, subfolders, files in os.walk(top):
        subfolders[:] = [sub for sub in subfolders if name and not sub.startswith(".")]
        images += [Path(folder, file) for file in files if _is_image(file)]
    if not images:
        raise ConfigError(
            f"The class folder {top} holds no image ({', '.join(EXTENSIONS)}). "
            "Remove the folder or put the images of the class there."
        )
    return images


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(EXTENSIONS)


def _stamp(path: str) -> tuple[int, int]:
    """Size and time of change, which tell whether a file is still the one that was read."""
    try:
        about = os.stat(path)
    except (OSError, UnicodeEncodeError):
        return -1, -1
    return about.st_size, about.st_mtime_ns
