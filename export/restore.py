"""Variables of a SavedModel into a network; runs no graph of the SavedModel."""

from __future__ import annotations

import os
from collections.abc import Sequence

import tensorflow as tf

from export.info import COPY_AGAIN, STAGE_FILE, VariableSpec, read_stage_file, verify_saved_model
from tf_simclr.config import ConfigError
from tf_simclr.errors import first_line
from tf_simclr.model.network import Architecture, SimCLR, build_network, named_variables
from tf_simclr.model.unallocated import unallocated

VARIABLES_PREFIX = os.path.join("variables", "variables")
REMEDY = (
    "Load the SavedModel's own architecture (leave out the architecture flags, such as --resnet_depth), "
    "or give another SavedModel."
)


def load_variables(network: SimCLR, path: str) -> None:
    """Fills ``network`` with the values of the SavedModel at ``path``.

    Raises:
        ConfigError: a variable is missing, extra, or of another shape or dtype (the
            first in the network's order is named), or a file is missing or damaged.
    """
    _, specs = read_stage_file(path)
    named = named_variables(network)
    _check_same(named, specs, path)
    verify_saved_model(path)
    prefix = os.path.join(path, VARIABLES_PREFIX)
    try:
        _check_file(prefix, specs, path)
        checkpoint = tf.train.Checkpoint(variables=[named[spec.name] for spec in specs])
        checkpoint.read(prefix).assert_existing_objects_matched()
    except (
        tf.errors.OpError,
        IndexError,
        AssertionError,
    ) as error:  # IndexError: a short file
        reason = first_line(error)
        raise ConfigError(
            f"The variables in {prefix}.* are damaged or incomplete ({reason}). {COPY_AGAIN}"
        ) from error


def require_architecture(architecture: Architecture, path: str) -> None:
    """Compares a network that is never allocated with the SavedModel at ``path``.

    Raises:
        ConfigError: they differ; the first variable that does is named.
    """
    _, specs = read_stage_file(path)
    with unallocated():
        _check_same(named_variables(build_network(architecture)), specs, path)


def _check_same(named: dict[str, tf.Variable], specs: Sequence[VariableSpec], path: str) -> None:
    found = {spec.name: spec for spec in specs}
    for name, variable in named.items():
        expected = VariableSpec.of(name, variable)
        if found.get(name) != expected:
            raise _mismatch(path, name, str(expected), str(found.get(name, "no such variable")))
    for name, spec in found.items():
        if name not in named:
            raise _mismatch(path, name, "no such variable", str(spec))


def _mismatch(path: str, name: str, expected: str, found: str) -> ConfigError:
    return ConfigError(
        f"{path} doesn't fit the network, first at variable {name}: "
        f"expected {expected}, found {found}. {REMEDY}"
    )


def _check_file(prefix: str, specs: Sequence[VariableSpec], path: str) -> None:
    """Compares the variables file itself: a description beside foreign values must not pass."""
    reader = tf.compat.v1.train.NewCheckpointReader(prefix)
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    for i, spec in enumerate(specs):
        key = f"variables/{i}/.ATTRIBUTES/VARIABLE_VALUE"
        found = f"{dtypes[key].name} {shapes[key]}" if key in shapes else "no such variable"
        if found != str(spec):
            raise ConfigError(
                f"{prefix}.* doesn't fit {os.path.join(path, STAGE_FILE)}, first at variable {spec.name}: "
                f"expected {spec}, found {found}. {COPY_AGAIN}"
            )
