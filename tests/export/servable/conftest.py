"""One tiny servable of a classifier, written once a session."""

import dataclasses
import pathlib

import numpy as np
import pytest

from export.servable import write
from export.servable.signatures import Servable, build_servable
from tf_simclr.config import ServableConfig
from tf_simclr.model.network import SimCLR

CONFIG = ServableConfig(export_name="tiny", top_k=2, max_batch_size=4, keep_versions=2)


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
    built = build_servable(stage.network, stage.info, CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "build_servable", lambda *arguments: built)
        path = write.write_servable(stage.path, str(directory), CONFIG)
    return WrittenServable(stage.network, stage.path, directory, path, built)


@pytest.fixture
def expected(servable):
    """What the live network says of images [n, 16, 16, 3]: features, logits, classes and probabilities."""

    def of(images):
        endpoints = servable.network(images)
        logits = endpoints["logits_sup"].numpy()
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        order = np.argsort(-logits, axis=1)[:, : CONFIG.top_k]
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        return {
            "features": endpoints["final_avg_pool"].numpy(),
            "logits": logits,
            "class_indices": order,
            "probabilities": np.take_along_axis(probabilities, order, axis=1),
        }

    return of
