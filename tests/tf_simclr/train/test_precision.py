"""Number formats and compilation: the same training, in other numbers or compiled by XLA."""

import functools
import unittest.mock

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorflow.python.distribute.mirrored_strategy import MirroredExtended

from tests.training import Training, assert_close, mirrored, values_of
from tf_simclr.config import BLOCKS_OF_DEPTH, ConfigError, ScaleConfig
from tf_simclr.model.batch_norm import BatchNorm
from tf_simclr.train.precision import compiles, precision_of
from tf_simclr.train.step import whole_step

FLAGS = ["--temperature=0.5", "--memory_size=64", "--memory_momentum=0.9"]
STEPS = 50


# Adam's steps do not depend on the gradients' size. The loss against a memory grows while that fills up.
OPTIMIZERS = {
    "adam": ["--optimizer=adam", "--learning_rate=1e-3", "--train_batch_size=64"],
    "lars": ["--learning_rate=0.3", "--train_batch_size=32", "--memory_size=64", "--memory_momentum=0.9"],
}


@functools.cache
def losses(optimizer, precision):
    """Contrastive loss of 50 steps."""
    with unittest.mock.patch.dict(BLOCKS_OF_DEPTH, {18: (1, 1, 1, 1)}):  # A CPU is slow in float16.
        training = training_in(precision, *OPTIMIZERS[optimizer])
        batches = training.batches()
        found = [float(training.step(next(batches))["contrastive_loss"]) for _ in range(STEPS)]
    return np.array(found)


def training_in(precision, *flags):
    return Training(
        "--temperature=0.5",
        "--min_crop_area=0.8",  # Views that are alike, so that fifty steps are enough to learn something.
        "--color_jitter_strength=0",
        "--nouse_blur",
        "--image_size=16",
        "--learning_rate_scaling=none",
        f"--mixed_precision={precision}",
        *flags,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer, precision",
    [("adam", "bfloat16"), ("adam", "float16"), ("lars", "bfloat16"), ("lars", "float16")],
)
def test_fifty_steps_in_half_the_bits_stay_near_float32(optimizer, precision):
    found, wanted = losses(optimizer, precision), losses(optimizer, "off")
    assert np.isfinite(found).all()
    assert not np.array_equal(found, wanted)
    assert wanted[-10:].mean() < wanted[1:11].mean() - 0.1  # The first has no memory to be compared with.
    np.testing.assert_allclose(found[-10:].mean(), wanted[-10:].mean(), rtol=0.02)


def test_convolutions_compute_in_the_format_and_everything_compared_is_float32():
    training = Training("--mixed_precision=bfloat16")
    network = training.stage.network
    endpoints = network(tf.zeros([2, 8, 8, 3]), training=True)
    assert endpoints["initial_conv"].dtype == endpoints["block_group4"].dtype == tf.bfloat16
    for name in ("final_avg_pool", "proj_head_output", "logits_sup"):
        assert endpoints[name].dtype == tf.float32, name
    assert {variable.dtype for variable in network.variables} == {tf.float32}
    norms = [layer for layer in network.submodules if isinstance(layer, BatchNorm)]
    assert {layer.compute_dtype for layer in norms} == {"float32"}
    assert keras.mixed_precision.global_policy().name == "float32"


