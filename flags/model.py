"""Flags of the network's architecture: encoder and projection head."""

from __future__ import annotations

from absl import flags

from flags.defaults import default_text
from tf_simclr.config import EncoderConfig, HeadConfig


def define(flag_values: flags.FlagValues) -> None:
    """Registers the flags of EncoderConfig and HeadConfig.

    Stages that start from a SavedModel take the architecture from it; a flag given
    there is only compared with it.
    """
    _define_encoder(flag_values)
    _define_batch_norm(flag_values)
    _define_head(flag_values)


def _define_encoder(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "resnet_depth",
        None,
        "Layers of the ResNet: 18, 34, 50, 101, 152 or 200. Paper: 50, 101 and 152 on ImageNet. "
        f"{default_text('resnet_depth')}",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "width_multiplier",
        None,
        "Factor on the channels of every encoder layer, greater than 0. Paper: 1, 2 and 3. "
        f"{default_text('width_multiplier')}",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "sk_ratio",
        EncoderConfig.sk_ratio,
        "Above 0: selective kernels with this bottleneck ratio, and the ResNet-D stem and shortcuts; in "
        "[0, 1]. Paper: 0 (plain) or 0.0625 (SK).",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "se_ratio",
        EncoderConfig.se_ratio,
        "Above 0: squeeze-and-excitation with this bottleneck ratio; in [0, 1]. Paper: 0 in every released "
        "model.",
        flag_values=flag_values,
    )


def _define_batch_norm(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_float(
        "batch_norm_decay",
        EncoderConfig.batch_norm_decay,
        "Momentum of batch norm's moving mean and variance, in [0, 1). Paper's code: 0.9.",
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "global_bn",
        EncoderConfig.global_bn,
        "Compute batch-norm statistics over the global batch instead of each replica's part of it; the "
        "same thing on one device. Paper: on.",
        flag_values=flag_values,
    )


def _define_head(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "proj_head_mode",
        HeadConfig.proj_head_mode,
        "Projection head on the encoder: nonlinear (an MLP), linear (one layer) or none. Paper: nonlinear.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "num_proj_layers",
        HeadConfig.num_proj_layers,
        "Layers of a nonlinear projection head, at least 1. Paper: 3; SimCLR had 2.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "proj_out_dim",
        None,
        f"Width of the projection, at least 1. Paper: 128. {default_text('proj_out_dim')}",
        flag_values=flag_values,
    )
