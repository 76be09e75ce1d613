"""The settings of ``tf_simclr.config`` seen as one flat list of names."""

from __future__ import annotations

import dataclasses
from typing import Any

from tf_simclr.config import RunConfig

RUN_FIELDS = ("mode", "model_dir", "checkpoint", "teacher")  # Fields of RunConfig that are no section.
NO_FLAG = ("cifar_stem",)  # Follows from the image size; a user has nothing to decide.

SECTIONS: dict[str, type] = {
    field.name: type(field.default)
    for field in dataclasses.fields(RunConfig)
    if dataclasses.is_dataclass(field.default)
}


def _section_defaults() -> dict[str, Any]:
    return {
        field.name: field.default
        for section in SECTIONS.values()
        for field in dataclasses.fields(section)
        if field.name not in NO_FLAG
    }


FIELD_DEFAULTS: dict[str, Any] = {**dict.fromkeys(RUN_FIELDS), **_section_defaults()}
"""Default of each setting that has a flag, by name; None where the stage or the data decide."""
