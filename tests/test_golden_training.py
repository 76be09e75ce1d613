"""Two LARS steps of the golden networks: losses, gradients and variables of the official implementation.

These networks are steep. Learning rate 0.3 on gradients in the hundreds throws batch norm far from where it
was, and a unit that rounding moves across a ReLU's corner shows in the second step. Changing the images by
a millionth moves our own numbers as far as they are from the golden ones, which one test asserts and which
sets the tolerances: about twice the largest difference over 84 such runs (tests/golden/README.md).
What rounding does not reach (kernels, whose step LARS fixes, and all of the first step in ResNet-18) is
held tighter.
"""

from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from tests import golden_network
from tf_simclr.config import OptimizerConfig
from tf_simclr.losses.contrastive import nt_xent
from tf_simclr.losses.decay import weight_decay_loss
from tf_simclr.losses.supervised import cross_entropy
from tf_simclr.model.network import build_network, projection
from tf_simclr.optim.build import build_optimizer, loss_decayed_variables
from tf_simclr.optim.groups import parameter_groups

RESNET18, RESNET50, SK_RESNET50 = golden_network.NETWORKS
LEARNING_RATE = 0.3
OPTIMIZER = OptimizerConfig(optimizer="lars", momentum=0.9, weight_decay=1e-4)
TEMPERATURE = 0.1
LABELS = np.tile(np.arange(4), 2)  # of [x1; x2]
NUDGE = 1e-6  # relative, about eight float32 roundings
NUDGED_RUNS = 3


class Steps(NamedTuple):
    losses: np.ndarray  # [2 steps, contrastive, supervised and decay]
    gradient_norms: np.ndarray  # of the first step, in golden order
    variable_norms: np.ndarray  # after both, in golden order
    logits: np.ndarray  # of x1, in inference mode, after both


class Case(NamedTuple):
    name: str
    golden: dict[str, np.ndarray]
    initial_norms: np.ndarray
    exact: Steps
    nudged: list[Steps]

    @property
    def trainable(self):
        return golden_network.description(self.name)["trainable"]

    @property
    def variables(self):
        return [name for name, _, _ in golden_network.description(self.name)["variables"]]


def norms(tensors):
    """Exact norms rounded to float32, as the golden ones are: that rounds away most of a kernel's change."""
    return np.array([np.linalg.norm(np.asarray(tensor, np.float64)) for tensor in tensors], np.float32)


def loss_parts(network, images, decayed):
    endpoints = network(images, training=True)
    view_1, view_2 = tf.split(projection(endpoints), 2)
    return [
        nt_xent(view_1, view_2, temperature=TEMPERATURE).loss,
        tf.reduce_mean(cross_entropy(endpoints["logits_sup"], LABELS)),
        weight_decay_loss(decayed, OPTIMIZER.weight_decay),
    ]


def two_steps(name, network, variables, images):
    groups = parameter_groups(network, network.classifier)
    optimizer = build_optimizer(OPTIMIZER, LEARNING_RATE, groups)
    decayed = loss_decayed_variables(OPTIMIZER, groups)
    trained = [variables[official] for official in golden_network.description(name)["trainable"]]
    losses, gradient_norms = [], []
    for _ in range(2):
        with tf.GradientTape() as tape:
            parts = loss_parts(network, images, decayed)
            total = tf.add_n(parts)
        gradients = tape.gradient(total, trained)
        optimizer.apply_gradients(zip(gradients, trained, strict=True))
        losses.append([float(part) for part in parts])
        gradient_norms.append(norms(gradients))
    logits = network(golden_network.views(name)[0], training=False)["logits_sup"].numpy()
    return Steps(np.array(losses), gradient_norms[0], norms(variables.values()), logits)


@pytest.fixture(
    scope="module",
    params=[
        RESNET18,
        pytest.param(RESNET50, marks=pytest.mark.slow),
        pytest.param(SK_RESNET50, marks=pytest.mark.slow),
    ],
)
def case(request):
    name = request.param
    network = build_network(golden_network.architecture(name))
    variables = golden_network.load(network, name)
    initial = [variable.numpy() for variable in variables.values()]
    images = np.concatenate(golden_network.views(name))

    def run(inputs):
        for variable, value in zip(variables.values(), initial, strict=True):
            variable.assign(value)
        return two_steps(name, network, variables, inputs.astype(np.float32))

    rng = np.random.RandomState(0)
    nudged = [images * (1 + NUDGE * rng.standard_normal(images.shape)) for _ in range(NUDGED_RUNS)]
    exact = [np.linalg.norm(value.astype(np.float64)) for value in initial]
    return Case(name, golden_network.numbers(name), np.array(exact), run(images), [run(n) for n in nudged])


def relative(found, expected):
    return np.abs(np.asarray(found, np.float64) / expected - 1)


def rms(errors):
    return np.sqrt(np.mean(np.square(errors)))


def is_kernel(name):
    """Whether LARS gives a variable its own step size."""
    return name.endswith("/kernel:0") and not name.startswith("head_supervised")