def test_an_overflow_changes_the_scale_and_no_weight():
    training = Training("--mixed_precision=float16", "--optimizer=momentum")
    batch = next(training.batches())
    training.optimizer.loss_scale  # noqa: B018  It is a property that reads a variable.
    training.optimizer._loss_scale._current_loss_scale.assign(3e38)
    before = [variable.numpy() for variable in training.stage.network.trainable_variables]
    metrics = training.step(batch)
    for value, variable in zip(before, training.stage.network.trainable_variables, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert metrics["overflowed_steps"] == 1 and metrics["gradient_norm"] == 0
    assert np.isfinite(metrics["total_loss"])
    assert training.optimizer.iterations == 1
    assert float(training.optimizer.loss_scale) < 3e38


def test_the_cpu_computes_in_float32_unless_told_otherwise():
    assert precision_of(ScaleConfig()) == "off"
    assert precision_of(ScaleConfig(mixed_precision="bfloat16")) == "bfloat16"
    assert not compiles(ScaleConfig(), tf.distribute.get_strategy())


def test_xla_cannot_join_cpu_replicas():
    strategy = mirrored(2)
    with pytest.raises(ConfigError, match=r"this run has 2 CPU replicas\. .*--strategy=one_device"):
        compiles(ScaleConfig(jit_compile=True), strategy)


def test_a_compiled_replica_talks_to_others_by_sums_alone(monkeypatch):
    # Inside XLA, on GPUs, MirroredStrategy cannot bring its replicas' threads together in Python.
    monkeypatch.setattr(MirroredExtended, "_use_merge_call", lambda self: not tf.inside_function())
    training = Training(*FLAGS, strategy=tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    graph = training.step.get_concrete_function(next(training.batches())).graph
    names = {node.op for function in graph.as_graph_def().library.function for node in function.node_def}
    assert {name for name in names if "Collective" in name} == {"CollectiveReduceV2"}


@pytest.fixture(scope="module")
def compiled_step():
    """A step with a memory as XLA compiles it, and its batch."""
    training = Training(*FLAGS)
    step = tf.function(whole_step(training.stage, training.optimizer), jit_compile=True, autograph=False)
    return step, next(training.batches())


@pytest.fixture(scope="module")
def compiled_replica():
    """A step of one of two replicas, whose number is an input as on a TPU, and what it is called with."""
    training = Training(*FLAGS)
    step = whole_step(training.stage, training.optimizer)

    @tf.function(jit_compile=True, autograph=False)
    def replica_step(batch, number):
        context = ReplicaOfTwo(number)
        with unittest.mock.patch.object(tf.distribute, "get_replica_context", lambda: context):
            return step(batch)

    return replica_step, next(training.batches()), tf.constant(1)


class ReplicaOfTwo:
    """Stands for a replica that cannot be had here: it adds its own value instead of the other's."""

    num_replicas_in_sync = 2

    def __init__(self, number):
        self.replica_id_in_sync_group = number

    def all_reduce(self, operation, values):
        assert operation == tf.distribute.ReduceOp.SUM
        return tf.nest.map_structure(lambda value: value + value, values)


@pytest.mark.slow
def test_a_compiled_step_computes_the_same(compiled_step):
    step, batch = compiled_step
    found, wanted = step(batch), Training(*FLAGS).step(batch)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("fixture", ["compiled_step", "compiled_replica"])
def test_every_shape_of_the_step_is_known_beforehand(fixture, request):
    step, *arguments = request.getfixturevalue(fixture)
    operations = step.get_concrete_function(*arguments).graph.get_operations()
    outputs = [output for op in operations for output in op.outputs if not is_reserve(op, output)]
    assert len(outputs) > 1000
    assert [output.name for output in outputs if not output.shape.is_fully_defined()] == []


def is_reserve(op, output):
    """A fused batch norm's scratch space, which XLA has none of, or zeros in its shape."""
    if op.type == "ZerosLike":
        return is_reserve(op.inputs[0].op, op.inputs[0])
    return op.type.startswith("FusedBatchNorm") and output.value_index >= 3


@pytest.mark.parametrize("fixture", ["compiled_step", "compiled_replica"])
def test_nothing_in_the_compiled_step_leaves_the_device(fixture, request):
    step, *arguments = request.getfixturevalue(fixture)
    program = step.experimental_get_compiler_ir(*arguments)(stage="hlo")
    assert "convolution" in program and "scatter" in program  # The network, and the queue.
    for word in ("infeed", "outfeed", "send(", "recv(", "callback", "<=", "set-dimension-size"):
        assert word not in program, word


@pytest.mark.parametrize(
    "flags, replicas",
    [([], 1), ([*FLAGS, "--microbatch_size=4"], 1), pytest.param([], 2, marks=pytest.mark.slow)],
    ids=["whole", "memory in portions", "two replicas"],
)
def test_recomputed_activations_change_nothing(flags, replicas):
    strategy = mirrored(replicas) if replicas > 1 else None
    with unittest.mock.patch.dict(BLOCKS_OF_DEPTH, {18: (1, 1, 1, 1)}):
        recomputing, plain = (
            Training(*flags, *more, strategy=strategy) for more in (["--rematerialize"], [])
        )
    found, wanted = ([training.step(next(training.batches())), training] for training in (recomputing, plain))
    assert_close(found[0], wanted[0], 1e-5, floor=1e-3)
    for values in (values_after, velocities):
        assert_close(values(found[1]), values(wanted[1]), 1e-5, floor=1e-4)


def values_after(training):
    return values_of(training.stage.network)


def velocities(training):
    """The gradients, scaled, after one step."""
    return {index: velocity.numpy() for index, velocity in enumerate(training.optimizer.momentums)}
