"""Uses hub modules as a stranger without this project would; run by test_hub_modules.py.

    python consume_hub_module.py MODULE EXPECTED.npz [MODULE EXPECTED.npz ...]

An archive holds ``inputs``, ``outputs`` of the live network, and its named activations if it is the encoder.
"""

import importlib.util
import os
import re
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras
import numpy as np
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras


def close(actual, wanted):
    scale = max(1.0, np.abs(wanted).max())
    np.testing.assert_allclose(np.asarray(actual) / scale, np.asarray(wanted) / scale, rtol=0, atol=1e-5)


def check_functions(path, expected):
    inputs, outputs = expected["inputs"], expected["outputs"]
    for module in (tf.saved_model.load(path), hub.load(path)):
        close(module(inputs), outputs)
        close(module(inputs[:1], training=False), outputs[:1])
        (answer,) = module.signatures["serving_default"](tf.constant(inputs[:3])).values()
        close(answer, outputs[:3])
    frozen = hub.KerasLayer(path, trainable=False)
    close(frozen(inputs), outputs)
    assert frozen.trainable_weights == [] and len(frozen.weights) == len(module.variables)
    if "final_avg_pool" in expected:
        for name, value in module.endpoints(inputs).items():
            close(value, expected[name])
        assert module(tf.zeros([2, 40, 24, 3])).shape == (2, outputs.shape[1])


def check_training(path, inputs):
    tf_keras.utils.set_random_seed(0)
    layer = hub.KerasLayer(path, trainable=True)
    model = tf_keras.Sequential([layer, tf_keras.layers.Dense(3)])
    model.compile(
        tf_keras.optimizers.SGD(1e-3), tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model(inputs)
    module = layer.resolved_object
    assert len(model.trainable_weights) == len(module.trainable_variables) + 2
    before = [value.numpy() for value in module.variables]
    labels = np.arange(len(inputs)) % 3
    fitted = model.fit(inputs, labels, batch_size=len(inputs), epochs=3, verbose=0)
    losses = fitted.history["loss"]
    assert min(losses[1:]) < losses[0], losses  # Steps that are large for five images may overshoot.
    still = [
        after.name for old, after in zip(before, module.variables, strict=True) if np.array_equal(old, after)
    ]
    assert still == [], still


def check_keras_3(path, inputs, outputs):
    keras.utils.set_random_seed(0)
    layer = keras.layers.TFSMLayer(
        path, call_endpoint="__call__", call_training_endpoint="train_call", trainable=True
    )
    close(layer(tf.constant(inputs)), outputs)
    model = keras.Sequential([layer, keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = [np.array(value) for value in layer.weights]
    labels = np.arange(len(inputs)) % 3
    losses = model.fit(inputs, labels, batch_size=len(inputs), epochs=3, verbose=0).history["loss"]
    assert min(losses[1:]) < losses[0], losses
    assert not any(np.array_equal(old, new) for old, new in zip(before, layer.weights, strict=True))


def run_readme(path):
    with open(os.path.join(path, "README.md"), encoding="utf-8") as file:
        blocks = re.findall(r"^```python\n(.*?)^```", file.read(), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 3
    for block in blocks:
        if "import keras\n" not in block or keras.__version__[0] == "3":
            exec(block.replace("PATH", path), {})


for package in ("tf_simclr", "export"):
    if importlib.util.find_spec(package):
        sys.exit(f"{package} can be imported here, so this shows nothing.")
for path, archive in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    expected = dict(np.load(archive))
    check_functions(path, expected)
    check_training(path, expected["inputs"])
    if keras.__version__[0] == "3":
        check_keras_3(path, expected["inputs"], expected["outputs"])
    run_readme(path)
    print("consumed", path)
