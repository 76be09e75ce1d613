"""Two worker processes that share a run over the loopback; one is killed, and both are started again."""

import contextlib
import itertools
import json
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import time
import unittest.mock

import numpy as np
import pytest
import tensorflow as tf

import run
from export.stage import load_stage
from export.start import open_start
from flags.parse import parse
from tests.documents import ROOT, blocks, text_of
from tests.survival.children import tensors
from tests.tf_simclr.train.worker import noting_rows
from tests.training import assert_close, save_distinct_images, values_of, well_conditioned
from tf_simclr.data.open_source import open_source
from tf_simclr.errors import WorkerLostError
from tf_simclr.files.manifest import seal
from tf_simclr.train import execute
from tf_simclr.train.check_data import read_checks
from tf_simclr.train.run_directory import RunDirectory
from tf_simclr.train.workers import agreement, own_directory, require_same_step

STEPS = 20
WORKER = "tests.tf_simclr.train.worker"
PATIENCE = 400  # seconds; two processes start TensorFlow and trace on whatever machine this is


@pytest.fixture(scope="module", autouse=True)
def small_network():
    with well_conditioned():
        yield


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """Settings of a small run with a memory, four steps an epoch."""
    path = tmp_path_factory.mktemp("data") / "small.npz"
    save_distinct_images(path)
    return [
        "--mode=pretrain",
        f"--dataset=npz:{path}",
        "--resnet_depth=18",
        "--width_multiplier=0.125",
        "--num_proj_layers=1",
        "--train_batch_size=16",
        f"--train_steps={STEPS}",
        "--log_steps=1",
        "--learning_rate=0.02",
        "--temperature=1",
        "--memory_size=64",
        "--nouse_blur",
    ]


@pytest.fixture(scope="module")
def alone(flags, tmp_path_factory):
    """The run of one process."""
    directory = tmp_path_factory.mktemp("runs") / "alone"
    with noting_rows(rows_file(directory, 0)):
        run.run(parse([*flags, f"--model_dir={directory}"]))
    return directory


@pytest.fixture(scope="module")
def initial(flags):
    """Values with which every run begins."""
    config = parse(flags)
    execute.set_seeds(config)
    return values_of(execute._build(config, open_source(config.data), None).network)


def rows_file(directory, worker):
    return f"{directory}-{worker}.rows"


def free_ports(count):
    with contextlib.ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]


def start_workers(flags, directory):
    """Starts both workers; returns their processes."""
    workers = [f"localhost:{port}" for port in free_ports(2)]
    processes = []
    for index in range(2):
        cluster = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        with open(log_of(directory, index), "ab") as output:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", WORKER, rows_file(directory, index), *flags],
                    cwd=ROOT,
                    env=os.environ | {"TF_CONFIG": json.dumps(cluster)},
                    stdout=output,
                    stderr=output,
                )
            )
    return processes


def kill_all(processes):
    for process in processes:
        process.kill()
        process.wait()


def log_of(directory, worker):
    return pathlib.Path(f"{directory}-{worker}.log")


def kill_second_after_a_checkpoint(processes, directory):
    deadline = time.monotonic() + PATIENCE
    while not list((directory / "checkpoints").glob("[0-9]*")):
        assert time.monotonic() < deadline and all(process.poll() is None for process in processes)
        time.sleep(0.02)
    processes[1].kill()
    processes[1].wait()
    assert not (directory / "results.json").exists()


def killed_and_completed(flags, directory):
    """Runs two workers into the death of one, which the other notices, then to the end."""
    flags = [*flags, f"--model_dir={directory}"]
    processes = start_workers(flags, directory)
    try:
        kill_second_after_a_checkpoint(processes, directory)
        assert processes[0].wait(timeout=PATIENCE) == WorkerLostError.exit_code == 75
    finally:
        kill_all(processes)
    assert "error: Another worker of this run is gone or does not answer." in log_of(directory, 0).read_text()
    complete(flags, directory)


def complete(flags, directory):
    """Runs two workers to the end."""
    processes = start_workers(flags, directory)
    try:
        codes = [process.wait(timeout=PATIENCE) for process in processes]
    finally:
        kill_all(processes)
    assert codes == [0, 0], log_of(directory, 0).read_text()[-3000:]


def rows_by_step(directory, worker):
    """Rows of a worker's batches by step, as a list of those of equal steps."""
    found = {}
    for line in pathlib.Path(rows_file(directory, worker)).read_text().splitlines():
        step, *rows = map(int, line.split())
        found.setdefault(step, []).append(rows)
    return found


