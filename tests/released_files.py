"""Synthetic releases: official names, in the three forms in which networks were handed out."""

import pathlib

import numpy as np
import tensorflow as tf

from export.released.names import released_variables
from tests import golden_network
from tf_simclr.config import EncoderConfig, HeadConfig
from tf_simclr.model.network import Architecture

TINY = Architecture(
    encoder=EncoderConfig(resnet_depth=18, width_multiplier=0.125, cifar_stem=True),
    head=HeadConfig(proj_out_dim=8),
    head_layers=3,
    num_classes=10,
)


def golden_values(name):
    """Official TF2 name (without ``:0``) -> value, of a golden network."""
    shapes = {official: shape for official, shape, _ in golden_network.description(name)["variables"]}
    return {
        official.removesuffix(":0"): golden_network.formula(official, shape)
        for official, shape in shapes.items()
    }


def tf1_names(tf2_names):
    """The rule of tests/golden/README.md: the same numbers in the encoder, the same layers in the heads."""
    return {name: _tf1_name(name) for name in tf2_names}


def _tf1_name(name):
    kind = name.rsplit("/", 1)[1]
    if name.startswith("resnet/"):
        layer = name.split("/")[-2].removeprefix("sync_")
        return f"base_model/{layer}/{kind}"
    scope = name.split("/")[1]
    root = "head_supervised" if name.startswith("head_supervised") else "head_contrastive"
    layer = "batch_normalization" if "batch_norm" in name else "dense"
    return f"{root}/{scope}/{layer}/{kind}"


def write_tf1(values, prefix):
    """Writes a checkpoint of the TensorFlow 1 form; returns its prefix."""
    pathlib.Path(prefix).parent.mkdir(parents=True, exist_ok=True)
    tensors = [tf.constant(value) for value in values.values()]
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(values),
        shape_and_slices=[""] * len(values),
        tensors=tensors,
    )
    return str(prefix)


def write_saved_model(values, path):
    """Writes a SavedModel whose variables have the names; its function computes nothing of use."""
    root = tf.train.Checkpoint()
    root.held = [tf.Variable(value, name=name) for name, value in values.items()]
    first = root.held[0]

    @tf.function(input_signature=[tf.TensorSpec([None])], autograph=False)
    def call(images):
        return images * tf.reduce_sum(first)

    root.__call__ = call
    tf.saved_model.save(root, str(path))
    return str(path)


def write_object_graph(values, prefix):
    """Writes a training checkpoint of TensorFlow 2 whose variables lie at the paths, and nameless."""
    return object_graph(values).save(str(prefix))


def object_graph(values):
    """Returns the root of a graph of objects with the variables, and the step 9."""
    root = tf.train.Checkpoint(global_step=tf.Variable(9, dtype=tf.int64))
    for path, value in values.items():
        owner = root
        *parents, last = path.split("/")
        for part in parents:
            if not hasattr(owner, part):
                setattr(owner, part, tf.__internal__.tracking.AutoTrackable())
            owner = getattr(owner, part)
        setattr(owner, last, tf.Variable(value))
    return root


def values_of(architecture, naming="tf1"):
    """Random values by the names of a naming."""
    random = np.random.RandomState(3)
    return {
        row.name(naming): random.uniform(0.5, 1.5, row.shape).astype(np.float32)
        for row in released_variables(architecture)
    }


def write_tiny_release(folder):
    """Writes a TensorFlow 1 checkpoint of TINY, with what an optimizer leaves in one."""
    values = values_of(TINY)
    extra = {"global_step": np.int64(3), "base_model/conv2d/kernel/Momentum": np.zeros([1], np.float32)}
    return write_tf1(values | extra, folder / "model.ckpt-3")
