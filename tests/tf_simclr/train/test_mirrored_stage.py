"""A whole stage by ``--strategy=mirrored``, from its start to its files, against the same on one device."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

import run
from export.stage import StageInfo, load_stage, write_stage
from export.start import open_start
from flags.parse import parse
from tests.survival.children import metrics, results, tensors
from tests.training import assert_close, save_distinct_images, values_of, well_conditioned
from tf_simclr.config import EncoderConfig, HeadConfig
from tf_simclr.model.network import Architecture, build_network

ROOT = pathlib.Path(__file__).parents[3]
PRETRAINED = Architecture(
    encoder=EncoderConfig(resnet_depth=18, width_multiplier=0.125, cifar_stem=True),
    head=HeadConfig(num_proj_layers=1),
    head_layers=1,
)
STEPS = 4
# A process of its own: two strategies with TensorFlow's default collectives in one process clash.
ON_TWO_DEVICES = """
import runpy
import tensorflow as tf
from tests.training import well_conditioned
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
with well_conditioned():
    runpy.run_path("run.py", run_name="__main__")
"""


@pytest.fixture(scope="module", autouse=True)
def small_network():
    with well_conditioned():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def start(folder):
    """Values of an untrained network, saved as a pretrained one."""
    network = build_network(PRETRAINED)
    info = StageInfo(stage="pretrain", architecture=PRETRAINED, image_size=8, step=0)
    write_stage(network, info, str(folder / "pretrained" / "saved_model"))
    return values_of(network)


@pytest.fixture(scope="module")
def runs(folder, start):
    """Directories of the run on two devices and on one, with evaluations of 37 images in batches of 8."""
    save_distinct_images(folder / "images.npz")
    flags = [
        "--mode=finetune",
        f"--dataset=npz:{folder / 'images.npz'}",
        f"--checkpoint={folder / 'pretrained'}",
        "--ft_proj_selector=1",
        "--train_batch_size=8",
        "--eval_batch_size=8",
        f"--train_steps={STEPS}",
        "--checkpoint_steps=2",
        "--log_steps=1",
        "--learning_rate=0.02",
        "--learning_rate_scaling=none",
    ]
    command = [sys.executable, "-c", ON_TWO_DEVICES, *flags, "--strategy=mirrored"]
    subprocess.run([*command, f"--model_dir={folder / 'two'}"], cwd=ROOT, check=True)
    run.run(parse([*flags, f"--model_dir={folder / 'one'}"]))
    return folder / "two", folder / "one"


@pytest.mark.slow
def test_two_devices_report_and_evaluate_as_one(runs):
    assert "2 x CPU" in (runs[0] / "log.txt").read_text()
    for found, wanted in zip(*map(metrics, runs), strict=True):
        assert found == pytest.approx(wanted, rel=1e-4, abs=1e-9)
    found, wanted = map(results, runs)
    assert found["eval"]["count"] == 37
    for part in ("train", "eval"):
        assert found[part] == pytest.approx(wanted[part], rel=1e-4, abs=1e-9)


@pytest.mark.slow
def test_the_saved_network_of_two_devices_moved_as_that_of_one(runs, start):
    found, wanted = (load_stage(open_start(str(directory), "checkpoint").path)[0] for directory in runs)
    found, wanted = (
        {name: value - start.get(name, 0) for name, value in values_of(network).items()}
        for network in (found, wanted)
    )
    assert_close(found, wanted, 1e-2, floor=1e-5)
    for name in [name for name in wanted if name.endswith("kernel")]:
        assert np.linalg.norm(wanted[name]) > 1e-5 * np.linalg.norm(start.get(name, 0)), name


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, STEPS])
def test_a_checkpoint_of_two_devices_is_one_of_one_device(runs, step):
    found, wanted = (tensors(directory / "checkpoints" / str(step) / "state") for directory in runs)
    names = [name for name, value in wanted.items() if np.issubdtype(np.asarray(value).dtype, np.number)]
    assert found.keys() == wanted.keys()
    assert_close({n: found[n] for n in names}, {n: wanted[n] for n in names}, 1e-4, floor=1e-3)
