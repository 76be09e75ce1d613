"""A tf.data service with two workers gives the batches that this machine would make, in their order."""

import itertools
import socket

import numpy as np
import pytest
import tensorflow as tf

import run
from flags.parse import parse
from tf_simclr.config import ConfigError
from tf_simclr.data import service as service_module
from tf_simclr.data.cached import CachedSource
from tf_simclr.data.folder import FolderSource
from tf_simclr.data.in_order import explained
from tf_simclr.data.open_source import open_source
from tf_simclr.data.pipeline import distill_batches, labelled_batches, pretrain_batches
from tf_simclr.data.service import check_service, require_sendable, through_service
from tf_simclr.data.source import Source


@pytest.fixture(scope="module")
def servers():
    """A dispatcher with two workers."""
    data = tf.data.experimental.service
    dispatcher = data.DispatchServer()
    address = dispatcher.target.partition("://")[2]
    return dispatcher, [data.WorkerServer(data.WorkerConfig(dispatcher_address=address)) for _ in range(2)]


@pytest.fixture
def service(servers):
    """Address of the dispatcher."""
    return servers[0].target


def batches_of(kind):
    config = parse([])
    source = open_source(config.data)
    options = {"image_size": 8, "augment": config.augment, "seed": 3}
    if kind == "pretrain":
        return lambda **where: pretrain_batches(source, "train", **options, **where)
    return lambda **where: distill_batches(source, "train", labelled=np.arange(9), **options, **where)


@pytest.mark.parametrize("kind", ["pretrain", "distill"])
@pytest.mark.parametrize("start, shard", [(0, (0, 1)), (37, (1, 2))])
def test_the_stream_is_that_of_this_machine(service, kind, start, shard):
    place = {"batch_size": 5, "start": start, "shard": shard}
    here = through_service(batches_of(kind), None, **place)
    there = through_service(batches_of(kind), service, **place)
    assert there.element_spec == here.element_spec
    for found, wanted in itertools.islice(zip(there, here, strict=False), 12):
        for name, value in wanted.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_a_worker_that_does_not_see_the_images_is_said_in_a_sentence(service):
    def batches(*, batch_size, start, shard):
        missing = tf.data.Dataset.range(batch_size * shard[1]).map(lambda _: tf.io.read_file("/none/1.jpg"))
        return missing.batch(batch_size)

    said = r"cannot make a batch \(.*/none/1\.jpg; No such file.*must see the images under the same path\.$"
    with pytest.raises(ConfigError, match=said), explained():
        next(iter(through_service(batches, service, batch_size=2, start=0, shard=(0, 1))))


def test_the_address_of_a_worker_is_said_to_be_wrong(servers):
    address = f"grpc://{servers[1][0]._address}"
    with pytest.raises(ConfigError, match=rf"^--data_service={address} does not answer as a dispatcher"):
        through_service(batches_of("pretrain"), address, batch_size=5, start=0, shard=(0, 1))


@pytest.mark.parametrize("make", [CachedSource, lambda source: source], ids=["cached", "array"])
def test_pixels_in_memory_are_read_once_though_a_stream_for_the_service_is_the_first_to_ask(service, make):
    config = parse([])
    source = make(open_source(config.data))

    def batches(**place):
        return labelled_batches(source, "train", image_size=8, augment=config.augment, seed=3, **place)

    place = {"batch_size": 5, "start": 0, "shard": (0, 1)}
    first, second, here = (
        next(iter(through_service(batches, address, **place)))["image"]
        for address in (service, service, None)
    )
    np.testing.assert_array_equal(first, here)
    np.testing.assert_array_equal(second, here)


def test_more_than_a_gigabyte_of_pixels_is_not_sent():
    require_sendable("npz:a.npz", 10**9)
    said = (
        r"--dataset=npz:a\.npz .* send 2\.20 GB of pixels to every worker; at most 1 GB can be\. Use folder:"
    )
    with pytest.raises(ConfigError, match=said):
        require_sendable("npz:a.npz", 2_200_000_000)


def test_pixels_in_memory_count_as_sent_and_files_do_not(image_folder):
    folder = FolderSource(str(image_folder))
    assert folder.sent_bytes("train") == 0
    held = sum(example["image"].size for example in folder.examples("train").as_numpy_iterator())
    assert CachedSource(folder).sent_bytes("train") == held
    assert open_source(parse([]).data).sent_bytes("train") == 1437 * 8 * 8  # grey


def test_a_run_with_too_many_pixels_is_refused_before_it_begins(monkeypatch, tmp_path):
    monkeypatch.setattr(service_module, "MAX_SENT", 1437 * 8 * 8 - 1)
    monkeypatch.setattr(service_module, "_require_listener", lambda address: None)
    config = parse(["--mode=pretrain", "--data_service=grpc://h:1", f"--model_dir={tmp_path / 'run'}"])
    # What follows the check would wait for a dispatcher without an end.
    monkeypatch.setattr("tf_simclr.train.execute.plan_training", lambda *_, **__: pytest.fail("not refused"))
    with pytest.raises(ConfigError, match=r"--dataset=digits .* send 0\.00 GB"):
        run.run(config)
    assert not (tmp_path / "run").exists()


def test_nothing_is_cached_by_itself_for_a_service():
    flags = ["--data_service=grpc://h:1", "--cache_dataset=auto"]
    with pytest.raises(ConfigError, match=r"--cache_dataset=auto keeps images .* Leave --cache_dataset out;"):
        parse(["--mode=pretrain", *flags])
    parse(["--mode=pretrain", "--cache_dataset=auto"])
    parse(["--mode=eval", "--checkpoint=there", *flags])  # reads here, and caches nothing


def test_data_that_is_read_from_its_beginning_is_refused():
    class Stream(Source):
        name = "imagenet2012"
        splits = num_examples = ids = labels = fingerprint = examples = shuffled = None

    with pytest.raises(ConfigError, match=r"--dataset=imagenet2012 can only be read .* Add --cache_dataset"):
        check_service(Stream(), "train", "grpc://host:1")
    check_service(Stream(), "train", None)


@pytest.fixture
def port():
    """A port of the loopback at which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


def test_a_dispatcher_that_does_not_answer_is_named(port, monkeypatch, caplog):
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    address = f"grpc://127.0.0.1:{port}"
    with (
        caplog.at_level("INFO", logger="absl"),
        pytest.raises(ConfigError, match=rf"{address} does not answer: .* on 127\.0\.0\.1 with port={port},"),
    ):
        check_service(open_source(parse([]).data), "train", address)
    assert pauses == [10, 10, 10]
    assert "Waiting 10 s for its dispatcher; tries left: 3." in caplog.messages[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_dispatcher_that_is_started_a_little_later_is_waited_for(host, monkeypatch):
    dispatcher = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    dispatcher.bind((host.strip("[]"), 0))
    monkeypatch.setattr("time.sleep", lambda seconds: dispatcher.listen())
    with dispatcher:
        check_service(open_source(parse([]).data), "train", f"grpc://{host}:{dispatcher.getsockname()[1]}")


@pytest.mark.parametrize("address", ["grpc://localhost:70000", f"grpc://{'h' * 70}:1"])
def test_an_address_that_cannot_be_is_no_traceback(address, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(ConfigError, match=f"--data_service={address} does not answer"):
        check_service(open_source(parse([]).data), "train", address)
