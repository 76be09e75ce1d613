"""Batches that come in any order, or not at all."""

import threading

import numpy as np
import pytest
import tensorflow as tf

import run
from flags.parse import parse
from tf_simclr.data import in_order as module
from tf_simclr.data.in_order import explained, in_order, most_waiting
from tf_simclr.errors import WorkerLostError
from tf_simclr.train import loop

BATCH_BYTES = 8  # of the batches below: one number


@pytest.fixture
def pauses(monkeypatch):
    """The seconds that streams pause, at once."""
    found = []
    monkeypatch.setattr("time.sleep", found.append)
    return found


def numbered(numbers):
    """A service that gives batches in this order; batch k is the number k."""
    return tf.data.Dataset.from_tensor_slices(np.array(numbers, np.int64)).map(
        lambda number: (number, number)
    )


def arriving(numbers):
    with explained():
        return [int(batch) for batch in in_order(numbered(numbers))]


def test_a_batch_that_a_slow_worker_has_is_waited_for(pauses):
    assert arriving([*range(1, 101), 0, 102, 101]) == list(range(103))
    assert sum(pauses) == pytest.approx((100 - 62) * 60 / 62)


def test_a_batch_that_does_not_come_is_named_after_a_minute(pauses):
    with pytest.raises(
        WorkerLostError, match=r"lost batch 2, .*: one of its workers ended\. Start .* again;"
    ):
        arriving([0, 1, *range(3, 200)])
    assert sum(pauses) == pytest.approx(60)


def test_fewer_batches_wait_where_memory_holds_fewer(pauses, monkeypatch):
    monkeypatch.setattr(module, "free_memory", lambda: 4 * 20 * BATCH_BYTES)
    with pytest.raises(WorkerLostError, match="for which 20 others have waited"):
        arriving(range(1, 200))
    assert sum(pauses) == pytest.approx(60)


@pytest.mark.parametrize(
    ("free", "most"), [(0, 8), (4 * 7 * 308, 8), (4 * 30 * 308, 30), (4 * 500 * 308, 124)]
)
def test_batches_that_wait_take_a_quarter_of_the_free_memory(free, most, monkeypatch):
    monkeypatch.setattr(module, "free_memory", lambda: free)
    views = {"view_1": tf.zeros([10, 5, 3], tf.uint8), "view_2": tf.zeros([10, 5, 3], tf.uint8)}
    assert most_waiting({**views, "label": tf.zeros([1], tf.int64)}) == most


def silent_after(count):
    """A service that gives ``count`` batches and then nothing, until the event is set."""
    event = threading.Event()

    def batches():
        yield from range(count)
        event.wait()

    stream = tf.data.Dataset.from_generator(batches, output_signature=tf.TensorSpec([], tf.int64))
    return stream.map(lambda number: (number, number)), event


def test_a_service_that_falls_silent_ends_the_run_and_says_so_before(monkeypatch, caplog):
    monkeypatch.setattr(module, "NOTICE", 1)
    monkeypatch.setattr(module, "SILENCE", 2)
    stream, event = silent_after(3)
    batches = iter(in_order(stream))
    assert [int(next(batches)) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(WorkerLostError, match=r"given no batch for 2 s: its dispatcher or all"), explained():
        next(batches)
    event.set()
    assert [line for line in caplog.messages if "given no batch for" in line] == [
        f"The tf.data service has given no batch for {seconds} s. Do its dispatcher and a worker run?"
        for seconds in (1, 2)
    ]


def test_the_thread_ends_with_its_stream():
    before = set(threading.enumerate())
    batches = iter(in_order(numbered(range(1000))))
    next(batches)
    readers = set(threading.enumerate()) - before
    assert readers
    del batches
    for reader in readers:
        reader.join(timeout=10)
        assert not reader.is_alive()


@pytest.mark.parametrize(
    "said",
    [
        "Failed to get split: Iteration id 2000 not found",
        "Failed to get tasks: Unknown iteration client id 3000",
    ],
)
def test_a_dispatcher_that_was_started_anew_is_a_reason_to_start_again(said):
    error = tf.errors.NotFoundError(None, None, "{{function_node __wrapped__}} " + said + " [Op:Next] name: ")
    found = module._reason(error)
    assert isinstance(found, WorkerLostError) and f"ended ({said}). Start the same command again" in str(
        found
    )


@pytest.mark.slow
@pytest.mark.parametrize("steps_per_loop", [1, 2])
def test_a_run_whose_service_loses_a_batch_ends_with_the_status_to_start_it_again(
    steps_per_loop, tmp_path, monkeypatch, pauses
):
    def losing(batches, address, **place):
        made = batches(**place).take(200).enumerate().filter(lambda number, batch: number != 3)
        return in_order(made)

    monkeypatch.setattr(loop, "through_service", losing)
    flags = ["--mode=pretrain", "--resnet_depth=18", "--width_multiplier=0.125", "--train_batch_size=16"]
    with pytest.raises(WorkerLostError, match="lost batch 3") as error:
        run.run(parse([*flags, f"--steps_per_loop={steps_per_loop}", f"--model_dir={tmp_path}"]))
    assert error.value.exit_code == 75
