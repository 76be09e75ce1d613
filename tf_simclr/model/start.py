"""A network that an earlier stage trained, described at once and read when it is needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tf_simclr.model.network import Architecture, SimCLR


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartingPoint:
    """What a stage takes over from the stage before it; the weights stay on disk until ``load()``."""

    flag: str  # where the user named it: checkpoint or teacher
    path: str
    architecture: Architecture
    image_size: int  # px
    class_names: tuple[str, ...]  # in the order of the logits
    load: Callable[[], SimCLR]  # call it inside strategy.scope()
    require: Callable[[Architecture], None]  # raises ConfigError, naming the first variable that differs
