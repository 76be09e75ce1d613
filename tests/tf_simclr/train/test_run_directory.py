"""Who may write into a run directory, and what of an earlier run stays."""

import json
import os
import re

import pytest
from absl import logging

from tf_simclr.config import ConfigError
from tf_simclr.errors import InUseError, NonFiniteError, StorageError
from tf_simclr.files import whole
from tf_simclr.train.run_directory import RunDirectory

SETTINGS = {"config": {"train": {"seed": 0, "log_steps": 50}}, "plan": {"batch_size": 32}}


@pytest.fixture
def verbosity():
    before = logging.get_verbosity()
    logging.set_verbosity(logging.INFO)
    yield
    logging.set_verbosity(before)


def begin(path, settings=SETTINGS, **options):
    with RunDirectory(str(path)) as directory:
        directory.begin(settings, **options)


def changed(**train):
    return SETTINGS | {"config": {"train": SETTINGS["config"]["train"] | train}}


def test_a_run_leaves_its_settings_and_its_log_and_no_lock(tmp_path):
    begin(tmp_path / "run")
    assert sorted(os.listdir(tmp_path / "run")) == ["config.json", "log.txt"]
    assert json.loads((tmp_path / "run/config.json").read_text()) == SETTINGS


def test_other_settings_are_refused_and_change_nothing(tmp_path):
    begin(tmp_path)
    with pytest.raises(ConfigError, match=r"config\.train\.seed was 0 and is now 7\. .*--overwrite to start"):
        begin(tmp_path, changed(seed=7))
    assert json.loads((tmp_path / "config.json").read_text()) == SETTINGS
    begin(tmp_path, changed(log_steps=2))


def test_overwrite_moves_the_earlier_run_aside(tmp_path):
    begin(tmp_path / "run")
    (tmp_path / "run/results.json").write_text("dear")
    begin(tmp_path / "run", changed(seed=7), overwrite=True)
    old, new = sorted(os.listdir(tmp_path), reverse=True)
    assert new == "run" and re.fullmatch(r"run\.old-\d{8}-\d{6}", old)
    assert (tmp_path / old / "results.json").read_text() == "dear"
    assert sorted(os.listdir(tmp_path / old)) == ["config.json", "log.txt", "results.json"]
    assert sorted(os.listdir(tmp_path / "run")) == ["config.json", "log.txt"]


def test_overwrite_of_nothing_moves_nothing(tmp_path):
    begin(tmp_path / "run", overwrite=True)
    assert os.listdir(tmp_path) == ["run"]


def test_two_at_once_are_refused_though_the_second_would_overwrite(tmp_path):
    with RunDirectory(str(tmp_path / "run")) as first:
        first.begin(SETTINGS)
        for options in ({}, {"overwrite": True}):
            with pytest.raises(InUseError, match=rf"is in use by process {os.getpid()} on host"):
                begin(tmp_path / "run", **options)
    begin(tmp_path / "run")
    assert os.listdir(tmp_path) == ["run"]


def test_leftovers_of_a_crash_are_cleared(tmp_path):
    for name in (".writing-config.json", "saved_model/.writing-7/x", "summaries/.writing-views.png"):
        whole.write_text(str(tmp_path / name), "half")
    begin(tmp_path)
    assert [path for path in tmp_path.rglob(".*")] == []


def test_checkpoints_of_unknown_settings_are_refused(tmp_path):
    (tmp_path / "checkpoints/7").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"holds checkpoints and no config\.json"):
        begin(tmp_path)


def test_damaged_settings_are_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"config": ')
    with pytest.raises(ConfigError, match=r"config\.json is damaged \(Expecting value.*--overwrite"):
        begin(tmp_path)


def test_measuring_refuses_the_directory_of_a_training_run(tmp_path):
    (tmp_path / "checkpoints/7").mkdir(parents=True)
    with (
        RunDirectory(str(tmp_path)) as directory,
        pytest.raises(ConfigError, match="holds a training run, whose config"),
    ):
        directory.begin_measuring()


def test_the_log_holds_what_was_shown_and_what_ended_the_run(tmp_path, verbosity):
    with pytest.raises(NonFiniteError), RunDirectory(str(tmp_path)) as directory:
        directory.begin(SETTINGS)
        logging.get_absl_logger().handle(
            logging.get_absl_logger().makeRecord(
                "absl", logging.converter.STANDARD_INFO, whole.__file__, 1, "of the project", (), None
            )
        )
        logging.info("of a test, which is no part of the project")
        raise NonFiniteError("no number")
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["I of the project", "E no number"]
    logging.warning("after the run")
    assert len((tmp_path / "log.txt").read_text().splitlines()) == 2


def test_a_bug_leaves_its_traceback_in_the_log(tmp_path):
    with pytest.raises(ZeroDivisionError), RunDirectory(str(tmp_path)) as directory:
        directory.begin(SETTINGS)
        raise ZeroDivisionError("a bug")
    assert "Traceback (most recent call last)" in (tmp_path / "log.txt").read_text()


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be written: (Not a directory|File exists)\. Everything"):
        begin(tmp_path / "file")
