"""Which lines of the log a user sees."""

import logging

import pytest

from tf_simclr.report import log


@pytest.mark.parametrize(
    ("path", "level", "is_shown"),
    [
        ("tf_simclr/train/loop.py", logging.INFO, True),
        ("run.py", logging.INFO, True),
        (".venv/lib/python3.11/site-packages/tensorflow/python/saved_model/save.py", logging.INFO, False),
        (".venv/lib/python3.11/site-packages/tensorflow/python/saved_model/save.py", logging.WARNING, True),
        ("../elsewhere/tensorflow/python/saved_model/save.py", logging.INFO, False),
    ],
)
def test_own_lines_and_warnings_are_shown(path, level, is_shown):
    record = logging.LogRecord("absl", level, str(log.PROJECT / path), 1, "text", None, None)
    assert log.is_own_or_warning(record) is is_shown


def test_the_main_file_is_known_by_a_relative_path_too(monkeypatch):
    monkeypatch.chdir(log.PROJECT / "tests")
    record = logging.LogRecord("absl", logging.INFO, "../run.py", 1, "text", None, None)
    assert log.is_own_or_warning(record)
