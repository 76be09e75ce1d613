"""Versions that appear, disappear, are damaged or dangerous, and who still uses the old one."""

import shutil
import threading

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from export.servable.warmup import WARMUP_FILE
from export.server.model import Model
from export.server.refusal import Refusal
from export.server.serve import _servable, serve
from flags.parse import parse
from tests.export.server.running_server import wait_for
from tf_simclr.config import ConfigError


class Echo(tf.Module):
    """A servable that is loaded in no time: length of each image; not ours, so without a manifest."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def length(self, image_bytes):
        return {"length": tf.strings.length(image_bytes)}


class Thief(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def steal(self, image_bytes):
        return {"stolen": tf.map_fn(tf.io.read_file, image_bytes)}


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    path = tmp_path_factory.mktemp("echo") / "saved"
    module = Echo()
    tf.saved_model.save(module, str(path), signatures=module.length)
    return path


@pytest.fixture
def directory(echo, tmp_path):
    """A servable with version 1."""
    shutil.copytree(echo, tmp_path / "m" / "1")
    return tmp_path / "m"


@pytest.fixture
def model(directory):
    model = Model("m", str(directory))
    model.refresh()
    return model


def states(model):
    return {number: state.state for number, state in model.states().items()}


def add_warmup(path, signature, count=1):
    file = path / WARMUP_FILE
    file.parent.mkdir()
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature
    log.predict_log.request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([b"a"]))
    with tf.io.TFRecordWriter(str(file)) as writer:
        for _ in range(count):
            writer.write(log.SerializeToString())


def test_the_highest_number_is_served_and_other_names_are_not(echo, directory):
    for name in ("2", "10", "latest", ".writing-11", "12"):
        (directory / name).mkdir() if name == "12" else shutil.copytree(echo, directory / name)
    model = Model("m", str(directory))
    model.refresh()
    with model.use() as version:
        assert version.number == 10
        assert version.run("serving_default", {"image_bytes": [b"abc"]})["length"].tolist() == [3]
    assert states(model) == {10: "AVAILABLE"}


def test_before_the_first_version_is_loaded_requests_are_told_to_wait(tmp_path):
    model = Model("m", str(tmp_path / "nothing"))
    model.refresh()
    with pytest.raises(Refusal, match="is being loaded") as caught, model.use():
        pass
    assert caught.value.code == "UNAVAILABLE" and model.number is None


def test_an_old_version_stays_until_its_last_user_is_done(echo, directory, model):
    with model.use() as old:
        shutil.copytree(echo, directory / "2")
        loading = threading.Thread(target=model.refresh)
        loading.start()
        assert wait_for(lambda: states(model) == {2: "AVAILABLE", 1: "UNLOADING"})
        assert old.run("serving_default", {"image_bytes": [b"ab"]})["length"].tolist() == [2]
        with model.use() as new:
            assert new.number == 2
        with pytest.raises(Refusal, match=r"Specific\(m, 1\)"), model.use(1):
            pass
    loading.join(60)
    assert states(model) == {2: "AVAILABLE", 1: "END"}


def test_the_version_before_comes_back_when_the_newest_is_removed(echo, directory, model):
    shutil.copytree(echo, directory / "2")
    model.refresh()
    shutil.rmtree(directory / "2")
    model.refresh()
    assert states(model) == {2: "END", 1: "AVAILABLE"}


def test_the_last_version_stays_when_its_folder_is_gone(directory, model):
    shutil.rmtree(directory)
    model.refresh()
    assert model.number == 1


def test_a_version_that_is_still_being_copied_waits(servable, tmp_path):
    target = tmp_path / "m" / "1"
    shutil.copytree(servable.path, target)
    whole = (target / "batching_params.pbtxt").read_bytes()
    (target / "batching_params.pbtxt").write_bytes(whole[:-1])
    model = Model("m", str(tmp_path / "m"))
    model.refresh()
    assert states(model) == {}


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / "saved_model.pb").write_bytes(b"no program"),
        lambda path: add_warmup(path, "no_such_signature"),
        lambda path: add_warmup(path, "serving_default", count=1001),
        lambda path: tf.saved_model.save(Thief(), str(path), signatures=Thief().steal),
    ],
    ids=["damaged", "warm-up fails", "1001 warm-up requests", "reads files"],
)
def test_a_version_that_cannot_be_loaded_leaves_the_one_before(echo, directory, model, damage, caplog):
    shutil.copytree(echo, directory / "2")
    damage(directory / "2")
    for _ in range(2):
        model.refresh()
        assert states(model) == {2: "END", 1: "AVAILABLE"} and model.number == 1
    assert model.states()[2].error and str(directory) not in model.states()[2].error
    loads = [record for record in caplog.records if "Version 2" in record.getMessage()]
    assert len(loads) == 1  # It isn't tried again at each look.


def test_a_version_that_reads_files_is_loaded_if_it_is_trusted(tmp_path):
    module = Thief()
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=module.steal)
    model = Model("m", str(tmp_path), trusted=True)
    model.refresh()
    assert model.number == 1


def test_a_servable_that_cannot_be_loaded_ends_the_server(directory):
    (directory / "1" / "saved_model.pb").write_bytes(b"no program")
    config = parse(["--mode=serve", f"--checkpoint={directory}", "--grpc_port=0", "--rest_port=0"])
    with pytest.raises(ConfigError, match=r"No version in .* can be loaded"):
        serve(config)


@pytest.mark.parametrize("flag", ["grpc_port", "rest_port"])
def test_a_port_that_is_taken_is_named(directory, flag, tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = {"grpc_port": 0, "rest_port": 0, flag: taken.getsockname()[1]}
        flags = [f"--{name}={port}" for name, port in ports.items()]
        with pytest.raises(ConfigError, match=f"--{flag}=.* cannot be used on 127.0.0.1"):
            serve(parse(["--mode=serve", f"--checkpoint={directory}", *flags]))


@pytest.mark.parametrize("flags, name", [([], "m"), (["--export_name=other"], "other")])
def test_the_models_name_is_its_folders_unless_it_is_given(directory, flags, name):
    with _servable(parse(["--mode=serve", f"--checkpoint={directory}", *flags])) as found:
        assert found == (name, str(directory))


def test_a_run_is_exported_for_the_time_being(written, monkeypatch):
    calls = []
    monkeypatch.setattr("export.server.serve.write_servable", lambda *call: calls.append(call))
    stage = written("finetune_from_0").path
    with _servable(parse(["--mode=serve", f"--checkpoint={stage}"])) as (name, directory):
        ((source, root, _),) = calls
        assert source == stage and directory == f"{root}/{name}" and name == "simclr"
        assert tf.io.gfile.isdir(root)
    assert not tf.io.gfile.exists(root)
