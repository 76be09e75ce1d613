"""Supervised cross-entropy, distillation and weight decay against NumPy loops."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tf_simclr.losses.decay import weight_decay_loss
from tf_simclr.losses.distillation import distillation_loss, weighted_distillation
from tf_simclr.losses.supervised import cross_entropy

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "functions.npz")


def random_logits(seed, rows=4, classes=3):
    return (2 * np.random.RandomState(seed).standard_normal((rows, classes))).astype(np.float32)


def softmax_row(logits, temperature=1.0):
    powers = [np.exp(float(value) / temperature) for value in logits]
    return [power / sum(powers) for power in powers]


def equation_2(teacher_row, student_row, temperature):
    teacher, student = softmax_row(teacher_row, temperature), softmax_row(student_row, temperature)
    return -sum(t * np.log(s) for t, s in zip(teacher, student, strict=True))


def test_cross_entropy_is_minus_log_probability_of_the_label():
    logits, labels = random_logits(0), np.array([2, 0, 1, 1])
    expected = [-np.log(softmax_row(row)[label]) for row, label in zip(logits, labels, strict=True)]
    got = cross_entropy(tf.constant(logits), labels)
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_cross_entropy_refuses_one_hot_labels_and_says_what_to_do():
    with pytest.raises(ValueError, match=r"Received logits \(4, 3\) and float32 labels \(4, 3\).*tf.argmax"):
        cross_entropy(random_logits(0), np.eye(4, 3, dtype=np.float32))


@pytest.mark.parametrize("labels", [np.zeros(3, np.int64), np.zeros(4, np.float32)])
def test_cross_entropy_refuses_labels_that_do_not_fit(labels):
    with pytest.raises(ValueError, match=r"integer labels"):
        cross_entropy(random_logits(0), labels)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_distillation_follows_equation_2_without_a_squared_temperature(temperature):
    teacher, student = random_logits(1), random_logits(2)
    expected = [equation_2(t, s, temperature) for t, s in zip(teacher, student, strict=True)]
    np.testing.assert_allclose(
        distillation_loss(teacher, student, temperature), expected, rtol=1e-5, atol=2e-6
    )


@pytest.mark.parametrize("temperature", ["0.1", "1.0", "2.5"])
def test_distillation_has_the_golden_batch_mean(temperature):
    loss = distillation_loss(
        GOLDEN["distill/teacher_logits"], GOLDEN["distill/student_logits"], float(temperature)
    )
    np.testing.assert_allclose(np.mean(loss), GOLDEN[f"distill/loss_tau{temperature}"], rtol=1e-6)


def test_distillation_teaches_the_student_and_leaves_the_teacher_alone():
    teacher, student = tf.Variable(random_logits(1)), tf.Variable(random_logits(2))
    with tf.GradientTape() as tape:
        loss = distillation_loss(teacher, student, 0.5)
    to_teacher, to_student = tape.gradient(loss, [teacher, student])
    assert to_teacher is None
    # d/d student of eq. 2 is (P_S - P_T) / temperature.
    for row in range(4):
        difference = np.subtract(
            softmax_row(random_logits(2)[row], 0.5), softmax_row(random_logits(1)[row], 0.5)
        )
        np.testing.assert_allclose(to_student[row], difference / 0.5, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_weighted_distillation_follows_equation_3_example_by_example(alpha):
    teacher, student, labels = random_logits(1), random_logits(2), [2, -1, 0, -1]
    expected = []
    for t, s, label in zip(teacher, student, labels, strict=True):
        hard = -np.log(softmax_row(s)[label]) if label != -1 else 0.0
        expected.append((1 - alpha) * hard + alpha * equation_2(t, s, 0.2))
    got = weighted_distillation(teacher, student, labels, temperature=0.2, alpha=alpha)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-6)


def test_an_unlabelled_example_has_no_gradient_from_labels():
    student = tf.Variable(random_logits(2))
    with tf.GradientTape() as tape:
        loss = weighted_distillation(random_logits(1), student, [-1, 0, -1, 1], temperature=1.0, alpha=0.0)
    gradient = tape.gradient(loss, student).numpy()
    assert not gradient[[0, 2]].any()
    assert gradient[[1, 3]].all()


@pytest.mark.parametrize("alpha", [-0.1, 1.5])
def test_an_alpha_outside_the_unit_interval_is_refused(alpha):
    with pytest.raises(ValueError, match=rf"alpha must be in \[0, 1\].*Received {alpha}"):
        weighted_distillation(random_logits(1), random_logits(2), [0] * 4, temperature=1.0, alpha=alpha)


def test_distillation_refuses_another_number_of_classes_and_a_zero_temperature():
    with pytest.raises(ValueError, match=r"Received teacher_logits \(4, 5\), student_logits \(4, 3\)"):
        distillation_loss(random_logits(1, classes=5), random_logits(2), 1.0)
    with pytest.raises(ValueError, match=r"temperature must be greater than 0. Received 0"):
        distillation_loss(random_logits(1), random_logits(2), 0.0)


def test_weight_decay_is_half_the_squared_norm_times_its_weight():
    variables = [tf.Variable([[3.0, 4.0]]), tf.Variable([2.0])]
    np.testing.assert_allclose(weight_decay_loss(variables, 0.1), 0.5 * 0.1 * (9 + 16 + 4), rtol=1e-6)
    with tf.GradientTape() as tape:
        loss = weight_decay_loss(variables, 0.1)
    np.testing.assert_allclose(tape.gradient(loss, variables[0]), [[0.3, 0.4]], rtol=1e-6)


def test_weight_decay_of_nothing_is_zero_and_a_negative_one_is_refused():
    assert float(weight_decay_loss([], 0.1)) == 0.0
    with pytest.raises(ValueError, match=r"weight_decay must be 0 or more. Received -1"):
        weight_decay_loss([], -1)
