"""What the graph of a training step says it needs, and what a real step took."""

import os
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from tf_simclr.model.cost import kept_for_backward, multiply_adds

FLOAT_BYTES = 4


def kept_by(function, *shapes):
    """Bytes kept by the gradient of ``function`` with respect to its first argument."""
    with tf.Graph().as_default() as graph:
        inputs = [tf.compat.v1.placeholder(tf.float32, shape) for shape in shapes]
        outputs = function(*inputs)
        forward = graph.get_operations()
        kept = kept_for_backward(tf.gradients(outputs, inputs[0]), forward)
    return sum(tensor.shape.num_elements() * tensor.dtype.size for tensor in kept)


@pytest.mark.parametrize(
    ("function", "shapes", "elements"),
    [
        (tf.nn.relu, [(5, 4)], 20),  # its output
        (lambda x: tf.nn.relu(tf.nn.relu(x)), [(5, 4)], 40),
        (lambda x: x + 1.0, [(5, 4)], 0),
        (lambda x: x * 2.0, [(5, 4)], 0),  # a constant
        (tf.multiply, [(5, 4), (5, 4)], 20),  # only the other factor: its gradient isn't asked for
        (lambda x: tf.reduce_mean(x, axis=1), [(5, 4)], 0),  # only its shape
        (lambda x: tf.split(x + 1.0, 2, axis=1)[0], [(5, 4)], 0),
        (lambda x: tf.nn.conv2d(x + 1.0, tf.ones((3, 3, 4, 2)), 1, "SAME"), [(2, 5, 5, 4)], 0),
        (lambda x: tf.square(tf.reshape(tf.nn.relu(x), (20,))), [(5, 4)], 20),  # an alias
        (lambda x: tf.square(tf.pad(tf.nn.relu(x), [[0, 0], [0, 0]])), [(5, 4)], 20),
        (lambda x: tf.tanh(tf.pad(x, [[0, 0], [1, 0]])), [(5, 4)], 25),
        (lambda x: tf.square(tf.nn.relu(x)[:, tf.newaxis]), [(5, 4)], 20),
        (lambda x: tf.square(tf.nn.relu(x)[:3]), [(5, 4)], 20 + 12),  # a true slice is a copy
    ],
)
def test_only_tensors_that_the_backward_pass_reads_are_kept(function, shapes, elements):
    assert kept_by(function, *shapes) == elements * FLOAT_BYTES


def test_sizes_in_bytes_follow_the_data_type():
    assert kept_by(lambda x: tf.nn.relu(tf.cast(x, tf.float64)), (5, 4)) == 20 * 8


def test_a_batch_that_is_not_static_is_refused():
    with pytest.raises(
        ValueError, match=r"must be static\. Received \(None, 4\)\. Trace the network with a fixed"
    ):
        kept_by(lambda x: tf.square(tf.identity(x)), (None, 4))


def test_multiply_adds_of_an_unknown_batch_are_refused():
    with tf.Graph().as_default():
        product = tf.matmul(tf.compat.v1.placeholder(tf.float32, (None, 4)), tf.zeros((4, 2)))
        with pytest.raises(ValueError, match=r"must be static\. Received \(None, 2\)"):
            multiply_adds(product.op)


def test_multiply_adds_of_a_transposed_product():
    with tf.Graph().as_default():
        left, right = (tf.compat.v1.placeholder(tf.float32, shape) for shape in ((7, 5), (7, 3)))
        assert multiply_adds(tf.matmul(left, right, transpose_a=True).op) == 5 * 7 * 3
        assert multiply_adds((left + 1.0).op) == 0


PEAK = """
import pathlib, re

def peak():
    # Not ru_maxrss, which a new process inherits from the one that started it.
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status).group(1)) * 1024
"""
LARGEST = """
import time
from tf_simclr.config import EncoderConfig
from tf_simclr.model.describe import describe
from tf_simclr.model.network import Architecture

encoder = EncoderConfig(resnet_depth=152, width_multiplier=3, sk_ratio=0.0625)
before, started = peak(), time.process_time()
memory = describe(Architecture(encoder=encoder), image_size=224, batch_size=4096).memory
print(time.process_time() - started, (peak() - before) / memory.weights)
"""
TRAINING_STEP = """
import tensorflow as tf
import tf_keras as keras
from tf_simclr.config import EncoderConfig
from tf_simclr.model.describe import describe
from tf_simclr.model.network import Architecture, build_network

encoder = EncoderConfig(resnet_depth=18, width_multiplier=0.5, cifar_stem=True)
architecture = Architecture(encoder=encoder, num_classes=10)
network = build_network(architecture)
optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
optimizer.build(network.trainable_variables)

def step(images):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(images, training=True)["logits_sup"])
    gradients = tape.gradient(loss, network.trainable_variables)
    optimizer.apply_gradients(zip(gradients, network.trainable_variables))

step = tf.function(step).get_concrete_function(tf.TensorSpec((256, 32, 32, 3)))
images = tf.random.uniform((256, 32, 32, 3))
before = peak()
for _ in range(2):
    step(images)
memory = describe(architecture, image_size=32, batch_size=256).memory
print((peak() - before) / (memory.gradients + memory.activations))
"""
needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/status")


def printed_by_a_new_process(script):
    # Without oneDNN's workspaces, and with an allocator that gives large buffers back at once.
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": "0", "MALLOC_MMAP_THRESHOLD_": "131072"}
    result = subprocess.run(
        [sys.executable, "-c", PEAK + script],
        cwd=pathlib.Path(__file__).parents[3],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(word) for word in result.stdout.split()]


@pytest.mark.slow
@needs_linux
def test_the_largest_network_is_described_in_little_time_and_memory():
    seconds, share_of_weights = printed_by_a_new_process(LARGEST)
    assert seconds < 30
    assert share_of_weights < 0.2


@pytest.mark.slow
@needs_linux
def test_a_real_training_step_grows_the_process_as_described():
    (ratio,) = printed_by_a_new_process(TRAINING_STEP)
    assert 0.9 < ratio < 1.6
