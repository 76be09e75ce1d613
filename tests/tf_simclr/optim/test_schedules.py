"""Step counts, peak rates and the warm-up cosine against golden numbers and the closed form."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_simclr.config import ConfigError
from tf_simclr.optim.schedules import WarmupCosine, peak_learning_rate, train_steps, warmup_steps

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "functions.npz")


def closed_form(step, peak, warmup, total):
    if step < warmup:
        return peak * step / warmup
    return 0.5 * peak * (1 + math.cos(math.pi * min(step - warmup, total - warmup) / (total - warmup)))


@pytest.mark.parametrize("name", ["imagenet_pretrain", "cifar", "finetune"])
def test_settings_of_the_paper_give_the_official_rates(name):
    config = json.loads(str(GOLDEN[f"schedule/{name}/config"]))
    n, batch = config["n"], config["train_batch_size"]
    peak = peak_learning_rate(config["base"], config["learning_rate_scaling"], batch)
    total = train_steps(n, config["train_epochs"], batch)
    schedule = WarmupCosine(peak, warmup_steps(n, config["warmup_epochs"], batch), total)
    assert total == GOLDEN[f"schedule/{name}/total_steps"]
    got = [float(schedule(int(step))) for step in GOLDEN[f"schedule/{name}/steps"]]
    # The official float32 cosine itself is exact only to a part in a million of the peak.
    np.testing.assert_allclose(got, GOLDEN[f"schedule/{name}/lr"], rtol=1e-6, atol=1e-6 * peak)


@pytest.mark.parametrize("step", [0, 1, 12510, 12511, 12512, 125114, 250000, 250227])
def test_float32_rates_of_a_long_run_are_exact_to_a_millionth(step):
    schedule = WarmupCosine(6.4, 12511, 250228)
    expected = closed_form(step, 6.4, 12511, 250228)
    # float64 1 + cos(x) has itself only about 1e-16 / 1e-10 left at the last step.
    np.testing.assert_allclose(schedule(step), expected, rtol=2e-6)


def test_rate_is_zero_at_the_last_step_and_past_the_end():
    schedule = WarmupCosine(1.0, 2, 10)
    assert [float(schedule(step)) for step in (10, 11, 1000)] == [0.0, 0.0, 0.0]


def test_warm_up_starts_at_zero_and_ends_at_the_peak():
    schedule = WarmupCosine(0.5, 4, 10)
    np.testing.assert_allclose([schedule(step) for step in range(5)], [0, 0.125, 0.25, 0.375, 0.5], rtol=1e-6)


def test_without_warm_up_the_first_rate_is_the_peak():
    assert float(WarmupCosine(0.5, 0, 10)(0)) == 0.5


def test_a_step_variable_in_a_graph_gives_the_same_rates():
    schedule, step = WarmupCosine(2.0, 3, 9), tf.Variable(0, dtype=tf.int64)
    rate = tf.function(lambda: schedule(step))
    for number in range(11):
        step.assign(number)
        np.testing.assert_allclose(rate(), closed_form(number, 2.0, 3, 9), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("warmup", "total"), [(10, 10), (11, 10), (0, 0)])
def test_a_warm_up_that_does_not_end_is_refused_with_both_numbers(warmup, total):
    with pytest.raises(
        ConfigError, match=f"takes {warmup} steps, but the run has only {total}.*--warmup_epochs"
    ):
        WarmupCosine(1.0, warmup, total)


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"peak learning rate must be greater than 0. Received 0"):
        WarmupCosine(0.0, 0, 10)
    with pytest.raises(ConfigError, match=r"0 steps or more. Received -1"):
        WarmupCosine(1.0, -1, 10)


def test_configuration_names_every_argument_and_survives_serialisation():
    schedule = WarmupCosine(0.7, 3, 50, name="rate")
    assert schedule.get_config() == {"peak": 0.7, "warmup_steps": 3, "total_steps": 50, "name": "rate"}
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    assert isinstance(again, WarmupCosine)
    assert again.get_config() == schedule.get_config()


@pytest.mark.parametrize(
    ("examples", "epochs", "batch", "steps"),
    [
        (1281167, 800, 4096, 250228),
        (12811, 60, 1024, 751),
        (128116, 30, 1024, 3754),
        (1281167, 30, 1024, 37535),
    ],
)
def test_train_steps_are_those_of_the_released_runs(examples, epochs, batch, steps):
    assert train_steps(examples, epochs, batch) == steps


def test_warm_up_steps_are_whole_and_may_be_zero():
    assert warmup_steps(1281167, 40, 4096) == 12511
    assert warmup_steps(100, 0.5, 32) == 1
    assert warmup_steps(100, 0, 32) == 0


def test_peak_rates_by_scaling():
    assert peak_learning_rate(0.3, "linear", 4096) == pytest.approx(4.8)
    assert peak_learning_rate(0.075, "sqrt", 4096) == pytest.approx(4.8)
    assert peak_learning_rate(0.3, "none", 4096) == 0.3


def test_unusable_numbers_are_refused_by_name():
    with pytest.raises(ValueError, match=r"scaling='cubic' is not valid. Use one of: linear, sqrt, none"):
        peak_learning_rate(0.1, "cubic", 8)
    with pytest.raises(ValueError, match=r"num_examples must be greater than 0. Received 0"):
        train_steps(0, 1, 8)
    with pytest.raises(ValueError, match=r"warmup_epochs must be 0 or more. Received -1"):
        warmup_steps(10, -1, 8)
