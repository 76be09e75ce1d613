"""Requests run, wait or are refused."""

import threading

import pytest

from export.server.gate import Gate
from export.server.refusal import Refusal

SECONDS = 20


class Occupant(threading.Thread):
    """Goes through a gate and stays inside until it is let go."""

    def __init__(self, gate):
        super().__init__(daemon=True)
        self.gate, self.inside, self.release, self.error = gate, threading.Event(), threading.Event(), None
        self.start()

    def run(self):
        try:
            with self.gate.turn(SECONDS):
                self.inside.set()
                self.release.wait(SECONDS)
        except Refusal as refusal:
            self.error = refusal

    def let_go(self):
        self.release.set()
        self.join(SECONDS)


def test_the_next_one_runs_when_a_turn_ends():
    gate = Gate(running=1, waiting=1)
    first = Occupant(gate)
    assert first.inside.wait(SECONDS)
    second = Occupant(gate)
    assert not second.inside.wait(0.1)
    first.let_go()
    assert second.inside.wait(SECONDS)
    second.let_go()


def test_who_finds_the_queue_full_is_refused_at_once():
    gate = Gate(running=1, waiting=0)
    first = Occupant(gate)
    assert first.inside.wait(SECONDS)
    with pytest.raises(Refusal, match="queue is full: 1 requests") as caught, gate.turn(SECONDS):
        pass
    assert caught.value.code == "UNAVAILABLE"
    first.let_go()
    with gate.turn(SECONDS):
        pass


def test_a_deadline_ends_the_waiting_and_makes_room():
    gate = Gate(running=1, waiting=1)
    first = Occupant(gate)
    assert first.inside.wait(SECONDS)
    for _ in range(2):
        with pytest.raises(Refusal) as caught, gate.turn(0.01):
            pass
        assert caught.value.code == "DEADLINE_EXCEEDED"
    first.let_go()


@pytest.mark.parametrize("seconds", [None, 1e300])
def test_no_deadline_is_no_problem(seconds):
    with Gate(running=1, waiting=0).turn(seconds):
        pass


def test_an_error_inside_gives_the_turn_back():
    gate = Gate(running=1, waiting=0)
    with pytest.raises(ZeroDivisionError), gate.turn():
        raise ZeroDivisionError
    with gate.turn(0):
        pass


def test_closing_waits_for_those_inside_and_refuses_others():
    gate = Gate(running=1, waiting=1)
    first = Occupant(gate)
    assert first.inside.wait(SECONDS)
    assert not gate.close(0.05)
    with pytest.raises(Refusal, match="stopping"), gate.turn():
        pass
    threading.Timer(0.1, first.release.set).start()
    assert gate.close(SECONDS)
