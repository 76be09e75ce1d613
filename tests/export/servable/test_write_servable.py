"""A servable on disk: layout, versions, warm-up, configuration, and the loaders that will meet it."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.python.saved_model import loader_impl
from tensorflow_serving.config import model_server_config_pb2

from export.locate import locate_stage, whole_servables
from export.servable.warmup import read_warmup
from export.servable.write import write_servable
from export.stage import load_stage
from tests.export import encoded_images
from tests.export.conftest import SERVABLE
from tf_simclr.config import ServableConfig

SIZES = (1, 2, 4)
SIGNATURES = {
    "serving_default": ("image_bytes", {"class_indices", "class_names", "probabilities", "valid"}),
    "images": ("images", {"class_indices", "class_names", "probabilities", "valid"}),
    "embed": ("image_bytes", {"features", "valid"}),
    "logits": ("image_bytes", {"logits", "valid"}),
}


@pytest.fixture
def built_once(servable, monkeypatch):
    """Has write_servable save the signatures of ``servable`` again instead of building them."""
    monkeypatch.setattr("export.servable.write.build_servable", lambda *arguments: servable.signatures)


@pytest.fixture(scope="module")
def loaded(servable):
    return tf.saved_model.load(servable.path)


def graph_operations(path):
    saved_model = loader_impl.parse_saved_model(path)
    graph = saved_model.meta_graphs[0].graph_def
    bodies = (graph.node, *(function.node_def for function in graph.library.function))
    return {node.op for nodes in bodies for node in nodes}


def test_the_version_holds_what_tf_serving_looks_for(servable):
    assert servable.path == str(servable.directory / "tiny" / "1")
    assert {
        "saved_model.pb",
        "variables",
        "assets.extra",
        "batching_params.pbtxt",
        "manifest.json",
    } <= set(os.listdir(servable.path))
    extra = pathlib.Path(servable.path, "assets.extra")
    assert (extra / "labels.txt").read_text() == "cat\ndog\nowl\n"
    assert json.loads((extra / "servable.json").read_text())["top_k"] == 2


def test_every_signature_has_an_unknown_batch_in_front(loaded):
    assert set(loaded.signatures) == set(SIGNATURES)
    for name, (input_name, outputs) in SIGNATURES.items():
        signature = loaded.signatures[name]
        assert set(signature.structured_input_signature[1]) == {input_name}
        assert set(signature.structured_outputs) == outputs
        specs = [*signature.structured_input_signature[1].values(), *signature.structured_outputs.values()]
        assert all(spec.shape.rank >= 1 and spec.shape[0] is None for spec in specs)


def test_answers_are_those_of_the_live_network(loaded, expected):
    pixels = np.stack([encoded_images.picture(seed, 16, 16) for seed in range(5)])
    wanted = expected(pixels.astype(np.float32) / 255)
    encoded = tf.constant([encoded_images.encode(image, "PNG") for image in pixels])
    answers = {
        name: loaded.signatures[name](image_bytes=encoded) for name in ("serving_default", "embed", "logits")
    }
    answers["images"] = loaded.signatures["images"](images=tf.constant(pixels / np.float32(255)))
    for answer in answers.values():
        assert answer["valid"].numpy().all()
    for name in ("serving_default", "images"):
        answer = answers[name]
        np.testing.assert_array_equal(answer["class_indices"], wanted["class_indices"])
        np.testing.assert_allclose(answer["probabilities"], wanted["probabilities"], atol=1e-4)
        names = np.array([b"cat", b"dog", b"owl"])[wanted["class_indices"]]
        np.testing.assert_array_equal(answer["class_names"], names)
    for name, key in (("embed", "features"), ("logits", "logits")):
        scale = np.abs(wanted[key]).max()
        np.testing.assert_allclose(answers[name][key] / scale, wanted[key] / scale, atol=1e-4)


def test_a_broken_image_is_answered_with_blanks(loaded):
    batch = tf.constant([b"broken", encoded_images.png()])
    answer = loaded.signatures["serving_default"](image_bytes=batch)
    assert answer["valid"].numpy().tolist() == [False, True]
    assert answer["class_indices"].numpy()[0].tolist() == [-1, -1]
    assert answer["class_names"].numpy()[0].tolist() == [b"", b""]
    assert answer["probabilities"].numpy()[0].tolist() == [0, 0]
    assert abs(loaded.signatures["embed"](image_bytes=batch)["features"].numpy()[0]).max() == 0


def test_an_encoder_answers_with_features(written, tmp_path):
    stage = written("pretrain")
    path = write_servable(stage.path, str(tmp_path), ServableConfig(max_batch_size=1))
    signatures = tf.saved_model.load(path).signatures
    assert set(signatures) == {"serving_default", "images", "embed"}
    pixels = encoded_images.picture(0, 16, 16)
    answer = signatures["serving_default"](image_bytes=tf.constant([encoded_images.encode(pixels, "PNG")]))
    wanted = stage.network(pixels[np.newaxis].astype(np.float32) / 255)["final_avg_pool"]
    np.testing.assert_allclose(answer["features"], wanted, rtol=1e-4, atol=1e-4)


def test_the_graph_has_nothing_that_tf_serving_lacks(servable):
    operations = graph_operations(servable.path)
    assert {"Conv2D", "BiasAdd", "DecodeImage"} <= operations
    wrong = [name for name in operations if name.startswith(("Addons>", "Xla", "FusedBatchNorm", "PyFunc"))]
    assert wrong == []
    assert b"_XlaMustCompile" not in pathlib.Path(servable.path, "saved_model.pb").read_bytes()


def test_the_warm_up_covers_every_signature_and_batch_size_and_can_be_replayed(servable, loaded):
    seen = set()
    for request in read_warmup(servable.path):
        signature_name = request.model_spec.signature_name
        input_name, outputs = SIGNATURES[signature_name]
        batch = tf.make_ndarray(request.inputs[input_name])
        answer = loaded.signatures[signature_name](**{input_name: tf.constant(batch)})
        assert request.model_spec.name == "tiny"
        assert set(answer) == outputs and answer["valid"].numpy().tolist() == [True] * len(batch)
        seen.add((signature_name, len(batch)))
    assert seen == {(name, size) for name in SIGNATURES for size in SIZES}


def test_the_batching_parameters_allow_the_batches_that_were_warmed_up(servable):
    lines = pathlib.Path(servable.path, "batching_params.pbtxt").read_text().splitlines()
    allowed = [int(line.split(": ")[1]) for line in lines if line.startswith("allowed_batch_sizes")]
    assert tuple(allowed) == SIZES == SERVABLE.allowed_batch_sizes
    assert "max_batch_size { value: 4 }" in lines  # TF Serving wants the last of them.


@pytest.mark.slow
def test_saved_model_cli_shows_and_runs_every_signature(servable, tmp_path):
    command = pathlib.Path(sys.executable).with_name("saved_model_cli")

    def cli(*arguments):
        return subprocess.run([command, *arguments], capture_output=True, text=True, check=True).stdout

    shown = cli("show", "--dir", servable.path, "--all")
    assert all(f"signature_def['{name}']" in shown for name in SIGNATURES)
    np.save(tmp_path / "image_bytes.npy", np.array([encoded_images.png(), b"broken"]))
    np.save(tmp_path / "images.npy", np.ones((2, 9, 9, 3), np.float32))
    for name, (input_name, outputs) in SIGNATURES.items():
        common = ["--dir", servable.path, "--tag_set", "serve", "--signature_def", name]
        printed = cli("run", *common, "--inputs", f"{input_name}={tmp_path / input_name}.npy")
        assert all(f"output key {output}" in printed for output in outputs)


def test_the_loader_of_tf_serving_loads_it_without_python(servable, tmp_path):
    signature = loader_impl.parse_saved_model(servable.path).meta_graphs[0].signature_def["serving_default"]
    files = []
    for i, data in enumerate((encoded_images.png(), b"broken", *encoded_images.bombs().values())):
        files.append(tmp_path / str(i))
        files[-1].write_bytes(data)
    finished = subprocess.run(
        [
            sys.executable,
            pathlib.Path(__file__).with_name("serving_loader.py"),
            pathlib.Path(tf.__file__).with_name("libtensorflow_cc.so.2"),
            servable.path,
            signature.inputs["image_bytes"].name,
            signature.outputs["valid"].name,
            *files,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.stdout.strip().splitlines()[-1] == "1" + "0" * (len(files) - 1), finished.stderr


def test_the_next_version_is_the_next_integer_and_the_oldest_go(servable, built_once, tmp_path):
    shutil.copytree(servable.directory, tmp_path, dirs_exist_ok=True)
    (tmp_path / "tiny" / ".writing-9").mkdir()
    (tmp_path / "tiny" / "notes.txt").write_text("not a version")
    for _ in range(2):
        write_servable(servable.stage, str(tmp_path), SERVABLE)
    assert sorted(os.listdir(tmp_path / "tiny")) == ["2", "3", "notes.txt"]  # keep_versions=2
    assert whole_servables(str(tmp_path / "tiny"))[-1] == str(tmp_path / "tiny" / "3")


def test_a_version_that_fails_leaves_nothing(servable, built_once, tmp_path, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("planted")

    monkeypatch.setattr("export.servable.write.write_warmup", fail)
    with pytest.raises(RuntimeError, match="planted"):
        write_servable(servable.stage, str(tmp_path), SERVABLE)
    assert os.listdir(tmp_path / "tiny") == []


@pytest.mark.parametrize("below", ["tiny", "tiny/1"])
def test_a_servable_still_is_the_stage_that_it_was_made_of(servable, below, images):
    network, info = load_stage(locate_stage(str(servable.directory / below)))
    assert info.class_names == ("cat", "dog", "owl")
    np.testing.assert_array_equal(network(images)["logits_sup"], servable.network(images)["logits_sup"])


def test_models_config_lists_the_models_and_is_what_tf_serving_reads(servable, built_once, tmp_path):
    shutil.copytree(servable.directory, tmp_path, dirs_exist_ok=True)
    (tmp_path / "docker-compose.yml").write_text("changed by its owner")
    another = ServableConfig(export_name="another", max_batch_size=1)
    write_servable(servable.stage, str(tmp_path), another)
    text = (tmp_path / "models.config").read_text()
    parsed = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    models = {model.name: model.base_path for model in parsed.model_config_list.config}
    assert models == {"another": "/models/another", "tiny": "/models/tiny"}
    assert (tmp_path / "docker-compose.yml").read_text() == "changed by its owner"


@pytest.mark.parametrize("name", ["docker-compose.yml", "kubernetes.yaml"])
def test_deployment_files_start_the_stock_image_on_files_that_are_there(servable, name):
    text = (servable.directory / name).read_text()
    assert "image: tensorflow/serving:" in text and "/models" in text
    named = [line.strip().strip('- "').split("=")[1] for line in text.splitlines() if "_config_file=" in line]
    assert len(named) == 2
    for path in named:
        assert (servable.directory / pathlib.Path(path).relative_to("/models")).is_file()
