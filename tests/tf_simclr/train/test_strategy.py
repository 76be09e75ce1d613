"""Which devices are chosen, and what is said where there is no GPU or TPU."""

import logging
import pathlib

import pytest
import tensorflow as tf

from tf_simclr.config import ConfigError, ScaleConfig
from tf_simclr.train.strategy import INSTALL_FOR_GPUS, choose_strategy

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture
def warnings(caplog):
    """Returns a function that chooses a strategy and gives what is logged of GPUs."""

    def choose(name):
        with caplog.at_level(logging.WARNING):
            choose_strategy(ScaleConfig(strategy=name))
        return [record.getMessage() for record in caplog.records if "GPU" in record.getMessage()]

    return choose


def test_mirrored_without_a_gpu_warns_and_says_what_to_install(warnings):
    [line] = warnings("mirrored")
    assert line.startswith("--strategy=mirrored found no GPU and takes CPUs.")
    assert INSTALL_FOR_GPUS in line


def test_several_workers_without_a_gpu_warn_too(warnings, monkeypatch, caplog):
    monkeypatch.setenv("TF_CONFIG", "")  # Refused after the warning: no worker has to be waited for.
    with pytest.raises(ConfigError, match="TF_CONFIG"):
        warnings("multi_worker")
    assert any("--strategy=multi_worker found no GPU" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("name", ["auto", "one_device"])
def test_one_cpu_is_no_reason_to_warn(warnings, name):
    assert warnings(name) == []


def test_mirrored_with_a_gpu_does_not_warn(warnings, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [f"the {kind}"])
    assert warnings("mirrored") == []


@pytest.mark.parametrize("page", ["README.md", "docs/scale.md"])
def test_the_documents_name_the_same_command(page):
    assert INSTALL_FOR_GPUS in (ROOT / page).read_text(encoding="utf-8")


def test_a_tpu_that_is_not_there_is_said_in_one_sentence():
    with pytest.raises(ConfigError, match=r"--strategy=tpu found no TPU \(.*\)\. On a TPU VM leave"):
        choose_strategy(ScaleConfig(strategy="tpu"))


def test_auto_on_one_cpu_is_one_device_and_mirrored_takes_all():
    assert choose_strategy(ScaleConfig()).num_replicas_in_sync == 1
    everywhere = choose_strategy(ScaleConfig(strategy="mirrored"))
    assert everywhere.num_replicas_in_sync == len(tf.config.list_logical_devices("CPU")) > 1
