"""From a path that a user gives to the starting point of a stage."""

from __future__ import annotations

import os

import tensorflow as tf

from export.audit import audit_saved_model
from export.info import STAGE_FILE, read_info
from export.locate import locate_stage
from export.released.start import released_start
from export.restore import require_architecture
from export.stage import load_stage
from tf_simclr.model.network import SimCLR
from tf_simclr.model.start import StartingPoint


def open_start(path: str, flag: str, trusted: bool = False) -> StartingPoint:
    """Returns the newest SavedModel that ``path`` means; reads its description, not its weights.

    One that has no ``stage.json`` must be one of the released networks.

    Raises:
        ConfigError: there is none, its description is damaged, or it could do more than
            compute and isn't ``trusted`` (see :func:`export.audit.audit_saved_model`).
    """
    found = locate_stage(path, flag)
    audit_saved_model(found, trusted)
    if not tf.io.gfile.exists(os.path.join(found, STAGE_FILE)):
        return released_start(found, flag)
    info = read_info(found)

    def load() -> SimCLR:
        return load_stage(found)[0]

    return StartingPoint(
        flag=flag,
        path=found,
        architecture=info.architecture,
        image_size=info.image_size,
        class_names=info.class_names,
        load=load,
        require=lambda architecture: require_architecture(architecture, found),
    )
