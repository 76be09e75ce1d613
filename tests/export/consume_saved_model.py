"""Uses SavedModels as a stranger without this project would; run by test_reusable_saved_model.py.

    python consume_saved_model.py SAVED_MODEL EXPECTED.npz [SAVED_MODEL EXPECTED.npz ...]

An archive holds ``images`` and what the live network made of them, by endpoint name,
``layer_k`` for head layer k, ``classifier_input``, and ``attached``: whether the
logits are the network's product.
"""

import importlib.util
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy as np
import tensorflow as tf


def close(actual, wanted):
    scale = max(1.0, np.abs(wanted).max())
    np.testing.assert_allclose(np.asarray(actual) / scale, np.asarray(wanted) / scale, rtol=0, atol=1e-5)


def check_functions(module, expected, main, layers):
    images, features, logits = expected["images"], expected["final_avg_pool"], expected.get("logits_sup")
    close(module(images), main)
    close(module(images, training=False), main)
    close(module(images=images), main)
    close(module.encoder(images), features)
    endpoints = module.endpoints(images)
    wanted = set(expected) - {"images", "attached", "classifier_input", *layers}
    assert set(endpoints) == wanted, (set(endpoints), wanted)
    for name, value in endpoints.items():
        close(value, expected[name])

    previous = features
    for k in range(1, len(layers) + 1):
        previous = getattr(module, f"projection_head_layer_{k}")(previous)
        close(previous, expected[f"layer_{k}"])
    assert hasattr(module, "projection_head") == bool(layers)
    if layers:
        close(module.projection_head(features), previous)
    assert hasattr(module, "classifier") == (logits is not None)
    if logits is not None:
        close(module.classifier(expected["classifier_input"]), logits)


def check_signatures(module, expected, layers):
    features, logits = expected["final_avg_pool"], expected.get("logits_sup")
    wanted = {"serving_default", "embed"} | ({"project"} if layers else set())
    assert set(module.signatures) == wanted | (set() if logits is None else {"logits"})
    answers = {}
    for name, signature in module.signatures.items():
        (spec,) = signature.structured_input_signature[1].values()
        assert (spec.name, spec.dtype, spec.shape.as_list()) == ("images", tf.float32, [None, None, None, 3])
        assert all(output.shape.as_list()[0] is None for output in signature.structured_outputs.values())
        answers[name] = signature(images=tf.constant(expected["images"]))
    close(answers["embed"]["features"], features)
    if layers:
        close(answers["project"]["projection"], expected[f"layer_{len(layers)}"])
    if logits is not None:
        close(answers["logits"]["logits"], logits)
    answer = answers["serving_default"]
    if expected["attached"]:
        check_predictions(answer, logits)
    else:
        assert set(answer) == {"features"}
        close(answer["features"], features)


def check_predictions(answer, logits):
    assert set(answer) == {"logits", "probabilities", "classes"}
    close(answer["logits"], logits)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    close(answer["probabilities"], exponentials / exponentials.sum(axis=1, keepdims=True))
    assert answer["classes"].dtype == tf.int64
    np.testing.assert_array_equal(answer["classes"], logits.argmax(axis=1))


def check_other_sizes(module, width):
    other = np.random.RandomState(3).uniform(size=(2, 40, 24, 3)).astype(np.float32)
    assert module(other).shape == (2, width)
    close(module(other[1:]), module(other)[1:])
    close(module.signatures["embed"](images=tf.constant(other))["features"], module.encoder(other))


for package in ("tf_simclr", "export"):
    if importlib.util.find_spec(package):
        sys.exit(f"{package} can be imported here, so this shows nothing.")
for path, archive in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    module, expected = tf.saved_model.load(path), dict(np.load(archive))
    main = expected["logits_sup" if expected["attached"] else "final_avg_pool"]
    layers = [name for name in expected if name.startswith("layer_")]
    check_functions(module, expected, main, layers)
    check_signatures(module, expected, layers)
    check_other_sizes(module, main.shape[1])
    print("consumed", path)
