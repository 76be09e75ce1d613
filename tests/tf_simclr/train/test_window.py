"""Means over steps, and what happens to steps that are no numbers."""

import json
import math

import pytest
import tensorflow as tf

from tf_simclr.errors import NonFiniteError
from tf_simclr.train.collapse import collapse_warning
from tf_simclr.train.window import Window

VARIABLES = ["a/kernel", "a/bias", "b/kernel", "c/kernel"]


def metrics(loss, norms=(1.0, 1.0, 1.0, 1.0)):
    return {
        "total_loss": tf.constant(loss),
        "gradient_norm": tf.norm(tf.constant(norms)),
        "gradient_norms": tf.constant(norms),
    }


def window_of(losses, tolerated=0, first=1):
    window = Window(VARIABLES, tolerated)
    for step, loss in enumerate(losses, start=first):
        window.add(step, metrics(loss))
    return window


def test_means_are_over_the_steps_since_it_was_cleared():
    window = window_of([1.0, 2.0, 6.0])
    assert len(window) == 3 and window.newest("total_loss") == 6
    window.require_finite()
    assert window.means() == {"total_loss": 3.0, "gradient_norm": 2.0}
    window.clear()
    assert len(window) == 0 and math.isnan(window.newest("total_loss"))


@pytest.mark.parametrize(
    ("norms", "largest"),
    [
        ((3.0, 4.0, 4.5, 1.0), r"a \(5\)"),  # sqrt(9 + 16)
        ((3.0, 4.0, math.inf, 1.0), r"b \(inf\)"),
        ((3.0, math.inf, math.nan, math.nan), r"b \(nan, as in 2 other layers\)"),
    ],
)
def test_the_step_its_losses_and_the_layer_with_the_largest_gradient_are_named(norms, largest):
    window = window_of([1.0], first=40)
    window.add(41, metrics(math.nan, norms))
    window.add(42, metrics(math.nan))
    expected = rf"at step 41: total_loss nan, gradient_norm .*; largest gradient: {largest}\. Nothing of it"
    with pytest.raises(NonFiniteError, match=expected):
        window.require_finite()


def test_a_gradient_that_is_no_number_counts_though_the_loss_is_one():
    window = Window(VARIABLES)
    window.add(7, metrics(1.0, (math.inf, 1.0, 1.0, 1.0)))
    with pytest.raises(NonFiniteError, match="at step 7: total_loss 1, gradient_norm inf"):
        window.require_finite()


def test_tolerated_steps_are_left_out_of_the_means_and_counted():
    window = window_of([1.0, math.nan, 3.0, math.inf, math.nan, 5.0], tolerated=2)
    window.require_finite()
    assert window.means()["total_loss"] == 3.0 and window.means()["skipped_steps"] == 3


def test_more_in_a_row_than_tolerated_end_the_run_also_over_a_line_and_a_restart():
    window = window_of([math.nan, 1.0, math.nan, math.nan], tolerated=2)
    window.require_finite()
    window.clear()
    again = Window(VARIABLES, tolerated=2)
    again.restore(json.loads(json.dumps(window.state())))
    again.add(5, metrics(math.nan))
    with pytest.raises(NonFiniteError, match=r"at step 5: .* 3th such step in a row, and --max_nonfinite_st"):
        again.require_finite()


def test_nothing_but_skipped_steps_has_no_means():
    window = window_of([math.nan], tolerated=2)
    window.require_finite()
    assert window.means() == {"skipped_steps": 1.0}


def test_a_restored_window_has_the_same_means_to_the_bit():
    window = window_of([0.1, 0.2])
    window.require_finite()
    again = Window(VARIABLES)
    again.restore(json.loads(json.dumps(window.state())))
    for each in (window, again):
        each.add(3, metrics(0.3))
        each.require_finite()
    assert again.means() == window.means()


@pytest.mark.parametrize(
    ("accuracy", "spread", "warns"),
    [(1 / 64, 0.01, True), (0.5, 0.01, False), (1 / 64, 0.5, False), (math.nan, 0.01, False)],
)
def test_chance_accuracy_of_projections_in_one_point_is_a_collapse(accuracy, spread, warns):
    found = collapse_warning({"contrastive_accuracy": accuracy, "projection_std": spread}, batch_size=64)
    assert (found is not None and "Try a lower --learning_rate" in found) is warns


def test_other_stages_cannot_collapse():
    assert collapse_warning({"total_loss": 1.0}, batch_size=64) is None
