"""One process at a time in a run directory."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tf_simclr.errors import InUseError
from tf_simclr.train.lock import LOCK_FILE, Lock

HOLDER = """
import sys, time
from tf_simclr.train.lock import Lock
lock = Lock(sys.argv[1])
lock.take()
print("taken", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of ``tmp_path``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "taken\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_refused_with_host_and_process_id_and_a_killed_one_is_taken_over(
    holder, tmp_path
):
    expected = rf"is in use by process {holder.pid} on host {socket.gethostname()}\. Wait for it or stop it"
    with pytest.raises(InUseError, match=expected):
        Lock(str(tmp_path)).take()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK_FILE).exists()
    lock = Lock(str(tmp_path))
    lock.take()
    assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    lock.release()


def test_a_released_lock_leaves_nothing_and_can_be_taken_again(tmp_path):
    lock = Lock(str(tmp_path / "run"))
    for _ in range(2):
        lock.take()
        lock.release()
    assert os.listdir(tmp_path / "run") == []


def test_of_many_at_once_one_gets_it(tmp_path):
    """Each child holds the lock for a while and checks that no other does."""
    busy = tmp_path / "busy"

    def child():
        for _ in range(20):
            lock = Lock(str(tmp_path / "run"))
            try:
                lock.take()
            except InUseError:
                time.sleep(0.001)
                continue
            os.close(os.open(busy, os.O_CREAT | os.O_EXCL))
            time.sleep(0.001)
            busy.unlink()
            lock.release()

    children = []
    for _ in range(4):
        process = os.fork()
        if not process:
            status = 1
            try:
                child()
                status = 0
            finally:
                os._exit(status)
        children.append(process)
    assert [os.waitpid(process, 0)[1] for process in children] == [0] * 4


def test_a_lock_of_unreadable_content_is_taken_over(tmp_path):
    (tmp_path / LOCK_FILE).write_text("{half")
    lock = Lock(str(tmp_path))
    lock.take()
    lock.release()
