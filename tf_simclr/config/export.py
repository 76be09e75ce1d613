"""Settings of what is made of a finished SavedModel."""

from __future__ import annotations

import dataclasses
import re

from tf_simclr.config.checks import require, require_choice

EXPORT_KINDS = ("hub", "serving")
EXPORT_PARTS = ("encoder", "projection_head", "classifier")  # and head_layer_1, head_layer_2, ...
_HEAD_LAYER = re.compile(r"head_layer_([1-9][0-9]*)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What ``--mode=export`` writes, and where; and whether other people's SavedModels are trusted."""

    export_kind: str = "hub"
    export_part: str = "encoder"  # of a hub module; head_layer_2 is the head's second layer
    export_dir: str | None = None  # None: chosen by the kind
    trust_saved_model: bool = False  # load SavedModels without looking through their graphs

    def __post_init__(self) -> None:
        require_choice("export_kind", self.export_kind, EXPORT_KINDS)
        require(
            self.export_part in EXPORT_PARTS or self.head_layer is not None,
            f"--export_part={self.export_part} is no part of a network. Use one of: "
            f"{', '.join(EXPORT_PARTS)}, or head_layer_K with K from 1.",
        )
        require(self.export_dir != "", "--export_dir is empty. Name the directory to write, or leave it out.")

    @property
    def head_layer(self) -> int | None:
        """K of ``head_layer_K``, else None."""
        match = _HEAD_LAYER.fullmatch(self.export_part)
        return int(match[1]) if match else None
