"""Folders with images that cannot be used: left out, named, counted, and checked only once."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from PIL import Image

from tests import odd_images
from tf_simclr.config import ConfigError, DataConfig
from tf_simclr.data import folder as folder_module
from tf_simclr.data.cached import CachedSource
from tf_simclr.data.folder import FolderSource
from tf_simclr.data.open_source import open_source


def fill(folder, number_of_good):
    folder.mkdir(parents=True)
    for number in range(number_of_good):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.fixture
def mixed(tmp_path):
    """Two classes with 200 good images, and every kind of odd and broken one in the first."""
    fill(tmp_path / "train/a", 100)
    fill(tmp_path / "train/b", 100)
    for name, content in odd_images.usable().items():
        (tmp_path / "train/a" / name).write_bytes(content)
    for name, (content, _) in odd_images.broken().items():
        (tmp_path / "train/a" / name).write_bytes(content)
    return tmp_path


def rows(source):
    return {name: e["image"].shape for name, e in zip(source.ids("train"), examples(source), strict=True)}


def examples(source):
    return list(source.examples("train").as_numpy_iterator())


def test_exactly_the_unreadable_images_are_left_out(mixed):
    source = FolderSource(str(mixed), max_bad_fraction=0.2)
    shapes = rows(source)
    bad = {f"train/a/{name}" for name in odd_images.broken()}
    assert set(source.checks["train"].skipped) == bad
    everything = {path.relative_to(mixed).as_posix() for path in (mixed / "train").rglob("*.*")}
    assert set(shapes) == everything - bad and len(shapes) == 200 + len(odd_images.usable())
    assert source.num_examples("train") == len(source.labels("train")) == len(shapes)
    assert source.labels("train").tolist() == [int("/b/" in name) for name in shapes]
    assert source.checks["train"].decoded_bytes == sum(np.prod(shape) for shape in shapes.values())


def test_rows_of_a_stream_are_those_of_the_images_that_are_left(mixed):
    source = FolderSource(str(mixed), max_bad_fraction=0.2)
    count = source.num_examples("train")
    epoch = list(source.shuffled("train", seed=0).take(count).as_numpy_iterator())
    assert sorted(int(e["index"]) for e in epoch) == list(range(count))


def test_more_bad_images_than_allowed_stop_the_run_and_ten_are_named(mixed):
    source = FolderSource(str(mixed))
    with pytest.raises(ConfigError) as caught:
        source.num_examples("train")
    text, bad = str(caught.value), len(odd_images.broken())
    total = 200 + len(odd_images.usable()) + bad
    assert f"{bad} of the {total} images of split train" in text and "--max_bad_fraction=0.01" in text
    assert len(re.findall(r"train/a/\S+: ", text)) == 10 and f"and {bad - 10} more" in text
    assert "--mode=check_data" in text and "\n" not in text


@pytest.mark.parametrize(
    ("good", "allowed", "is_refused"), [(99, 0.01, False), (98, 0.01, True), (3, 0, True)]
)
def test_the_allowed_fraction_is_of_all_images(tmp_path, good, allowed, is_refused):
    fill(tmp_path / "a", good)
    (tmp_path / "a/bad.jpg").write_bytes(b"")
    source = FolderSource(str(tmp_path), max_bad_fraction=allowed)
    if is_refused:
        with pytest.raises(ConfigError, match=r"a/bad.jpg: empty file\."):
            source.labels("train")
    else:
        assert source.num_examples("train") == good


def test_a_class_that_loses_all_its_images_is_named(tmp_path):
    fill(tmp_path / "a", 300)
    fill(tmp_path / "b", 0)
    (tmp_path / "b/bad.jpg").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"No image of class b in split train .* can be used; --mode=check"):
        FolderSource(str(tmp_path)).labels("train")


def test_a_flat_folder_without_a_usable_image_is_refused(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"No image in split train"):
        FolderSource(str(tmp_path), max_bad_fraction=1).num_examples("train")


def test_files_are_read_once_and_not_at_all_where_the_check_is_known(mixed, monkeypatch):
    read = []
    original = folder_module.check_file
    monkeypatch.setattr(folder_module, "check_file", lambda path: read.append(path) or original(path))
    config = DataConfig(dataset=f"folder:{mixed}", max_bad_fraction=0.2)
    first = open_source(config)
    before = first.ids("train").tolist(), first.labels("train").tolist(), first.fingerprint("train")
    number = first.checks["train"].images
    assert len(read) == number
    again = open_source(config, first.checks)
    assert (again.ids("train").tolist(), again.labels("train").tolist(), again.fingerprint("train")) == before
    assert len(read) == number
    (mixed / "train/a/empty.jpg").write_bytes(odd_images.usable()["plain.jpg"])
    repaired = open_source(config, first.checks)
    assert repaired.num_examples("train") == len(before[0]) + 1 and len(read) == 2 * number


def test_only_the_splits_in_use_are_read(mixed):
    fill(mixed / "test/a", 2)
    source = FolderSource(str(mixed), max_bad_fraction=0.2)
    assert source.num_examples("test") == 2 and set(source.checks) == {"test"}


def test_the_cache_leaves_the_same_images_out(mixed):
    source = CachedSource(FolderSource(str(mixed), max_bad_fraction=0.2))
    assert source.num_examples("train") == 200 + len(odd_images.usable())
    assert len(source.checks["train"].skipped) == len(odd_images.broken())


def test_a_name_that_is_no_unicode_is_skipped(tmp_path):
    fill(tmp_path / "a", 2)
    with open(bytes(tmp_path) + b"/a/\xff.png", "wb") as file:
        file.write(odd_images.usable()["plain.png"])
    source = FolderSource(str(tmp_path), max_bad_fraction=0.5)
    assert len(examples(source)) == 2 and len(source.fingerprint("train")) == 64
    assert list(source.checks["train"].skipped.values()) == ["its name is not valid UTF-8"]


def test_a_check_survives_json():
    import json

    from tf_simclr.data.skipped import SplitCheck

    check = SplitCheck("stamp", 3, 300, {"a/\udcff.png": "its name"})
    assert SplitCheck(**json.loads(json.dumps(dataclasses.asdict(check)))) == check
