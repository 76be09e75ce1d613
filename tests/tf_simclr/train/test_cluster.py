"""What is said of TF_CONFIG, which names the workers of a run."""

import re
import unittest.mock

import pytest
import tensorflow as tf

import run
from flags.parse import parse
from tf_simclr.config import ConfigError, ScaleConfig
from tf_simclr.train.cluster import own_address
from tf_simclr.train.strategy import choose_strategy


def test_a_mode_of_one_process_says_that_it_does_not_read_tf_config(monkeypatch, caplog):
    monkeypatch.setenv("TF_CONFIG", "{")
    run.run(parse(["--mode=describe", "--image_size=8"]))
    assert "TF_CONFIG changes nothing in --mode=describe, which one process does alone" in caplog.text


TWO = '"cluster": {"worker": ["a:1", "b:1"]}'


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is not set"),
        ("{", "is no JSON object"),
        ("[]", "is no JSON object"),
        ('{"cluster": 3}', "gives 3 as cluster"),
        ('{"cluster": {}}', "names no worker"),
        ('{"cluster": {"worker": "a:1"}}', "gives 'a:1' as worker where a list belongs"),
        ('{"cluster": {"worker": ["a:1", "b"]}}', "gives 'b' as worker where HOST:PORT belongs"),
        ('{"cluster": {"worker": ["a:1", "b:0"]}}', "gives 'b:0' as worker where HOST:PORT belongs"),
        ('{"cluster": {"chief": ["a:1"], "worker": ["a:1"]}}', "names 'a:1' twice"),
        (f"{{{TWO}}}", "gives the task type None, which is none of ['worker']"),
        (f'{{{TWO}, "task": null}}', "gives None as task"),
        (f'{{{TWO}, "task": {{"type": "chief", "index": 0}}}}', "gives the task type 'chief', which is none"),
        (f'{{{TWO}, "task": {{"type": "worker"}}}}', "gives the task index None, which is none of [0, 1]"),
        (f'{{{TWO}, "task": {{"type": "worker", "index": 2}}}}', "gives the task index 2, which is none of"),
        (f'{{{TWO}, "task": {{"type": "worker", "index": -1}}}}', "gives the task index -1, which is none"),
    ],
)
def test_multi_worker_says_what_tf_config_must_be(text, what, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    form = r'.*"task": \{"type": "worker", "index": 0\}'
    with pytest.raises(
        ConfigError, match=f"^TF_CONFIG, which .*{re.escape(what)}.*: {re.escape(repr(text))}{form}"
    ):
        choose_strategy(ScaleConfig(strategy="multi_worker"))


def test_an_index_in_quotes_and_an_ipv6_address_are_fine():
    text = '{"cluster": {"chief": ["[::1]:5"], "worker": ["b:1"]}, "task": {"type": "chief", "index": "0"}}'
    assert own_address(text) == "[::1]:5"


def test_a_worker_whose_port_is_taken_says_so_and_whom_it_waited_for(monkeypatch, caplog):
    text = f'{{{TWO}, "task": {{"type": "worker", "index": 1}}}}'
    monkeypatch.setenv("TF_CONFIG", text)
    refused = tf.errors.UnknownError(None, None, "Could not start gRPC server\nmore")
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", unittest.mock.Mock(side_effect=refused))
    caplog.set_level("INFO", logger="absl")
    with pytest.raises(
        ConfigError, match=r"b:1 cannot join .* \(Could not start gRPC server\)\. .* port is free"
    ):
        choose_strategy(ScaleConfig())
    assert "Waiting for 2 workers: a:1, b:1; this one is b:1." in caplog.text
