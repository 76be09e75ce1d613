"""When to log, save, evaluate and stop."""

import pytest

from tf_simclr.train.plan import TrainPlan
from tf_simclr.train.rhythm import Due, Rhythm
from tf_simclr.train.stop import StopRequest


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def plan(**changes):
    values = {
        "num_examples": 100,
        "batch_size": 10,
        "total_steps": 12,
        "warmup_steps": 0,
        "peak_learning_rate": 0.1,
        "checkpoint_steps": 5,
        "eval_steps": 4,
        "log_steps": 3,
    }
    return TrainPlan(**(values | changes))


def steps_with(what, rhythm):
    return [step for step in range(1, 13) if getattr(rhythm.after(step), what)]


@pytest.mark.parametrize(
    ("what", "steps"),
    [("log", [3, 6, 9, 12]), ("save", [5, 10, 12]), ("evaluate", [4, 8]), ("stop", [])],
)
def test_the_plan_decides_and_the_last_step_is_logged_and_saved(what, steps):
    assert steps_with(what, Rhythm(plan(), StopRequest(), minutes=0)) == steps


def test_no_evaluation_steps_mean_no_evaluation():
    assert steps_with("evaluate", Rhythm(plan(eval_steps=0), StopRequest(), minutes=0)) == []


def test_minutes_since_the_last_save_save_too():
    clock = Clock()
    rhythm = Rhythm(plan(checkpoint_steps=5, total_steps=99), StopRequest(), minutes=2, clock=clock)
    saved = []
    for step in range(1, 13):
        clock.now += 50
        if rhythm.after(step).save:
            saved.append(step)
    assert saved == [3, 5, 8, 10]  # 150 s; by steps; 150 s after that; by steps


def test_a_signal_saves_and_stops_after_the_step():
    stop = StopRequest()
    rhythm = Rhythm(plan(), stop, minutes=0)
    stop.signal = 15
    assert rhythm.after(1) == Due(log=False, save=True, evaluate=False, stop=True)


def test_what_other_workers_say_counts():
    """Every step asks whether a signal came, then whether it is time."""
    answers = iter([False, False, False, True, True, False])
    rhythm = Rhythm(plan(), StopRequest(), minutes=0, agree=lambda own: next(answers))
    found = [rhythm.after(step) for step in (1, 2, 3)]
    assert [(due.save, due.stop) for due in found] == [(False, False), (True, False), (True, True)]
