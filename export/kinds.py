"""``--mode=export``: what each ``--export_kind`` writes."""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf

from export.info import STAGE_FILE
from tf_simclr.config import ConfigError, RunConfig
from tf_simclr.model.start import StartingPoint


def export(config: RunConfig, start: StartingPoint) -> dict[str, Any]:
    """Writes what ``config.export`` asks for of the network at ``start``; returns what to report.

    Raises:
        ConfigError: the network lacks the part that is asked for, or something else lies at the directory.
    """
    if not tf.io.gfile.exists(os.path.join(start.path, STAGE_FILE)):
        raise ConfigError(
            f"--checkpoint={start.path} is a released network. Import it first, with "
            f"--mode=import --checkpoint={start.path} --model_dir=DIR, and export --checkpoint=DIR."
        )
    if config.export.export_kind == "hub":
        from export.hub import export_hub

        return export_hub(config, start)
    return _export_serving(config, start)


def _export_serving(config: RunConfig, start: StartingPoint) -> dict[str, Any]:
    from export.servable.write import write_servable

    directory = config.export.export_dir or os.path.join("runs", "serving")
    path = write_servable(start.path, directory, config.servable)
    return {"mode": "export", "export_kind": "serving", "start": start.path, "servable": path}
