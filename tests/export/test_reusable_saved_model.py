import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras as keras

from export.stage import load_stage
from tf_simclr.model.network import named_variables

CONSUMER = pathlib.Path(__file__).with_name("consume_saved_model.py")
CONVOLUTIONS = 1 + 16 + 4  # stem, two in each of eight basic blocks, one projection shortcut a group


def _expected(stage, images):
    expected = {name: value.numpy() for name, value in stage.network(images).items()}
    hidden = [expected["final_avg_pool"]]
    for k, layer in enumerate(stage.network.projection_head.projection_layers, start=1):
        hidden.append(layer(hidden[-1]).numpy())
        expected[f"layer_{k}"] = hidden[-1]
    architecture = stage.info.architecture
    attached = architecture.num_classes > 0 and not architecture.detach_logits
    return expected | {
        "images": images,
        "attached": attached,
        "classifier_input": hidden[architecture.logits_from],
    }


@pytest.mark.slow
def test_a_program_without_this_project_can_use_every_function(written, images, tmp_path):
    arguments = []
    for kind in ("pretrain", "pretrain_with_probe", "finetune_from_0", "finetune_from_2"):
        archive = str(tmp_path / f"{kind}.npz")
        np.savez(archive, **_expected(written(kind), images))
        arguments += [written(kind).path, archive]
    # -I: neither this folder nor PYTHONPATH is on the program's path.
    command = [sys.executable, "-I", str(CONSUMER), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [word for path in arguments[::2] for word in ("consumed", path)]


def test_training_mode_updates_the_moving_statistics_once_and_passes_the_gradient(written, images):
    stage = written("finetune_from_2")
    live, _ = load_stage(stage.path)
    module = tf.saved_model.load(stage.path)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(module(images, training=True) ** 2)
    gradients = tape.gradient(loss, module.trainable_variables)
    with tf.GradientTape() as tape:
        live_loss = tf.reduce_sum(live(images, training=True)["logits_sup"] ** 2)
    np.testing.assert_allclose(loss, live_loss, rtol=1e-4)
    for gradient, expected in zip(gradients, tape.gradient(live_loss, live.trainable_variables), strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-2, atol=1e-3)
    before, after = (
        named_variables(stage.network),
        dict(zip(named_variables(live), module.variables, strict=True)),
    )
    for name, variable in named_variables(live).items():
        np.testing.assert_allclose(after[name], variable, rtol=1e-4, atol=1e-5, err_msg=name)
        assert np.array_equal(after[name], before[name]) == ("/moving_" not in name), name


def test_the_stem_s_moving_mean_moves_a_tenth_of_the_way_to_the_batch_mean(written, images):
    stage = written("pretrain")
    module = tf.saved_model.load(stage.path)
    named = named_variables(stage.network)
    kernel, before = named["encoder/stem/conv/kernel"].numpy(), named["encoder/stem/norm/moving_mean"].numpy()
    padded = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)])
    patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))  # [n, h, w, c, 3, 3]
    batch_mean = np.einsum("nhwcij,ijco->nhwo", patches, kernel).mean(axis=(0, 1, 2))
    module.train_call(images)
    after = dict(zip(named, module.variables, strict=True))["encoder/stem/norm/moving_mean"]
    np.testing.assert_allclose(after, 0.9 * before + 0.1 * batch_mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["pretrain", "pretrain_with_probe"])
def test_training_the_features_leaves_head_and_probe_as_they_are(written, images, kind):
    stage = written(kind)
    module = tf.saved_model.load(stage.path)
    module(images, training=True)
    for (name, before), after in zip(named_variables(stage.network).items(), module.variables, strict=True):
        assert np.array_equal(before, after) == (not ("encoder/" in name and "/moving_" in name)), name
    assert len(module.trainable_variables) == 3 * CONVOLUTIONS
    assert len(module.projection_head.trainable_variables) == 3 + 3 + 2  # the last layer has no beta


def test_no_gradient_of_a_detached_probe_reaches_the_encoder(written, images):
    module = tf.saved_model.load(written("pretrain_with_probe").path)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(module.endpoints(images, training=True)["logits_sup"] ** 2)
    encoder, classifier = module.encoder.trainable_variables, module.classifier.trainable_variables
    gradients = tape.gradient(loss, [*encoder, *classifier])
    assert all(gradient is None or np.abs(gradient).max() == 0 for gradient in gradients[: len(encoder)])
    assert all(np.abs(gradient).max() > 0 for gradient in gradients[len(encoder) :])


def test_what_the_stage_had_frozen_can_be_trained_and_normalises_by_the_batch(written, images):
    module = tf.saved_model.load(written("linear_eval_from_1").path)
    assert len(module.trainable_variables) == 3 * CONVOLUTIONS + 3 + 2
    assert len(module.variables) == 5 * CONVOLUTIONS + 5 + 2
    before = [variable.numpy() for variable in module.variables]
    module(images, training=True)
    moved = sum(not np.array_equal(b, v) for b, v in zip(before, module.variables, strict=True))
    assert moved == 2 * (CONVOLUTIONS + 1)
    assert list(module.regularization_losses) == []


def test_a_trainable_hub_layer_learns_in_a_keras_model(written, images):
    keras.utils.set_random_seed(0)
    layer = hub.KerasLayer(written("pretrain_with_probe").path, trainable=True)
    model = keras.Sequential([layer, keras.layers.Dense(3)])
    model.compile(
        keras.optimizers.SGD(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=False,
    )
    model(images)
    assert len(layer.trainable_weights) == 3 * CONVOLUTIONS
    assert len(model.trainable_weights) == 3 * CONVOLUTIONS + 2
    before = [weight.numpy() for weight in layer.resolved_object.encoder.variables]
    labels = np.array([0, 1, 2, 0, 1])
    losses = [model.fit(images, labels, batch_size=5, verbose=0).history["loss"][0] for _ in range(2)]
    assert losses[1] < losses[0]
    after = layer.resolved_object.encoder.variables
    assert all(not np.array_equal(b, a) for b, a in zip(before, after, strict=True))


def test_a_frozen_hub_layer_computes_the_features_and_changes_nothing(written, images):
    stage = written("pretrain")
    layer = hub.KerasLayer(stage.path, trainable=False)
    features = layer(images, training=True)
    np.testing.assert_allclose(features, stage.network(images)["final_avg_pool"], rtol=1e-4, atol=1e-5)
    assert layer.trainable_weights == []
    for before, after in zip(
        named_variables(stage.network).values(), layer.resolved_object.variables, strict=True
    ):
        np.testing.assert_array_equal(before, after)


def test_keras_3_trains_it_with_moving_statistics_through_train_call(written, images):
    keras_3 = pytest.importorskip("keras", minversion="3")
    layer = keras_3.layers.TFSMLayer(
        written("pretrain").path,
        call_endpoint="__call__",
        call_training_endpoint="train_call",
        trainable=True,
    )
    before = [weight.numpy() for weight in layer.weights]
    moved = []
    for training in (False, True):
        layer(tf.constant(images), training=training)
        moved.append(
            sum(not np.array_equal(b, w.numpy()) for b, w in zip(before, layer.weights, strict=True))
        )
    assert moved == [0, 2 * CONVOLUTIONS]
