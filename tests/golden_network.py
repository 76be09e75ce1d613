"""Weights of the golden networks, by the formula of tests/golden/README.md, in our variables.

The released code numbers the encoder's convolutions and norms in creation order:
``conv2d`` is number 0, ``conv2d_7`` number 7, and so on.
"""

import json
import pathlib
import re
import zlib

import numpy as np
import tensorflow as tf

from tf_simclr.config import EncoderConfig, HeadConfig
from tf_simclr.model.network import Architecture, SimCLR

FOLDER = pathlib.Path(__file__).parent / "golden"
NETWORKS = ("resnet18_1x_sk0_32px", "resnet50_1x_sk0_64px", "resnet50_1x_sk1_64px")


def description(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text())


def numbers(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz") as file:
        return dict(file)


def architecture(name: str) -> Architecture:
    golden = description(name)
    return Architecture(
        encoder=EncoderConfig(
            resnet_depth=golden["depth"],
            width_multiplier=golden["width"],
            sk_ratio=golden["sk_ratio"],
            cifar_stem=golden["image_size"] <= 32,
        ),
        head=HeadConfig(),
        head_layers=3,
        num_classes=golden["num_classes"],
        logits_from=1,
        detach_logits=True,
    )


def formula(official_name: str, shape: list[int]) -> np.ndarray:
    x = np.random.RandomState(zlib.crc32(official_name.encode())).standard_normal(shape)
    kind = official_name.split("/")[-1].removesuffix(":0")
    if kind == "kernel":
        x = x * np.sqrt(2 / np.prod(shape[:-1]))
    elif kind == "gamma":
        x = 1 + 0.1 * x
    elif kind == "moving_variance":
        x = np.exp(0.1 * x)
    else:
        x = 0.1 * x
    return x.astype(np.float32)


def pair(network: SimCLR, official_names: list[str]) -> dict[str, tf.Variable]:
    """Official TF2 name -> our variable."""
    convs = [v for v in network.encoder.trainable_variables if v.shape.rank == 4]
    norms = [
        v.name.removesuffix("gamma:0")
        for v in network.encoder.trainable_variables
        if v.name.endswith("gamma:0")
    ]
    ours = {v.name: v for v in network.variables}
    return {name: _ours(name, convs, norms, ours) for name in official_names}


def _ours(name: str, convs: list, norms: list[str], ours: dict) -> tf.Variable:
    kind = name.split("/")[-1]
    if name.startswith("head_supervised"):
        return ours[f"head_supervised/{kind}"]
    if name.startswith("projection_head"):
        layer = int(re.search(r"nl_(\d+)", name).group(1)) + 1
        return ours[
            f"projection_head/layer_{layer}/" + ("kernel:0" if kind == "kernel:0" else f"norm/{kind}")
        ]
    number = re.search(r"/(?:conv2d|sync_batch_normalization)(?:_(\d+))?/[^/]+$", name).group(1)
    k = int(number or 0)
    return convs[k] if kind == "kernel:0" else ours[norms[k] + kind]


def load(network: SimCLR, name: str) -> dict[str, tf.Variable]:
    """Fills the network with the golden weights; returns official name -> variable, in golden order."""
    shapes = {official: shape for official, shape, _ in description(name)["variables"]}
    variables = pair(network, list(shapes))
    for official, variable in variables.items():
        variable.assign(formula(official, shapes[official]))
    return variables


def views(name: str) -> tuple[np.ndarray, np.ndarray]:
    size = description(name)["image_size"]
    rng = np.random.RandomState(2020)
    first, second = (rng.uniform(0, 1, (4, size, size, 3)).astype(np.float32) for _ in range(2))
    return first, second
