"""From a path that a user gives to the starting point of a stage."""

from __future__ import annotations

from export.audit import audit_saved_model
from export.info import read_info
from export.locate import locate_stage
from export.restore import require_architecture
from export.stage import load_stage
from tf_simclr.model.network import SimCLR
from tf_simclr.model.start import StartingPoint


def open_start(path: str, flag: str, trusted: bool = False) -> StartingPoint:
    """Returns the newest SavedModel that ``path`` means; reads its description, not its weights.

    Raises:
        ConfigError: there is none, its description is damaged, or it could do more than
            compute and isn't ``trusted`` (see :func:`export.audit.audit_saved_model`).
    """
    found = locate_stage(path, flag)
    audit_saved_model(found, trusted)
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
