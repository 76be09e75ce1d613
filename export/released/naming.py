"""Which of the released namings a file has, and its names without what differs from file to file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from export.released.files import Stored
from tf_simclr.config import ConfigError

_MARKS = {  # What only names of one naming have.
    "tf1": re.compile(r"^(ema_model/)?base_model/"),
    "tf2": re.compile(r"(^|/)resnet(_\d+)?/"),
    "key": re.compile(r"(^|/)resnet_model/"),
}
_ROOTS = {
    "tf1": re.compile(r"^"),
    "tf2": re.compile(r"^(.*/)?(?=(resnet(_\d+)?|projection_head(_\d+)?|head_supervised(_\d+)?)/)"),
    "key": re.compile(r"^(.*/)?(?=(resnet_model|_projection_head|supervised_head)/)"),
}
EMA = "ema_model/"
# The optimizer's slots, counters and the queue of negatives: in the files, but no part of the network.
_OTHER = re.compile(
    r"(^|/)(global_step|save_counter|beta[12]_power)$|/(Momentum|Adam|Adam_1)$|memory"
    r"|^optimizer/|/\.OPTIMIZER_SLOT/"
)
# Keras numbers layers over a whole process, so that a file's numbers need not begin at 0.
_NUMBERED = re.compile(
    r"(conv2d_fixed_padding|conv2d|batch_norm_relu|batch_normalization|residual_block|bottleneck_block"
    r"|sk__conv2d|dense)(?:_(\d+))?"
)
Offsets = Mapping[str, int]


def choose_naming(stored: Sequence[Stored]) -> str:
    """Returns the naming that the file's names have, or else that of its object graph.

    Raises:
        ConfigError: neither is a released one.
    """
    for naming in ("tf1", "tf2"):
        if sum(bool(_MARKS[naming].search(entry.name)) for entry in stored) > 1:
            return naming
    if any(_MARKS["key"].search(entry.path) for entry in stored):
        return "key"
    shown = ", ".join(entry.name for entry in stored[:3])
    raise ConfigError(
        "it is no released SimCLR network: its variables are called neither base_model/... (TensorFlow 1) "
        f"nor resnet/... (TensorFlow 2), but {shown or 'there are none'}."
    )


def network_variables(stored: Sequence[Stored], naming: str, export_ema: bool) -> dict[str, Stored]:
    """Returns those of the network, by the name that a fresh process would have given them.

    ``export_ema`` takes the moving average of encoder and projection head, which some
    TensorFlow 1 checkpoints have, in place of the weights themselves.

    Raises:
        ConfigError: there is no moving average, or two variables have one name.
    """
    found: dict[str, Stored] = {}
    for entry in _of_network(stored, naming, export_ema):
        raw = entry.path if naming == "key" else entry.name.removesuffix(":0").removeprefix(EMA)
        name = _ROOTS[naming].sub("", raw)
        if name in found:
            raise ConfigError(f"two of its variables are called {name}, so it is not clear which is meant.")
        found[name] = entry
    return found


def _of_network(stored: Sequence[Stored], naming: str, export_ema: bool) -> list[Stored]:
    kept = [entry for entry in stored if not _OTHER.search(entry.path) and not _OTHER.search(entry.name)]
    averaged = [entry for entry in kept if entry.name.startswith(EMA)]
    own = [entry for entry in kept if not entry.name.startswith(EMA)]
    if not export_ema:
        return own
    if naming != "tf1" or not averaged:
        raise ConfigError("it has no moving average (ema_model/...). Leave out --export_ema.")
    names = {entry.name.removeprefix(EMA) for entry in averaged}
    supervised = [entry for entry in own if entry.name.startswith("head_supervised/")]
    return averaged + [entry for entry in supervised if entry.name not in names]


def canonical(names: Iterable[str], naming: str, offsets: Offsets | None = None) -> dict[str, str]:
    """Returns each name by its canonical form: without what a process may have changed.

    Raises:
        ConfigError: two names have one form.
    """
    found: dict[str, str] = {}
    for name in names:
        form = _canonical(name, offsets or {}) if naming == "tf2" else name
        if form in found:
            raise ConfigError(f"{found[form]} and {name} have one place in the network; one is left over.")
        found[form] = name
    return found


def _canonical(name: str, offsets: Offsets) -> str:
    root, *rest = name.replace("sync_batch_normalization", "batch_normalization").split("/")
    root = re.sub(r"_\d+$", "", root)
    return "/".join([root, *(_renumbered(part, root, offsets) for part in rest)])


def _renumbered(part: str, root: str, offsets: Offsets) -> str:
    match = _NUMBERED.fullmatch(part)
    if match is None:
        return part
    kind, number = match[1], int(match[2] or 0) - offsets.get(match[1], 0)
    return f"{kind}_{number}" if root == "resnet" and number else kind


def smallest_numbers(names: Iterable[str]) -> dict[str, int]:
    """Returns the smallest number of each kind of the encoder's layers."""
    smallest: dict[str, int] = {}
    for name in names:
        root, *parts = name.replace("sync_batch_normalization", "batch_normalization").split("/")
        for part in parts if root.startswith("resnet") else ():
            if match := _NUMBERED.fullmatch(part):
                kind, number = match[1], int(match[2] or 0)
                smallest[kind] = min(number, smallest.get(kind, number))
    return smallest