def assert_within(names, errors, tolerance):
    assert {name: error for name, error in zip(names, errors, strict=True) if not error <= tolerance} == {}


def test_first_losses_agree(case):
    tolerance = {RESNET18: 1e-4, RESNET50: 1e-3, SK_RESNET50: 5e-3}[case.name]
    contrastive, supervised, decay = relative(case.exact.losses, case.golden["train/losses"])[0]
    assert max(contrastive, supervised) <= tolerance
    assert decay <= 1e-6


def test_second_losses_agree_as_far_as_rounding_lets_them(case):
    contrastive, supervised, decay = np.log(case.exact.losses / case.golden["train/losses"])[1]
    # The networks of depth 50 are by now so far off that only a factor can be asked for.
    tolerance = {RESNET18: 0.15, RESNET50: np.log(3), SK_RESNET50: np.log(3)}[case.name]
    assert max(abs(contrastive), abs(supervised)) <= tolerance
    # Half the squared norm of the classifier's kernel after one unadapted step.
    assert abs(decay) <= {RESNET18: 1e-5, RESNET50: 1e-4, SK_RESNET50: 1e-3}[case.name]


def test_gradient_norms_of_the_heads_agree(case):
    """Gradients that pass few layers, and so gather little rounding."""
    tolerance = {RESNET18: 1e-4, RESNET50: 5e-3, SK_RESNET50: 1e-2}[case.name]
    errors = relative(case.exact.gradient_norms, case.golden["train/grad_norms"])
    heads = [not name.startswith("resnet/") for name in case.trainable]
    assert sum(heads) == 10
    assert_within(np.array(case.trainable)[heads], errors[heads], tolerance)


def test_gradient_norms_agree(case):
    errors = relative(case.exact.gradient_norms, case.golden["train/grad_norms"])
    assert_within(case.trainable, errors, {RESNET18: 1e-2, RESNET50: 5e-2, SK_RESNET50: 0.15}[case.name])
    assert rms(errors) <= {RESNET18: 1.5e-3, RESNET50: 1e-2, SK_RESNET50: 3e-2}[case.name]


def test_kernels_have_the_golden_norms_after_two_steps(case):
    errors = relative(case.exact.variable_norms, case.golden["train/var_norms_after_2_lars_steps"])
    kernels = [is_kernel(name) for name in case.variables]
    # Selective kernels end in a convolution without batch norm, whose norm the gradient does change.
    assert_within(
        np.array(case.variables)[kernels], errors[kernels], 2e-5 if case.name == SK_RESNET50 else 2e-7
    )


def test_kernels_grow_as_the_trust_ratio_and_momentum_make_them(case):
    """Before batch norm a step is at right angles to its kernel, so the norm grows by half the step's square.

    That is two parts in ten million here, one or two float32 roundings of a norm, so that the median varies
    by some per cent with the processor. Without momentum it would be less than half.
    """
    kernels = [is_kernel(name) for name in case.variables]

    def growth(after):
        return np.median((after / case.initial_norms - 1)[kernels])

    expected = growth(case.golden["train/var_norms_after_2_lars_steps"])
    assert growth(case.exact.variable_norms) == pytest.approx(expected, rel=0.2)


def test_batch_norm_and_classifier_agree_after_two_steps(case):
    errors = relative(case.exact.variable_norms, case.golden["train/var_norms_after_2_lars_steps"])
    others = [not is_kernel(name) for name in case.variables]
    names, errors = np.array(case.variables)[others], errors[others]
    assert_within(names, errors, {RESNET18: 0.1, RESNET50: 0.2, SK_RESNET50: 0.5}[case.name])
    assert rms(errors) <= {RESNET18: 2e-2, RESNET50: 3e-2, SK_RESNET50: 6e-2}[case.name]
    statistics = [name.split("/")[-1].startswith("moving_") for name in names]
    assert rms(errors[statistics]) <= {RESNET18: 1e-3, RESNET50: 2e-2, SK_RESNET50: 6e-2}[case.name]


def test_inference_logits_agree_after_two_steps(case):
    found, expected = case.exact.logits.astype(np.float64), case.golden["eval_after_2_steps/logits_sup"]
    lengths = np.linalg.norm(found), np.linalg.norm(expected.astype(np.float64))
    cosine = np.sum(found * expected) / np.prod(lengths)
    assert cosine >= {RESNET18: 0.99, RESNET50: 0.9, SK_RESNET50: 0.9}[case.name]
    # The length, 1e18 in the last network, is a product of many layers' errors.
    factor = {RESNET18: 1.5, RESNET50: 4, SK_RESNET50: 4}[case.name]
    assert 1 / factor <= lengths[0] / lengths[1] <= factor


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("gradient_norms", "train/grad_norms"),
        ("variable_norms", "train/var_norms_after_2_lars_steps"),
    ],
)
def test_golden_numbers_are_as_near_as_those_of_images_changed_by_a_millionth(case, field, key):
    ours = getattr(case.exact, field)
    noise = max(rms(relative(getattr(run, field), ours)) for run in case.nudged)
    assert rms(relative(ours, case.golden[key])) <= 3 * noise
