"""Flags of what is made of a finished SavedModel."""

from __future__ import annotations

from absl import flags

from tf_simclr.config import EXPORT_KINDS, EXPORT_PARTS, ExportConfig


def define(flag_values: flags.FlagValues) -> None:
    """Registers the flags of ExportConfig."""
    flags.DEFINE_string(
        "export_kind",
        ExportConfig.export_kind,
        f"What --mode=export writes, one of: {', '.join(EXPORT_KINDS)}. hub: one part of the network as a "
        "trainable module for tensorflow_hub, Keras and tf.saved_model.load. serving: the next version of a "
        "servable, for TF Serving.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "export_part",
        ExportConfig.export_part,
        f"Part that a hub module holds: {', '.join(EXPORT_PARTS)}, or head_layer_K, which is layer K of the "
        "projection head, from 1.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "export_dir",
        ExportConfig.export_dir,
        "Directory that --mode=export writes. Left out: runs/hub/PART or runs/serving.",
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "trust_saved_model",
        ExportConfig.trust_saved_model,
        "Load a SavedModel without looking through its graph for operations that read or write files, talk "
        "to other programs or run Python. A SavedModel is a program: only for those whose maker you trust.",
        flag_values=flag_values,
    )
