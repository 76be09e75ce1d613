"""Checkpoints: which are kept, and what happens to damaged ones."""

import os
import shutil

import pytest
import tensorflow as tf
import tf_keras as keras

from tests.damage import damages
from tf_simclr.config import ConfigError
from tf_simclr.train.checkpoint import Checkpoints


class Training:
    """A small network, its optimizer and its checkpoints in ``folder``; step n sets every weight to n."""

    def __init__(self, folder, keep=2, units=3):
        self.network = keras.Sequential([keras.layers.Dense(units)])
        self.network.build([None, 4])
        self.optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        self.extra = tf.Variable(0.0)
        self.checkpoints = Checkpoints(str(folder), self.network, self.optimizer, keep, {"extra": self.extra})

    def save(self, *steps):
        for step in steps:
            self.optimizer.iterations.assign(step)
            for variable in (*self.network.variables, self.extra):
                variable.assign(tf.fill(variable.shape, float(step)))
            self.checkpoints.save({"steps": [{"loss": step / 3}], "skipped_in_a_row": 0})

    def weights(self):
        return {float(value) for v in (*self.network.variables, self.extra) for value in v.numpy().flatten()}


def names(folder):
    return sorted(os.listdir(folder))


def test_nothing_to_restore_is_step_0(tmp_path):
    assert Training(tmp_path).checkpoints.restore() == (0, {})


def test_everything_comes_back_with_the_open_window(tmp_path):
    Training(tmp_path).save(3, 7)
    again = Training(tmp_path)
    assert again.checkpoints.restore() == (7, {"steps": [{"loss": 7 / 3}], "skipped_in_a_row": 0})
    assert again.weights() == {7.0} and int(again.optimizer.iterations.numpy()) == 7


def test_the_newest_stay_and_the_best_beside_them(tmp_path):
    training = Training(tmp_path)
    training.save(9)
    assert training.checkpoints.is_best(0.5)
    training.checkpoints.note_best(9, 0.5)
    training.save(10, 100, 101)
    assert names(tmp_path) == ["100", "101", "9", "best.json"]
    assert not training.checkpoints.is_best(0.5)
    training.checkpoints.note_best(101, 0.6)
    training.save(102, 103)
    assert names(tmp_path) == ["101", "102", "103", "best.json"]
    training.save(104)
    assert names(tmp_path) == ["101", "103", "104", "best.json"]


def test_a_best_whose_checkpoint_is_gone_is_forgotten(tmp_path):
    training = Training(tmp_path)
    training.save(9)
    training.checkpoints.note_best(9, 0.5)
    shutil.rmtree(tmp_path / "9")
    assert training.checkpoints.is_best(0.1)


def test_a_step_is_saved_once(tmp_path):
    training = Training(tmp_path)
    training.save(3)
    before = (tmp_path / "3/manifest.json").stat().st_mtime_ns
    training.save(3)
    assert (tmp_path / "3/manifest.json").stat().st_mtime_ns == before


def test_another_network_is_refused(tmp_path):
    Training(tmp_path).save(3)
    with pytest.raises(ConfigError, match=r"checkpoint .*/3 is of another network \(.*--overwrite"):
        Training(tmp_path, units=5).checkpoints.restore()


def test_every_damage_of_a_checkpoint_is_noticed_and_the_one_before_it_used(tmp_path):
    good = tmp_path / "good"
    Training(good).save(1, 2)
    files = [path.name for path in sorted((good / "2").iterdir())]
    assert files == ["manifest.json", "state.data-00000-of-00001", "state.index", "window.json"]
    folder = tmp_path / "copy"
    training = Training(folder)
    cases = 0
    for name in files:
        for damage, content in damages(good / "2" / name):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(good, folder)
            if content is None:
                (folder / "2" / name).unlink()
            else:
                (folder / "2" / name).write_bytes(content)
            step, window = training.checkpoints.restore()
            is_harmless = step == 2 and name == "manifest.json"  # white space
            assert step == 1 or is_harmless, (name, damage)
            assert training.weights() == {float(step)} and window["steps"] == [{"loss": step / 3}]
            assert names(folder) == (["1", "2"] if is_harmless else ["1", "damaged-2"])
            cases += 1
    assert cases > 150


def test_damage_is_named_and_kept_for_a_look(tmp_path, caplog):
    training = Training(tmp_path)
    training.save(1, 2)
    (tmp_path / "2/state.index").unlink()
    training.checkpoints.restore()
    assert "2/state.index is missing. The checkpoint before it is used; this one is moved to" in caplog.text
    training.save(2)
    assert names(tmp_path) == ["1", "2", "damaged-2"]


def test_no_whole_checkpoint_at_all_is_an_error_and_no_silent_new_start(tmp_path):
    Training(tmp_path).save(1)
    (tmp_path / "1/state.index").write_bytes(b"")
    expected = r"No checkpoint in .* is whole: .*state\.index is damaged: it has 0 .*--overwrite"
    for _ in range(2):  # The second start must not take the directory for an empty one.
        with pytest.raises(ConfigError, match=expected):
            Training(tmp_path).checkpoints.restore()
