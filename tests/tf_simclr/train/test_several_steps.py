"""Several steps in a call: the same numbers, and nothing due is passed over."""

import glob
import json

import numpy as np
import pytest
import tensorflow as tf

from flags.parse import parse
from tests.tf_simclr.train.test_rhythm import plan
from tf_simclr.train.execute import train_stage
from tf_simclr.train.profile import Profile
from tf_simclr.train.rhythm import Rhythm
from tf_simclr.train.several import in_one_call, one_by_one
from tf_simclr.train.stop import StopRequest

TINY = ("--resnet_depth=18", "--width_multiplier=0.05", "--train_batch_size=4", "--train_steps=7")


@pytest.fixture(name="counting")
def _counting():
    total, traces = tf.Variable(0.0), []

    @tf.function(autograph=False)
    def step(batch):
        traces.append(None)
        total.assign(2 * total + batch)
        return {"total": tf.identity(total), "batch": batch}

    return step, traces


def batches():
    return iter(tf.data.Dataset.range(1, 100).map(lambda number: tf.cast(number, tf.float32)))


def test_steps_in_one_call_follow_one_another_as_single_ones_do(counting):
    step, traces = counting
    source, steps = batches(), in_one_call(step)
    found = [metrics for count in (3, 1, 2) for metrics in steps(source, count)]
    expected, total = [], 0.0
    for number in range(1, 7):
        total = 2 * total + number
        expected.append({"total": total, "batch": number})
    assert [{name: float(value) for name, value in metrics.items()} for metrics in found] == expected
    assert len(traces) == 1


def test_one_by_one_calls_the_step_itself(counting):
    metrics = one_by_one(counting[0])(batches(), 2)
    assert [float(values["total"]) for values in metrics] == [1.0, 4.0]


@pytest.mark.parametrize(
    ("step", "at_most", "bounds", "count"),
    [
        (0, 1, (), 1),
        (0, 100, (), 3),  # a log line after step 3
        (3, 100, (), 1),  # an evaluation after step 4
        (4, 100, (), 1),  # a checkpoint after step 5
        (6, 2, (), 2),
        (6, 100, (7,), 1),
        (6, 100, (6, 3), 2),
        (10, 100, (), 2),  # the end
    ],
)
def test_a_call_ends_where_something_is_due(step, at_most, bounds, count):
    rhythm = Rhythm(plan(), StopRequest(), minutes=0)
    assert rhythm.steps_together(step, at_most, bounds) == count


def test_nothing_is_due_at_number_zero_of_evaluations():
    rhythm = Rhythm(plan(log_steps=100, checkpoint_steps=100, eval_steps=0), StopRequest(), minutes=0)
    assert rhythm.steps_together(0, 100) == 12


def run(folder, *flags):
    config = parse(
        ["--mode=pretrain", *TINY, f"--model_dir={folder}", "--log_steps=2", "--checkpoint_steps=3", *flags]
    )
    finished = train_stage(config, None)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return finished.network, [line for line in lines if "train/total_loss" in line]


def test_a_run_with_several_steps_in_a_call_equals_one_with_single_steps(tmp_path):
    single, single_lines = run(tmp_path / "single", "--deterministic")
    several, several_lines = run(
        tmp_path / "several", "--deterministic", "--steps_per_loop=5", "--profile_steps=2,3"
    )
    for one, other in zip(single.variables, several.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [line["step"] for line in several_lines] == [line["step"] for line in single_lines] == [2, 4, 6, 7]
    losses = [[line["train/total_loss"] for line in lines] for lines in (single_lines, several_lines)]
    assert losses[0] == losses[1]
    assert len(glob.glob(str(tmp_path / "several/summaries/plugins/profile/*/*.xplane.pb"))) == 1
    assert not glob.glob(str(tmp_path / "single/summaries/plugins/profile/*"))


@pytest.fixture(name="calls")
def _calls(monkeypatch):
    calls = []
    monkeypatch.setattr(tf.profiler.experimental, "start", lambda directory: calls.append("start"))
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: calls.append("stop"))
    return calls


def recorded(profile, calls, steps):
    found = []
    for step in steps:
        profile.before(step)
        if calls and calls[-1] == "start":
            found.append(step)
        profile.after(step)
    profile.close()
    return found


def test_the_steps_that_were_named_are_recorded(calls, tmp_path):
    assert recorded(Profile((3, 5), str(tmp_path)), calls, range(1, 9)) == [3, 4, 5]
    assert calls == ["start", "stop"]


def test_a_run_that_goes_on_within_them_or_ends_records_what_it_has(calls, tmp_path):
    assert recorded(Profile((3, 9), str(tmp_path)), calls, range(5, 8)) == [5, 6, 7]
    assert calls == ["start", "stop"]


def test_without_steps_nothing_is_recorded(calls, tmp_path):
    profile = Profile(None, str(tmp_path))
    assert recorded(profile, calls, range(1, 4)) == []
    assert profile.bounds() == ()