def assert_same_rows(found, wanted):
    """Both workers take the rows of the one process, together, also where a step is made again."""
    first, second = (rows_by_step(found, worker) for worker in range(2))
    for step, (rows,) in rows_by_step(wanted, 0).items():
        for own, others in itertools.product(first[step], second[step]):
            assert sorted([*own, *others]) == sorted(rows), step


def losses(directory):
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["train/total_loss"]) for line in lines if "train/total_loss" in line]


def assert_same_run(found, wanted, initial):
    steps, values = zip(*losses(found), strict=True)
    assert list(steps) == list(range(1, STEPS + 1))  # Nothing is repeated, nothing left out.
    np.testing.assert_allclose(values, [value for _, value in losses(wanted)], rtol=1e-4)
    assert_same_rows(found, wanted)
    evaluations = [json.loads((path / "results.json").read_text())["eval"] for path in (found, wanted)]
    assert evaluations[0] == pytest.approx(evaluations[1], rel=1e-3)
    moved, wanted_moved = (kernel_movements(path, initial) for path in (found, wanted))
    assert_close(moved, wanted_moved, 1e-3)
    assert_close(*map(optimizer_and_queue, (found, wanted)), 1e-3)


def kernel_movements(directory, initial):
    network = load_stage(open_start(str(directory), "checkpoint").path)[0]
    return {k: value - initial[k] for k, value in values_of(network).items() if k.endswith("kernel")}


def optimizer_and_queue(directory):
    """Of the last checkpoint: velocities, steps, rate, and keys, sorted, as workers take rows in turns."""
    values = tensors(directory / "checkpoints" / str(STEPS) / "state")
    found = {name: value for name, value in values.items() if name.startswith("optimizer/_")}
    (keys,) = (value for name, value in values.items() if name.startswith("queue/keys/"))
    return found | {"keys": keys[np.argsort(keys[:, 0])]}


def documented_server(name, port, dispatcher):
    """The command of docs/scale.md that starts a "DispatchServer" or "WorkerServer", on the loopback."""
    (command,) = [block for block in blocks(text_of("docs/scale.md"), "bash") if name in block]
    own, others = ("5050", None) if name == "DispatchServer" else ("5051", "host1:5050")
    assert f"port={own}" in command and (others is None or others in command)
    command = command.replace(f"port={own}", f"port={port}").replace(f"host2:{own}", f"localhost:{port}")
    words = shlex.split(command.replace("host1:5050", f"localhost:{dispatcher}"))
    assert words[0] == "python"
    return [sys.executable, *words[1:]]


@pytest.fixture
def data_service():
    """Flag of a tf.data service as docs/scale.md starts it: a dispatcher and two workers, each a process."""
    dispatcher, *workers = free_ports(3)
    commands = [documented_server("DispatchServer", dispatcher, dispatcher)]
    commands += [documented_server("WorkerServer", port, dispatcher) for port in workers]
    processes = [subprocess.Popen(command) for command in commands]
    yield f"--data_service=grpc://localhost:{dispatcher}"
    kill_all(processes)


@pytest.mark.slow
def test_two_workers_of_which_one_is_killed_end_as_one_process(flags, alone, initial, tmp_path):
    killed_and_completed(flags, tmp_path / "two")
    assert_same_run(tmp_path / "two", alone, initial)


@pytest.mark.slow
def test_two_workers_go_on_with_the_next_example_of_a_data_service(
    flags, alone, initial, data_service, tmp_path
):
    killed_and_completed([*flags, data_service], tmp_path / "served")
    assert_same_run(tmp_path / "served", alone, initial)


@pytest.mark.slow
def test_two_workers_evaluate_as_one_process(tmp_path):
    for number in range(7):  # a number that two workers cannot share evenly
        image = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        path = tmp_path / "images" / "train" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        tf.io.write_file(str(path), tf.io.encode_png(image))
    data = [f"--dataset=folder:{tmp_path / 'images'}", "--eval_split=train", "--image_size=8"]
    network = ["--resnet_depth=18", "--width_multiplier=0.125", "--train_batch_size=4", "--train_steps=1"]
    run.run(parse([*data, *network, "--mode=supervised", f"--model_dir={tmp_path / 'start'}"]))
    flags = [*data, "--mode=eval", f"--checkpoint={tmp_path / 'start'}"]
    run.run(parse([*flags, f"--model_dir={tmp_path / 'alone'}"]))
    complete([*flags, f"--model_dir={tmp_path / 'two'}"], tmp_path / "two")
    found, wanted = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("two", "alone"))
    assert found["eval"] == pytest.approx(wanted["eval"], rel=1e-5) and found["eval"]["count"] == 7
    assert not (tmp_path / "two" / ".lock").exists()


