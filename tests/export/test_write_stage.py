import dataclasses
import os
import shutil

import pytest
import tensorflow as tf

import export.stage
from export.locate import locate_stage, whole_versions
from export.stage import read_info, write_stage
from tf_simclr.config import ConfigError
from tf_simclr.errors import StorageError


@pytest.fixture
def write(written, tmp_path, monkeypatch):
    """Returns a function that writes step ``step`` to tmp_path; copying stands in for the slow tracing."""
    stage = written("pretrain")

    monkeypatch.setattr(export.stage, "_save", _copy_of(stage))
    return lambda step=7: write_stage(
        stage.network, dataclasses.replace(stage.info, step=step), str(tmp_path / "saved_model")
    )


def _copy_of(stage):
    return lambda network, info, path: shutil.copytree(stage.path, path, dirs_exist_ok=True)


def _names(tmp_path):
    return sorted(os.listdir(tmp_path / "saved_model"))


def test_the_path_is_the_step_and_nothing_hidden_stays(write, tmp_path):
    assert write(12) == str(tmp_path / "saved_model" / "12")
    write(3)
    assert _names(tmp_path) == ["12", "3"]


def test_a_save_that_breaks_off_leaves_nothing_to_see_and_the_next_one_clears_it(
    written, tmp_path, monkeypatch
):
    stage = written("pretrain")

    def break_off(root, path, signatures):
        tf.io.gfile.makedirs(path)
        (tmp_path / "saved_model" / os.path.basename(path) / "saved_model.pb").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tf.saved_model, "save", break_off)
        with pytest.raises(KeyboardInterrupt):
            write_stage(stage.network, stage.info, str(tmp_path / "saved_model"))
    assert _names(tmp_path) == [".writing-7"]
    assert whole_versions(str(tmp_path / "saved_model")) == []
    with pytest.raises(ConfigError, match="holds no finished SavedModel"):
        locate_stage(str(tmp_path))
    monkeypatch.setattr(
        export.stage,
        "_save",
        lambda network, info, path: shutil.copytree(stage.path, path, dirs_exist_ok=True),
    )
    write_stage(stage.network, dataclasses.replace(stage.info, step=8), str(tmp_path / "saved_model"))
    assert _names(tmp_path) == ["8"]


def test_a_rename_that_fails_leaves_nothing_to_see(write, tmp_path, monkeypatch):
    def fail(source, target, overwrite=False):
        raise tf.errors.UnavailableError(None, None, "the disk is gone")

    monkeypatch.setattr(tf.io.gfile, "rename", fail)
    with pytest.raises(StorageError, match="saved_model/7 cannot be written: the disk is gone"):
        write()
    assert whole_versions(str(tmp_path / "saved_model")) == []


def test_a_second_write_of_a_step_replaces_the_first(write, tmp_path):
    path = write()
    marker = tmp_path / "saved_model" / "7" / "marker"
    marker.write_text("first")
    assert write() == path
    assert not marker.exists()
    assert _names(tmp_path) == ["7"]
    assert read_info(path).step == 7


def test_a_replacement_that_fails_keeps_the_first(write, tmp_path, monkeypatch):
    write()
    (tmp_path / "saved_model" / "7" / "marker").write_text("first")
    rename = tf.io.gfile.rename

    def fail(source, target, overwrite=False):
        if ".writing-" in source:
            raise tf.errors.UnavailableError(None, None, "the disk is gone")
        rename(source, target, overwrite)

    monkeypatch.setattr(tf.io.gfile, "rename", fail)
    with pytest.raises(StorageError, match="saved_model/7 cannot be written: the disk is gone"):
        write()
    assert (tmp_path / "saved_model" / "7" / "marker").read_text() == "first"


def test_a_saved_model_caught_between_two_renames_is_put_back(write, tmp_path):
    write(7)
    os.rename(tmp_path / "saved_model" / "7", tmp_path / "saved_model" / ".replaced-7")
    write(8)
    assert _names(tmp_path) == ["7", "8"]
