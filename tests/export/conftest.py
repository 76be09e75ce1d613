"""Tiny SavedModels of every kind and a tiny servable, each written once a session."""

import dataclasses
import functools
import pathlib
import shutil

import numpy as np
import pytest

from export.servable import write
from export.servable.signatures import Servable, build_servable
from export.stage import StageInfo, write_stage
from tf_simclr.config import EncoderConfig, HeadConfig, ServableConfig
from tf_simclr.model.network import Architecture, SimCLR, build_network, named_variables

CLASSES = ("cat", "dog", "owl")
ENCODER = EncoderConfig(resnet_depth=18, width_multiplier=0.25, cifar_stem=True)
PRETRAINED = Architecture(encoder=ENCODER, head=HeadConfig(num_proj_layers=3, proj_out_dim=4), head_layers=3)


def _classifier(layers: int) -> Architecture:
    return dataclasses.replace(PRETRAINED, head_layers=layers, logits_from=layers, num_classes=len(CLASSES))


KINDS = {
    "pretrain": PRETRAINED,
    "pretrain_with_probe": dataclasses.replace(PRETRAINED, num_classes=3, logits_from=1, detach_logits=True),
    "finetune_from_0": _classifier(0),
    "linear_eval_from_1": _classifier(1),
    "finetune_from_2": _classifier(2),
}


@dataclasses.dataclass(frozen=True)
class Written:
    network: SimCLR  # live, as it was written
    info: StageInfo
    path: str


def _fill(network: SimCLR) -> None:
    """Values that leave no layer without effect: the initial gammas of 0 would."""
    random = np.random.RandomState(1)
    for name, variable in named_variables(network).items():
        if name.endswith("kernel"):
            value = random.standard_normal(variable.shape) * np.sqrt(2 / np.prod(variable.shape[:-1]))
        elif name.endswith(("gamma", "variance")):
            value = random.uniform(0.5, 1.5, variable.shape)
        else:
            value = random.uniform(-0.5, 0.5, variable.shape)
        variable.assign(value.astype(np.float32))


@pytest.fixture(scope="session")
def fill():
    """Returns a function that gives a network values that leave no layer without effect."""
    return _fill


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Returns a function from a name of KINDS to what was written; the linear_eval one was frozen."""

    @functools.cache
    def write(kind: str) -> Written:
        network = build_network(KINDS[kind])
        _fill(network)
        if kind == "linear_eval_from_1":
            network.encoder.trainable = network.projection_head.trainable = False
        info = StageInfo(
            stage=kind.split("_from_")[0].removesuffix("_with_probe"),
            architecture=KINDS[kind],
            image_size=16,
            class_names=CLASSES,
            step=7,
        )
        path = write_stage(network, info, str(tmp_path_factory.mktemp(kind) / "saved_model"))
        return Written(network, info, path)

    return write


@pytest.fixture
def copied(written, tmp_path):
    """Returns a function from a name of KINDS to the path of a copy that a test may damage."""

    def copy(kind: str) -> pathlib.Path:
        return pathlib.Path(shutil.copytree(written(kind).path, tmp_path / kind))

    return copy


@pytest.fixture
def images():
    """Five images, float32 [5, 16, 16, 3] in [0, 1]."""
    return np.random.RandomState(2).uniform(size=(5, 16, 16, 3)).astype(np.float32)


SERVABLE = ServableConfig(export_name="tiny", top_k=2, max_batch_size=4, keep_versions=2)


@dataclasses.dataclass(frozen=True)
class WrittenServable:
    network: SimCLR  # live
    stage: str  # the SavedModel that it was made of
    directory: pathlib.Path
    path: str  # of the version
    signatures: Servable


@pytest.fixture(scope="session")
def servable(written, tmp_path_factory):
    stage = written("finetune_from_2")
    directory = tmp_path_factory.mktemp("servables")
    built = build_servable(stage.network, stage.info, SERVABLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "build_servable", lambda *arguments: built)
        path = write.write_servable(stage.path, str(directory), SERVABLE)
    return WrittenServable(stage.network, stage.path, directory, path, built)


@pytest.fixture
def expected(servable):
    """What the live network says of images [n, 16, 16, 3]: features, logits, classes and probabilities."""

    def of(images):
        endpoints = servable.network(images)
        logits = endpoints["logits_sup"].numpy()
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        order = np.argsort(-logits, axis=1)[:, : SERVABLE.top_k]
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        return {
            "features": endpoints["final_avg_pool"].numpy(),
            "logits": logits,
            "class_indices": order,
            "probabilities": np.take_along_axis(probabilities, order, axis=1),
        }

    return of
