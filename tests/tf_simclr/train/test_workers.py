"""Two worker processes that share a run over the loopback; one is killed, and both are started again."""

import contextlib
import itertools
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

import run
from export.stage import load_stage
from export.start import open_start
from flags.parse import parse
from tests.survival.children import tensors
from tests.tf_simclr.train.worker import noting_rows
from tests.training import assert_close, save_distinct_images, values_of, well_conditioned
from tf_simclr.config import ConfigError, ScaleConfig
from tf_simclr.data.open_source import open_source
from tf_simclr.errors import WorkerLostError
from tf_simclr.train import execute
from tf_simclr.train.strategy import choose_strategy
from tf_simclr.train.workers import agreement, own_directory, require_same_step

ROOT = pathlib.Path(__file__).parents[3]
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


DATA_SERVICE = """
import sys
import tensorflow as tf
port, service = int(sys.argv[1]), tf.data.experimental.service
dispatcher = service.DispatchServer(service.DispatcherConfig(port=port))
config = service.WorkerConfig(dispatcher_address=f"localhost:{port}")
workers = [service.WorkerServer(config) for _ in range(2)]
dispatcher.join()
"""


@pytest.fixture
def data_service():
    """Flag of a tf.data service, in a process of its own: a dispatcher with two workers."""
    (port,) = free_ports(1)
    process = subprocess.Popen([sys.executable, "-c", DATA_SERVICE, str(port)])
    yield f"--data_service=grpc://localhost:{port}"
    kill_all([process])


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


@pytest.mark.parametrize("text", ["", "{", '{"cluster": {"worker": ["a:1", "b:1"]}}', '{"cluster": 3}'])
def test_multi_worker_says_what_tf_config_must_be(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ConfigError, match=r'TF_CONFIG, which .*"task": \{"type": "worker", "index": 0\}'):
        choose_strategy(ScaleConfig(strategy="multi_worker"))


def test_a_tpu_that_is_not_there_is_said_in_one_sentence():
    with pytest.raises(ConfigError, match=r"--strategy=tpu found no TPU \(.*\)\. On a TPU VM leave"):
        choose_strategy(ScaleConfig(strategy="tpu"))


def test_auto_on_one_cpu_is_one_device_and_mirrored_takes_all():
    assert choose_strategy(ScaleConfig()).num_replicas_in_sync == 1
    everywhere = choose_strategy(ScaleConfig(strategy="mirrored"))
    assert everywhere.num_replicas_in_sync == len(tf.config.list_logical_devices("CPU")) > 1


def test_one_process_writes_where_it_is_told_and_agrees_with_itself(tmp_path):
    strategy = tf.distribute.get_strategy()
    assert own_directory(str(tmp_path), strategy) == str(tmp_path)
    assert agreement(strategy)(True) and not agreement(strategy)(False)
    require_same_step(strategy, 7)


class NotTheChief:
    """Strategy of a second worker, alone."""

    num_replicas_in_sync = 1
    extended = type("Extended", (), {"should_checkpoint": False})


def test_another_worker_begins_from_a_copy_and_leaves_the_original_alone(tmp_path):
    (tmp_path / "checkpoints" / "5").mkdir(parents=True)
    (tmp_path / "checkpoints" / "5" / "state").write_text("weights")
    (tmp_path / "checkpoints" / ".writing-6").mkdir()
    (tmp_path / "config.json").write_text("{}")
    own = pathlib.Path(own_directory(str(tmp_path), NotTheChief()))
    assert own != tmp_path
    assert (own / "checkpoints" / "5" / "state").read_text() == "weights"
    assert sorted(path.name for path in own.iterdir()) == ["checkpoints", "config.json"]
    assert [path.name for path in (own / "checkpoints").iterdir()] == ["5"]
    assert list(pathlib.Path(own_directory(str(tmp_path), NotTheChief(), overwrite=True)).iterdir()) == []
