"""The first signal asks, the second ends the process at once."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tf_simclr.errors import Stopped
from tf_simclr.train.stop import StopRequest

BUSY = """
import ctypes, sys
from tf_simclr.train.stop import StopRequest
with StopRequest().listening() as stop:
    print("ready", flush=True)
    ctypes.CDLL(None).usleep.argtypes = [ctypes.c_uint]
    for _ in range(60):  # The main thread is outside of Python for a second each time.
        ctypes.CDLL(None).usleep(999_999)
"""


def wait_for(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_a_request(number):
    before = signal.getsignal(number)
    with StopRequest().listening() as stop:
        assert not stop.is_made
        stop.raise_if_made()
        os.kill(os.getpid(), number)
        wait_for(lambda: stop.is_made)
    assert signal.getsignal(number) is before
    with pytest.raises(Stopped, match=rf"Stopped by {number.name}\. Everything so far is saved; start the"):
        stop.raise_if_made()
    assert Stopped.exit_code == 75


def test_watched_items_end_with_the_request():
    stop = StopRequest()
    seen = []
    with pytest.raises(Stopped):
        for item in stop.watched(range(5)):
            seen.append(item)
            if item == 2:
                stop.signal = signal.SIGTERM
    assert seen == [0, 1, 2]


def test_the_second_signal_ends_the_process_at_once_though_it_is_busy():
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert "finishing the step" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 128 + signal.SIGTERM
