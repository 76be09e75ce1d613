"""The commands of docs/serving.md are run, in their order, by a shell, against a server that they start."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys

import numpy as np
import pytest

from export.stage import StageInfo, write_stage
from tests.export import encoded_images
from tf_simclr.config import EncoderConfig
from tf_simclr.model.network import Architecture, build_network

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ports():
    with socket.socket() as first, socket.socket() as second:
        for listener in (first, second):
            listener.bind(("localhost", 0))
        return first.getsockname()[1], second.getsockname()[1]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """The run and the photographs that the page speaks of, and ``python``."""
    root = tmp_path_factory.mktemp("serving")
    encoder = EncoderConfig(resnet_depth=18, width_multiplier=0.125, cifar_stem=True)
    architecture = Architecture(encoder=encoder, num_classes=10)
    info = StageInfo(
        stage="distill", architecture=architecture, image_size=16, class_names=tuple("0123456789"), step=1
    )
    write_stage(build_network(architecture), info, str(root / "runs" / "distill" / "saved_model"))
    (root / "photos" / "new").mkdir(parents=True)
    for seed in range(2):
        (root / "photos" / "new" / f"{seed}.png").write_bytes(encoded_images.png(seed))
    (root / "bin").mkdir()
    (root / "bin" / "python").symlink_to(sys.executable)
    return root


@pytest.fixture
def shell(workplace, ports):
    """Returns a function that starts one block of the page with this machine's paths and free ports."""

    def start(language, block):
        for documented, free in zip(("8500", "8501"), ports, strict=True):
            block = block.replace(f"localhost:{documented}", f"localhost:{free}")
        if language == "bash":
            block = block.replace("python run.py", f"{sys.executable} {ROOT / 'run.py'}")
            block = block.replace(
                "--mode=serve", f"--mode=serve --grpc_port={ports[0]} --rest_port={ports[1]}"
            )
            command = ["bash", "-euo", "pipefail", "-c", block]
        else:
            command = [sys.executable, "-c", block]
        environment = os.environ | {"PYTHONPATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
        return subprocess.Popen(
            command, cwd=workplace, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start


def test_the_commands_of_the_page_run_in_order(shell, workplace):
    printed, server = [], None
    try:
        for language, block in BLOCK.findall(TEXT):
            process = shell(language, ("exec " if "--mode=serve" in block else "") + block)
            if "--mode=serve" in block:
                server = process
                assert server.stdout.readline().startswith("serving digits version 1")
                continue
            out, log = process.communicate(timeout=300)
            assert process.returncode == 0, (block, log)
            printed.append(out)
    finally:
        if server is not None:
            server.terminate()
            server.communicate(timeout=60)
    assert server.returncode == 0
    _check(printed, workplace)


def _check(printed, workplace):
    export, clients, curl, stubs = printed
    assert json.loads(export)["servable"] == "runs/serving/digits/1"
    assert '"skipped": 0' in clients and np.load(workplace / "features.npy").shape[0] == 2
    lines = (workplace / "classes.csv").read_text().splitlines()
    assert lines[0] == "image,class_index,class_name,probability,error" and len(lines) == 3
    decoder, answers = json.JSONDecoder(), []
    while curl:
        answer, end = decoder.raw_decode(curl)
        answers, curl = [*answers, *answer], curl[end:]
    assert answers == ["predictions", "outputs", "model_version_status", "model_spec", "metadata"]
    assert "True" in stubs


def test_the_page_names_every_file_and_flag_that_it_shows(workplace):
    from flags.settings import FIELD_DEFAULTS

    shown = set(re.findall(r"`--([a-z_]+)", TEXT)) - {
        "model_config_file", "enable_batching", "enable_per_model_batching_parameters",
        "monitoring_config_file", "enable_grpc_healthcheck_service",
    }  # fmt: skip
    assert shown <= set(FIELD_DEFAULTS) and len(shown) > 10
