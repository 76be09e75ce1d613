"""Pretrain, fine-tune, export, serve: clients get the labels of --mode=eval, also while versions change."""

import io
import json
import os
import shutil
import threading
from concurrent import futures

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

import run
from export.start import open_start
from flags.parse import parse
from tests.export.server.running_server import RunningServer, by_stubs, curl, instances, wait_for
from tf_simclr.config import DataConfig
from tf_simclr.data.open_source import open_source
from tf_simclr.data.pipeline import evaluation_batches

pytestmark = pytest.mark.slow

TINY = ("--width_multiplier=0.125", "--image_size=8", "--train_batch_size=32")
BATCH = 32
CONCURRENT = 200
BROKEN_EVERY = 20  # 5%
PREDICT = "/v1/models/digits:predict"
FORBIDDEN = ("Traceback", ".py", "/tmp", "/home", "site-packages")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A fine-tuned run, its servable and what --mode=eval says of it."""
    root = tmp_path_factory.mktemp("runs")

    def stage(mode, *flags):
        run.run(parse([f"--mode={mode}", f"--model_dir={root / mode}", *flags]))

    stage("pretrain", *TINY, "--train_steps=2")
    stage(
        "finetune", *TINY[1:], "--train_steps=30", f"--checkpoint={root / 'pretrain'}", "--learning_rate=0.3"
    )
    stage("eval", f"--checkpoint={root / 'finetune'}")
    stage(
        "export", f"--checkpoint={root / 'finetune'}", "--export_kind=serving",
        f"--export_dir={root / 'serving'}", "--export_name=digits", "--max_batch_size=32", "--top_k=1",
    )  # fmt: skip
    return root


@pytest.fixture(scope="module")
def evaluated(runs):
    """The test digits as PNG files, and the label that the network gives each in evaluation."""
    source = open_source(DataConfig())
    network = open_start(str(runs / "finetune"), "checkpoint").load()
    images, labels, truth = [], [], []
    for batch in evaluation_batches(source, "test", image_size=8, batch_size=90):
        pixels = np.rint(batch["image"].numpy() * 255).astype(np.uint8)
        np.testing.assert_allclose(pixels / 255, batch["image"], atol=1e-6)  # 8 px are not resized.
        images += [_png(image) for image in pixels]
        labels += network(batch["image"])["logits_sup"].numpy().argmax(axis=1).tolist()
        truth += batch["label"].numpy().tolist()
    accuracy = json.loads((runs / "eval" / "results.json").read_text())["eval"]["top_1"]
    assert np.mean(np.equal(labels, truth)) == pytest.approx(accuracy) and len(set(labels)) > 3
    return images, labels


def _png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def server(runs):
    running = RunningServer(runs / "serving" / "digits", "--poll_seconds=0.2", "--max_request_mb=1")
    yield running
    running.process.kill()


def test_a_client_of_the_stubs_alone_gets_the_labels_of_evaluation(server, evaluated):
    images, labels = evaluated
    found = []
    for start in range(0, len(images), BATCH):
        outputs, version = by_stubs(server, images[start : start + BATCH])
        assert outputs["valid"].all() and version == 1
        assert outputs["class_names"][:, 0].tolist() == [b"%d" % i for i in outputs["class_indices"][:, 0]]
        found += outputs["class_indices"][:, 0].tolist()
    assert found == labels


@pytest.mark.parametrize("form", ["instances", "inputs"])
def test_a_client_of_curl_alone_gets_the_labels_of_evaluation(server, evaluated, form):
    images, labels = evaluated
    url = f"http://{server.rest}/v1/models/digits:predict"
    found = []
    for start in range(0, len(images), BATCH):
        body = instances(images[start : start + BATCH])
        if form == "instances":
            status, answer = curl(url, body)
            found += [row["class_indices"][0] for row in answer["predictions"]]
        else:
            columns = {"inputs": {"image_bytes": json.loads(body)["instances"]}}
            status, answer = curl(url, json.dumps(columns))
            found += [row[0] for row in answer["outputs"]["class_indices"]]
        assert status == 200
    assert found == labels


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_our_client_gets_the_labels_of_evaluation(server, evaluated, protocol, tmp_path):
    images, labels = evaluated[0][:40], evaluated[1][:40]
    for i, image in enumerate(images):
        (tmp_path / f"{i:02}.png").write_bytes(image)
    (tmp_path / "99.png").write_bytes(b"broken")
    address = server.grpc if protocol == "grpc" else server.rest
    flags = [f"--server={protocol}://{address}", "--export_name=digits", f"--images={tmp_path}"]
    run.run(parse(["--mode=predict", f"--output={tmp_path / 'out.jsonl'}", *flags]))
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert "error" in lines.pop()
    assert [line["classes"][0]["index"] for line in lines] == labels
    run.run(parse(["--mode=embed", f"--output={tmp_path / 'out.npy'}", *flags]))
    assert np.load(tmp_path / "out.npy").shape == (40, 64)


def test_status_metadata_and_health_are_those_of_tf_serving(server):
    rest = f"http://{server.rest}/v1/models/digits"
    state = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert curl(rest) == (200, {"model_version_status": [state]})
    assert curl(f"{rest}/versions/1")[0] == 200
    status, metadata = curl(f"{rest}/metadata")
    assert status == 200 and metadata["model_spec"] == {
        "name": "digits",
        "signature_name": "",
        "version": "1",
    }
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["image_bytes"]["dtype"] == "DT_STRING"

    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "digits"
    answer = model_service_pb2_grpc.ModelServiceStub(server.channel).GetModelStatus(request)
    assert [(v.version, v.state) for v in answer.model_version_status] == [(1, 30)]  # 30: AVAILABLE
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "digits"
    answer = prediction_service_pb2_grpc.PredictionServiceStub(server.channel).GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    assert set(signatures.signature_def) == {"serving_default", "images", "embed", "logits"}
    health = health_pb2_grpc.HealthStub(server.channel)
    assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    "path, body, status, says",
    [
        ("/v1/models/nobody:predict", '{"instances": ["a"]}', 404, "Servable not found"),
        ("/v1/models/nobody", None, 404, "Servable not found"),
        ("/v1/models/digits/versions/9:predict", '{"instances": ["a"]}', 404, "Servable not found"),
        ("/v1/models/digits/versions/9", None, 404, "Could not find any versions"),
        ("/v1/models/digits/labels/stable", None, 400, "Unrecognized servable version label"),
        ("/v1/models/digits", "{}", 400, "Malformed request: POST /v1/models/digits"),
        ("/v1/models/digits:classify", "{}", 400, "Malformed request"),
        (PREDICT, None, 400, "Malformed request: GET"),
        ("/etc/passwd", None, 400, "Malformed request"),
        (PREDICT, "{", 400, "JSON Parse error"),
        (PREDICT, "[]", 400, "must be an object"),
        (PREDICT, "{}", 400, "either 'instances' or 'inputs'"),
        (PREDICT, '{"instances": [], "inputs": []}', 400, "either 'instances' or 'inputs'"),
        (PREDICT, '{"instances": []}', 400, "at least one row"),
        (PREDICT, '{"instances": [1]}', 400, "Input image_bytes must be string"),
        (PREDICT, '{"instances": [{"b64": "a_-"}]}', 400, "standard base64"),
        (PREDICT, '{"inputs": {"pixels": ["a"]}}', 400, "Sent extra: {pixels}. Missing but"),
        (PREDICT, '{"instances": [["a"]]}', 400, "must have the shape"),
        (PREDICT, '{"inputs": "a"}', 400, "must have the shape"),
        (PREDICT, '{"inputs": ["a"], "signature_name": "x"}', 400, '"x" not found'),
        (PREDICT, '{"inputs": [[[1]]], "signature_name": "images"}', 400, "shape"),
    ],
)  # fmt: skip
def test_rest_refuses_what_tf_serving_refuses_with_its_codes(server, path, body, status, says):
    found, answer = curl(f"http://{server.rest}{path}", body)
    assert found == status and list(answer) == ["error"] and says in answer["error"]
    assert not [word for word in FORBIDDEN if word in answer["error"]]


@pytest.mark.parametrize("times, status", [(0.9, 400), (1.1, 429), (3, 429), (9, 429)])
def test_rest_refuses_bodies_above_the_limit(server, times, status):
    body = '"' + "a" * int(times * 2**20) + '"'
    found, answer = curl(f"http://{server.rest}/v1/models/digits:predict", body)
    assert found == status
    assert ("larger than 1048576 bytes" in answer["error"]) is (status == 429)


def test_rest_refuses_batches_above_the_limit_and_endless_nesting(server):
    url = f"http://{server.rest}/v1/models/digits:predict"
    status, answer = curl(url, instances([b"a"] * 33))
    assert status == 400 and "larger than maximum input batch size 32" in answer["error"]
    assert curl(url, instances([b"a"] * 32))[0] == 200
    assert curl(url, "[" * 100_000)[0] == 400


def request_of(**spec):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = spec.get("name", "digits")
    request.model_spec.signature_name = spec.get("signature", "")
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    request.inputs[spec.get("input", "image_bytes")].CopyFrom(spec["tensor"])
    request.output_filter.extend(spec.get("filter", ()))
    return request


def tensor(dtype, sizes, **values):
    proto = predict_pb2.PredictRequest().inputs["x"]
    proto.dtype = dtype
    for size in sizes:
        proto.tensor_shape.dim.add().size = size
    for name, value in values.items():
        getattr(proto, name).extend(value)
    return proto


FLOAT, STRING = 1, 7
ONE = tensor(STRING, [1], string_val=[b"a"])


@pytest.mark.parametrize(
    "spec, code, says",
    [
        ({"tensor": ONE, "name": ""}, "INVALID_ARGUMENT", "Missing ModelSpec"),
        ({"tensor": ONE, "name": "nobody"}, "NOT_FOUND", "Servable not found"),
        ({"tensor": ONE, "version": 9}, "NOT_FOUND", r"Specific\(digits, 9\)"),
        ({"tensor": ONE, "signature": "x"}, "FAILED_PRECONDITION", 'key "x" not found'),
        ({"tensor": ONE, "input": "pixels"}, "INVALID_ARGUMENT", "Missing but required: {image_bytes}"),
        ({"tensor": ONE, "filter": ["x"]}, "INVALID_ARGUMENT", "alias not found in signature: x"),
        ({"tensor": tensor(FLOAT, [1], float_val=[1])}, "INVALID_ARGUMENT", "must be string"),
        ({"tensor": tensor(999, [1])}, "INVALID_ARGUMENT", "no whole tensor"),
        ({"tensor": tensor(STRING, [])}, "INVALID_ARGUMENT", "must have the shape"),
        ({"tensor": tensor(STRING, [0])}, "INVALID_ARGUMENT", "at least 1"),
        ({"tensor": tensor(STRING, [33], string_val=[b"a"])}, "INVALID_ARGUMENT", "maximum input batch"),
        ({"tensor": tensor(STRING, [10**12], string_val=[b"a"])}, "INVALID_ARGUMENT", "is larger than"),
        ({"tensor": tensor(FLOAT, [-5, -5], float_val=[1])}, "INVALID_ARGUMENT", "is larger than"),
        ({"tensor": tensor(STRING, [1], string_val=[b"a" * 2**21])}, "RESOURCE_EXHAUSTED", "larger than max"),
    ],
)  # fmt: skip
def test_grpc_refuses_what_tf_serving_refuses_with_its_codes(server, spec, code, says):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(server.channel)
    with pytest.raises(grpc.RpcError, match=says) as caught:
        stub.Predict(request_of(**spec), timeout=30)
    assert caught.value.code().name == code
    assert not [word for word in FORBIDDEN if word in caught.value.details()]


def test_nothing_is_lost_when_a_version_appears_under_load(server, runs, evaluated):
    """Rounds of 200 requests at once, every 20th image broken, until the new version has answered a round."""
    images, labels = evaluated
    ready = threading.Barrier(CONCURRENT)

    def ask(i):
        ready.wait(60)
        picks = [(i * 3 + k) % len(images) for k in range(3)]
        broken = [(i * 3 + k) % BROKEN_EVERY == 0 for k in range(3)]
        batch = [b"broken" if bad else images[pick] for pick, bad in zip(picks, broken, strict=True)]
        outputs, version = by_stubs(server, batch)
        wanted = [-1 if bad else labels[pick] for pick, bad in zip(picks, broken, strict=True)]
        assert outputs["valid"].tolist() == [not bad for bad in broken]
        assert outputs["class_indices"][:, 0].tolist() == wanted
        return version

    with futures.ThreadPoolExecutor(CONCURRENT) as pool:
        assert set(pool.map(ask, range(CONCURRENT))) == {1}
        _drop_in(runs / "serving" / "digits", 2)
        seen = [set(pool.map(ask, range(CONCURRENT)))]
        while seen[-1] != {2} and len(seen) < 500:
            seen.append(set(pool.map(ask, range(CONCURRENT))))
    assert seen[-1] == {2}, seen
    states = {"2": "AVAILABLE", "1": "END"}
    assert wait_for(lambda: _states(server) == states), _states(server)


def _drop_in(directory, number):
    """Copies version 1 beside its place and renames it, as an export does."""
    shutil.copytree(directory / "1", directory / ".copying")
    os.rename(directory / ".copying", directory / str(number))


def _states(server):
    answer = curl(f"http://{server.rest}/v1/models/digits")[1]
    return {version["version"]: version["state"] for version in answer["model_version_status"]}


def test_a_version_that_cannot_be_loaded_leaves_the_one_before_it(server, runs, evaluated):
    directory = runs / "serving" / "digits"
    before = max(int(path.name) for path in directory.iterdir() if path.name.isdigit())
    (directory / "3").mkdir()
    (directory / "3" / "saved_model.pb").write_bytes(b"no program")
    assert wait_for(lambda: _states(server).get("3") == "END")
    assert by_stubs(server, evaluated[0][:1])[1] == before
    answer = curl(f"http://{server.rest}/v1/models/digits/versions/3")[1]["model_version_status"][0]
    assert answer["status"]["error_code"] == "UNKNOWN"
    assert not [word for word in FORBIDDEN if word in answer["status"]["error_message"]]


def test_sigterm_finishes_what_is_in_flight(server, evaluated):
    """Runs last: every request that was taken is answered, every other one is told that the server stops."""
    images, labels = evaluated
    first = threading.Event()

    def ask(i):
        try:
            outputs, _ = by_stubs(server, images[i : i + 8])
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE
            return "refused"
        assert outputs["class_indices"][:, 0].tolist() == labels[i : i + 8]
        first.set()
        return "answered"

    with futures.ThreadPoolExecutor(64) as pool:
        asked = [pool.submit(ask, i) for i in range(64)]
        first.wait(60)
        status, log = server.stop()
        found = [future.result() for future in asked]
    assert status == 0 and "finishing what is in flight" in log and "cut off" not in log
    assert "answered" in found
