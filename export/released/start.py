"""A released network as the start of a stage, without a detour over a file of this project."""

from __future__ import annotations

import os

from export.info import StageInfo
from export.released.files import VARIABLES
from export.released.logits import with_logits_layer
from export.released.match import ReleasedNetwork, match, open_released
from tf_simclr.config import ConfigError
from tf_simclr.model.network import Architecture, SimCLR
from tf_simclr.model.start import StartingPoint

IMAGENET_SIZE = 224  # px
CIFAR_SIZE = 32  # px


def released_info(
    released: ReleasedNetwork, *, image_size: int | None = None, selector: int | None = None
) -> StageInfo:
    """Returns the description of a released network.

    ``image_size`` None: 224 px, or 32 px with the CIFAR stem; ``selector`` as in
    :func:`export.released.logits.with_logits_layer`.
    """
    architecture = with_logits_layer(released.architecture, released.file.prefix, selector)
    own_size = CIFAR_SIZE if architecture.encoder.cifar_stem else IMAGENET_SIZE
    return StageInfo(
        stage="import", architecture=architecture, image_size=image_size or own_size, step=released.step
    )


def released_start(path: str, flag: str) -> StartingPoint:
    """Returns the released SavedModel at ``path`` (already looked through) as a starting point.

    Raises:
        ConfigError: it's none, or something in it is missing or left over.
    """
    try:
        released = open_released(os.path.join(path, VARIABLES))
    except ConfigError as error:
        raise ConfigError(
            f"--{flag}={path} is neither a SavedModel of this project (it has no assets/stage.json) nor a "
            f"released one: {error}"
        ) from error
    info = released_info(released)

    def load() -> SimCLR:
        return released.load(info.architecture)

    def require(architecture: Architecture) -> None:
        match(released.found, architecture, released.naming)

    return StartingPoint(
        flag=flag,
        path=path,
        architecture=info.architecture,
        image_size=info.image_size,
        class_names=(),
        load=load,
        require=require,
    )
