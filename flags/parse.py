"""Command line to RunConfig: define all flags, read them, fill in the defaults of the stage."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from flags import client, data, export, memory, model, optimizer, scale, servable, server, stages, train
from flags.defaults import default_values
from flags.errors import as_config_error, stray_word_error
from flags.settings import FIELD_DEFAULTS, SECTIONS
from flags.unused import unused_flags
from tf_simclr.config import Mode, RunConfig

__all__ = ["define_all", "parse", "read_command_line", "to_config", "unused_flags"]


def define_all(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Registers every flag of the project, and has ``--help`` list them all."""
    for module in (stages, data, model, memory, optimizer, train, scale, export, servable, client, server):
        module.define(flag_values)
    for name in FIELD_DEFAULTS:  # absl's --help shows only the flags that the main module holds key.
        flag_values.register_key_flag_for_module(sys.argv[0], flag_values[name])


def read_command_line(flag_values: flags.FlagValues, argv: Sequence[str]) -> list[str]:
    """Parses ``argv`` (program name first) into ``flag_values``; returns the program name alone.

    Fits ``absl.app.run(flags_parser=...)``. Raises ConfigError for a flag that doesn't
    exist, a value of another kind, an unreadable --flagfile and a word that is no flag.
    """
    try:
        rest = flag_values(argv)
    except (flags.Error, ValueError) as error:  # absl raises ValueError for --noswitch=value.
        raise as_config_error(error, flag_values) from error
    if len(rest) > 1:
        raise stray_word_error(rest[1])
    return rest


def to_config(flag_values: flags.FlagValues) -> RunConfig:
    """Returns the validated settings of parsed flags; raises ConfigError where they are wrong."""
    values: dict[str, Any] = {name: flag_values[name].value for name in FIELD_DEFAULTS}
    mode = Mode(values.pop("mode"))
    defaults = default_values(
        mode, values["dataset"], optimizer=values["optimizer"], train_epochs=values["train_epochs"]
    )
    chosen = defaults | {name: value for name, value in values.items() if value is not None}
    return RunConfig(
        mode=mode,
        model_dir=chosen["model_dir"],
        checkpoint=chosen.get("checkpoint"),
        teacher=chosen.get("teacher"),
        given=frozenset(name for name in FIELD_DEFAULTS if flag_values[name].present),
        **{name: _section(section, chosen) for name, section in SECTIONS.items()},
    )


def _section(section: type, chosen: dict[str, Any]) -> Any:
    names = [field.name for field in dataclasses.fields(section)]
    return section(**{name: chosen[name] for name in names if name in chosen})


def parse(argv: Sequence[str]) -> RunConfig:
    """Returns the settings of a command line, given without the program name; for tests and scripts."""
    flag_values = flags.FlagValues()
    define_all(flag_values)
    read_command_line(flag_values, ["run.py", *argv])
    return to_config(flag_values)
