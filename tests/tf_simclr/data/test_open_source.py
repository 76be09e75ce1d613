from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tf_simclr.config import ConfigError, DataConfig
from tf_simclr.data import auto_cache
from tf_simclr.data.arrays import ArraySource, ArraySplit
from tf_simclr.data.cached import CachedSource
from tf_simclr.data.folder import FolderSource
from tf_simclr.data.open_source import default_image_size, open_source
from tf_simclr.data.tfds import TfdsSource


def of_shape(height, width):
    return ArraySource("made", {"train": ArraySplit.of(np.zeros((1, height, width), np.uint8))})


@pytest.fixture
def archive(tmp_path):
    np.savez(tmp_path / "a.npz", train_images=np.zeros((3, 40, 48), np.uint8))
    return tmp_path / "a.npz"


def test_dataset_names_each_kind_of_source(image_folder, tfds_dir, archive):
    assert open_source(DataConfig()).name == "digits"
    assert isinstance(open_source(DataConfig(dataset=f"folder:{image_folder}")), FolderSource)
    assert isinstance(open_source(DataConfig(dataset=f"npz:{archive}")), ArraySource)
    prepared = DataConfig(dataset="tiny_shapes/small:1.0.0", data_dir=str(tfds_dir))
    assert isinstance(open_source(prepared), TfdsSource)


def test_names_are_the_values_of_the_flag(image_folder, tfds_dir, archive):
    for dataset in ("digits", f"folder:{image_folder}", f"npz:{archive}", "tiny_shapes/small"):
        assert open_source(DataConfig(dataset=dataset, data_dir=str(tfds_dir))).name == dataset


def test_cache_holds_files_and_leaves_arrays_alone(image_folder, tfds_dir):
    cached = open_source(DataConfig(dataset=f"folder:{image_folder}", cache_dataset=True))
    assert isinstance(cached, CachedSource) and cached.class_names == ("ant", "bee", "cat")
    prepared = DataConfig(dataset="tiny_shapes/small", data_dir=str(tfds_dir), cache_dataset=True)
    assert isinstance(open_source(prepared), CachedSource)
    assert isinstance(open_source(DataConfig(cache_dataset=True)), ArraySource)


def test_cache_reads_the_files_once(image_folder, tmp_path):
    import shutil

    copy = shutil.copytree(image_folder, tmp_path / "copy")
    source = open_source(DataConfig(dataset=f"folder:{copy}", cache_dataset=True))
    before = [e["image"].tobytes() for e in source.examples("train").as_numpy_iterator()]
    shutil.rmtree(copy)
    assert [e["image"].tobytes() for e in source.examples("train").as_numpy_iterator()] == before


@pytest.mark.parametrize(("free", "kept"), [(4.1, True), (3.9, False)])
@pytest.mark.parametrize("kind", ["folder", "tfds"])
def test_auto_caches_images_that_take_a_quarter_of_the_free_memory(
    free, kept, kind, image_folder, tfds_dir, monkeypatch, caplog
):
    dataset = f"folder:{image_folder}" if kind == "folder" else "tiny_shapes/small"
    config = DataConfig(dataset=dataset, data_dir=str(tfds_dir), cache_dataset="auto")
    plain = open_source(dataclasses.replace(config, cache_dataset=False))
    needed = sum(
        example["image"].size
        for split in ("train", "test")
        for example in plain.examples(split).as_numpy_iterator()
    )
    monkeypatch.setattr(auto_cache, "free_memory", lambda: int(free * needed))
    with caplog.at_level("INFO", logger="absl"):
        assert isinstance(open_source(config), CachedSource) == kept
    said = "kept in memory" if kept else "decoded anew in every epoch"
    assert sum(said in line and "train, test" in line for line in caplog.messages) == 1


def test_auto_counts_only_splits_that_exist(image_folder, monkeypatch):
    monkeypatch.setattr(auto_cache, "free_memory", lambda: 10**9)
    config = DataConfig(dataset=f"folder:{image_folder}", eval_split="validation", cache_dataset="auto")
    assert isinstance(open_source(config), CachedSource)


def test_free_memory_is_what_linux_and_the_container_leave(monkeypatch, tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable:    5000 kB\n")
    monkeypatch.setattr(auto_cache, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(auto_cache, "_CONTAINER", tmp_path)
    assert auto_cache.free_memory() == 5000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert auto_cache.free_memory() == 5000 * 1024
    (tmp_path / "memory.max").write_text("4000\n")
    assert auto_cache.free_memory() == 3000
    (tmp_path / "memory.current").write_text("5000\n")
    assert auto_cache.free_memory() == 0


def test_home_directory_may_be_written_as_a_tilde(image_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(image_folder.parent))
    assert open_source(DataConfig(dataset=f"folder:~/{image_folder.name}")).num_examples("train") == 15


def test_misspelt_data_set_error_lists_the_kinds(tmp_path):
    with pytest.raises(ConfigError, match=r"--dataset=digit is none of digits, folder:PATH and npz:PATH"):
        open_source(DataConfig(dataset="digit", data_dir=str(tmp_path)))


@pytest.mark.parametrize(("shape", "size"), [((32, 32), 32), ((40, 48), 48), ((64, 64), 64), ((65, 20), 224)])
def test_default_image_size_is_the_own_size_of_small_images(shape, size):
    assert default_image_size(of_shape(*shape)) == size


def test_default_image_size_of_digits_is_16_and_of_photos_224(image_folder):
    assert default_image_size(open_source(DataConfig())) == 16
    assert default_image_size(FolderSource(str(image_folder))) == 224
