"""Flags of a servable."""

from __future__ import annotations

from absl import flags

from tf_simclr.config import ServableConfig


def define(flag_values: flags.FlagValues) -> None:
    """Registers the flags of ServableConfig."""
    flags.DEFINE_string(
        "export_name",
        ServableConfig.export_name,
        "Name of a servable in requests and URLs, and of its folder in --export_dir: letters, digits, _ "
        "and -.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "keep_versions",
        ServableConfig.keep_versions,
        "Newest versions of a servable that an export leaves in place, the new one included; 0 removes none.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "top_k",
        ServableConfig.top_k,
        "Classes that a servable answers with, likeliest first, at least 1; all of them if there are fewer.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "max_image_pixels",
        ServableConfig.max_image_pixels,
        "Width times height above which a servable calls an encoded image not valid instead of decoding "
        "it. A decoded pixel takes about 15 bytes of memory.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "max_batch_size",
        ServableConfig.max_batch_size,
        "Images that a server of the servable may run together, a power of two; every power of two up to it "
        "is warmed up.",
        flag_values=flag_values,
    )