def test_one_process_writes_where_it_is_told_and_agrees_with_itself(tmp_path):
    strategy = tf.distribute.get_strategy()
    assert own_directory(str(tmp_path), strategy) == str(tmp_path)
    assert agreement(strategy)(True) and not agreement(strategy)(False)
    require_same_step(strategy, 7)


LOST = tf.errors.UnavailableError(None, None, "Socket closed\nmore")


def chief_of_many():
    """Strategy of a chief whose only worker is the chief itself."""
    strategy = unittest.mock.Mock(spec=tf.distribute.MultiWorkerMirroredStrategy, num_replicas_in_sync=1)
    strategy.extended = unittest.mock.Mock(should_checkpoint=True)
    return strategy


def test_a_worker_that_is_lost_while_the_others_build_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "_open_stage", unittest.mock.Mock(side_effect=LOST))
    with pytest.raises(WorkerLostError, match=r"from the last checkpoint\. TensorFlow says: Socket closed$"):
        execute.train_stage(parse([f"--model_dir={tmp_path}"]), None, strategy=chief_of_many())


def test_a_worker_that_is_lost_while_the_others_save_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("export.stage.write_stage", unittest.mock.Mock(side_effect=LOST))
    finished = execute.FinishedStage(
        network=unittest.mock.Mock(),
        image_size=8,
        class_names=(),
        step=1,
        directory=RunDirectory(str(tmp_path)),
        strategy=chief_of_many(),
        results={},
    )
    with pytest.raises(WorkerLostError, match=r"TensorFlow says: Socket closed$"):
        run.save(parse([]), finished)


TERMINATED = """
import os, signal, time
from tf_simclr.config import ScaleConfig
from tf_simclr.train.strategy import choose_strategy
choose_strategy(ScaleConfig(strategy="multi_worker"))
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(5)
"""


@pytest.mark.slow
def test_a_worker_that_has_met_the_others_ends_by_sigterm():
    cluster = {
        "cluster": {"worker": [f"localhost:{free_ports(1)[0]}"]},
        "task": {"type": "worker", "index": 0},
    }
    environment = os.environ | {"TF_CONFIG": json.dumps(cluster)}
    command = [sys.executable, "-c", TERMINATED]
    found = subprocess.run(command, cwd=ROOT, env=environment, timeout=PATIENCE, check=False)
    assert found.returncode == -signal.SIGTERM


class NotTheChief:
    """Strategy of a second worker, alone."""

    num_replicas_in_sync = 1
    extended = type("Extended", (), {"should_checkpoint": False})


def write_checkpoint(folder, step):
    """Writes a checkpoint of one file, whole."""
    path = folder / "checkpoints" / str(step)
    path.mkdir(parents=True)
    (path / "state").write_text(f"weights of {step}")
    seal(str(path))
    return path


def test_another_worker_begins_from_a_copy_and_leaves_the_original_alone(tmp_path):
    for step in (2, 3, 4, 5):
        write_checkpoint(tmp_path, step)
    (write_checkpoint(tmp_path, 6) / "state").write_text("cut")
    (tmp_path / "checkpoints" / "best.json").write_text('{"step": 3, "top_1": 0.5}')
    (tmp_path / "checkpoints" / ".writing-7").mkdir()
    (tmp_path / "config.json").write_text("{}")
    checked = {"train": {"listing": "ab", "images": 2, "decoded_bytes": 9, "skipped": {}}}
    (tmp_path / "image_checks.json").write_text(json.dumps(checked))
    own = pathlib.Path(own_directory(str(tmp_path), NotTheChief()))
    assert own != tmp_path
    assert sorted(path.name for path in own.iterdir()) == ["checkpoints", "config.json", "image_checks.json"]
    assert read_checks(RunDirectory(str(own))).keys() == {"train"}  # No file is checked again.
    # The newest whole one, what is damaged after it, and the best.
    assert sorted(path.name for path in (own / "checkpoints").iterdir()) == ["3", "5", "6", "best.json"]
    assert (own / "checkpoints" / "5" / "state").read_text() == "weights of 5"
    assert list(pathlib.Path(own_directory(str(tmp_path), NotTheChief(), overwrite=True)).iterdir()) == []
