"""Every variable of a file to one of the network; what is left over on either side is an error."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from export.released.files import Stored, VariablesFile
from export.released.infer import best_encoder, infer_architecture
from export.released.names import ReleasedVariable, released_variables
from export.released.naming import canonical, choose_naming, network_variables, smallest_numbers
from tf_simclr.config import ConfigError
from tf_simclr.model.network import Architecture, SimCLR, build_network, named_variables

SHOWN = 8  # names of one kind in an error text


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReleasedNetwork:
    """A released file, understood: what network it holds, and which variable is which."""

    file: VariablesFile
    naming: str
    architecture: Architecture
    found: Mapping[str, Stored]  # by canonical name
    variables: Mapping[str, Stored]  # the same, by our name

    @property
    def step(self) -> int:
        """Optimizer steps that it was trained for; 0 if the file doesn't say."""
        return self.file.step

    def load(self, architecture: Architecture) -> SimCLR:
        """Returns a network with the file's values; ``architecture`` has the same variables."""
        network = build_network(architecture)
        for name, variable in named_variables(network).items():
            variable.assign(self.file.value(self.variables[name]))
        return network


def open_released(prefix: str, *, image_size: int | None = None, export_ema: bool = False) -> ReleasedNetwork:
    """Returns the network in the checkpoint ``prefix``, its values still in the file.

    Raises:
        ConfigError: it's damaged, or no released network; or a variable is missing,
            surplus, of another shape or no float32. All that are wrong are named.
    """
    file = VariablesFile(prefix)
    try:
        naming = choose_naming(file.stored)
        found = _by_canonical_name(network_variables(file.stored, naming, export_ema), naming)
        shapes = {name: entry.shape for name, entry in found.items()}
        architecture = infer_architecture(shapes, naming, image_size)
        variables = match(found, architecture, naming)
    except ConfigError as error:
        raise ConfigError(f"{prefix}.* cannot be imported: {error}") from error
    return ReleasedNetwork(
        file=file, naming=naming, architecture=architecture, found=found, variables=variables
    )


def match(found: Mapping[str, Stored], architecture: Architecture, naming: str) -> dict[str, Stored]:
    """Returns the stored variable by our name, of every variable of ``architecture``.

    ``found`` is by canonical name.

    Raises:
        ConfigError: something doesn't fit, on either side.
    """
    rows = released_variables(architecture)
    by_name = {row.name(naming): row for row in rows}
    wanted = {name: by_name[own] for name, own in canonical(by_name, naming).items()}
    missing = [row.name(naming) for name, row in wanted.items() if name not in found]
    surplus = [_shown(entry, naming) for name, entry in found.items() if name not in wanted]
    wrong = [_difference(wanted[name], entry, naming) for name, entry in found.items() if name in wanted]
    problems = [
        _problem("missing", missing),
        _problem("not known, and left over", surplus),
        _problem("of another shape or type", [text for text in wrong if text]),
    ]
    if any(problems):
        raise ConfigError(
            f"it was taken for {describe(architecture)}, but these variables are "
            + "; ".join(problem for problem in problems if problem)
            + "."
        )
    return {row.ours: found[name] for name, row in wanted.items()}


def describe(architecture: Architecture) -> str:
    """Returns an architecture in a few words."""
    encoder = architecture.encoder
    kernels = " with selective kernels" if encoder.sk_ratio else ""
    return (
        f"a ResNet-{encoder.resnet_depth} {encoder.width_multiplier:g}x{kernels}, "
        f"{architecture.head_layers} head layers and {architecture.num_classes} classes"
    )


def _by_canonical_name(variables: Mapping[str, Stored], naming: str) -> dict[str, Stored]:
    """Returns the variables by canonical name; their numbers begin at 0 where that makes more sense."""
    choices = [canonical(variables, naming)]
    if naming == "tf2":
        choices.append(canonical(variables, naming, smallest_numbers(variables)))
    readings = [{name: variables[own] for name, own in choice.items()} for choice in choices]
    return max(readings, key=lambda reading: _share(reading, naming))


def _share(reading: Mapping[str, Stored], naming: str) -> float:
    return best_encoder({name: entry.shape for name, entry in reading.items()}, naming)[1]


def _shown(entry: Stored, naming: str) -> str:
    return entry.path if naming == "key" else entry.name


def _difference(row: ReleasedVariable, entry: Stored, naming: str) -> str:
    if entry.shape == row.shape and entry.dtype == "float32":
        return ""
    wanted, found = f"float32 {list(row.shape)}", f"{entry.dtype} {list(entry.shape)}"
    return f"{_shown(entry, naming)} (expected {wanted}, found {found})"


def _problem(kind: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{kind}: {', '.join(names[:SHOWN])}{more}"
