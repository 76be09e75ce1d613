from __future__ import annotations

import numpy as np
import pytest

from tf_simclr.config import ConfigError, DataConfig
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
