"""Defaults that depend on the stage, on the built-in data set and on other flags.

Rates and weight decays are the published ones (SimCLRv2, section 3.1 and appendix F);
epochs are scaled to one ordinary machine, and ``flags/presets`` holds the full recipes.
"""

from __future__ import annotations

from typing import Any

from flags.settings import FIELD_DEFAULTS
from flags.unused import UNUSED
from tf_simclr.config import Mode

SMALL_DATASET = "digits"  # scikit-learn's 1,797 digits of 8 px

WARMUP_SHARE = 0.1  # The default warm-up takes at most this share of the epochs.

Values = dict[str, Any]


def _recipe(optimizer: str, rate: float, scaling: str, decay: float, epochs: int, warmup: float) -> Values:
    return {
        "optimizer": optimizer,
        "learning_rate": rate,
        "learning_rate_scaling": scaling,
        "weight_decay": decay,
        "train_epochs": epochs,
        "warmup_epochs": warmup,
    }


_BY_MODE: dict[Mode, Values] = {
    Mode.PRETRAIN: _recipe("lars", 0.1, "sqrt", 1e-4, 100, 10.0),
    Mode.FINETUNE: _recipe("lars", 0.005, "sqrt", 0.0, 60, 0.0) | {"checkpoint": "runs/pretrain"},
    Mode.LINEAR_EVAL: _recipe("momentum", 0.1, "linear", 0.0, 90, 0.0) | {"checkpoint": "runs/pretrain"},
    Mode.SUPERVISED: _recipe("momentum", 0.1, "linear", 1e-4, 90, 5.0),
    Mode.DISTILL: _recipe("lars", 0.1, "sqrt", 1e-4, 400, 20.0) | {"teacher": "runs/finetune"},
    Mode.EVAL: {"checkpoint": "runs/finetune"},
    Mode.KNN: {"checkpoint": "runs/pretrain"},
    Mode.EXPORT: {"checkpoint": "runs/distill"},
    Mode.PREDICT: {"checkpoint": "runs/distill"},
    Mode.EMBED: {"checkpoint": "runs/pretrain"},
    Mode.SERVE: {"checkpoint": "runs/distill"},
    Mode.IMPORT: {},
    Mode.CHECK_DATA: {},
}

_SMALL_NETWORK: Values = {"resnet_depth": 18, "width_multiplier": 0.25, "proj_out_dim": 64}

# A mirrored or closely cropped digit may be another digit, or none.
_SMALL_AUGMENT: Values = {"use_flip": False, "min_crop_area": 0.5}

_SMALL_BY_MODE: dict[Mode, Values] = {
    Mode.PRETRAIN: _recipe("momentum", 0.1, "none", 1e-4, 60, 4.0)
    | {
        "train_batch_size": 256,
        "min_crop_area": 0.3,
        "color_jitter_strength": 0.5,
        "use_blur": False,
        "temperature": 0.2,
    },
    Mode.FINETUNE: _recipe("momentum", 0.05, "none", 0.0, 100, 0.0) | {"train_batch_size": 64},
    Mode.LINEAR_EVAL: _recipe("momentum", 0.1, "linear", 0.0, 60, 0.0) | {"train_batch_size": 256},
    Mode.SUPERVISED: _recipe("momentum", 0.1, "none", 1e-4, 150, 5.0) | {"train_batch_size": 64},
    Mode.DISTILL: _recipe("momentum", 0.05, "none", 1e-4, 30, 3.0) | {"train_batch_size": 128},
}

# For an optimizer that is not the stage's own, whose published rate would be far off.
_RATE_OF_OPTIMIZER: dict[str, Values] = {
    "lars": {"learning_rate": 0.1, "learning_rate_scaling": "sqrt"},
    "momentum": {"learning_rate": 0.05, "learning_rate_scaling": "linear"},  # SimCLR, appendix B.5
    "adam": {"learning_rate": 1e-3, "learning_rate_scaling": "none"},
    "lamb": {"learning_rate": 2.2e-4, "learning_rate_scaling": "sqrt"},  # LAMB paper: 0.04 at batch 32,768
}


def default_values(
    mode: Mode, dataset: str, *, optimizer: str | None = None, train_epochs: int | None = None
) -> Values:
    """Returns the values of the flags that the user left out, where stage or data decide them.

    ``optimizer`` and ``train_epochs`` are what the user set, or None: a rate belongs to its
    optimizer, and a warm-up shrinks with the epochs. A name that is missing from the answer
    has the default of its dataclass.
    """
    if mode is Mode.DESCRIBE:
        mode = Mode.PRETRAIN
    values: Values = {"model_dir": f"runs/{mode.value}", **_BY_MODE[mode]}
    if dataset == SMALL_DATASET:
        small = _SMALL_NETWORK | _SMALL_AUGMENT | _SMALL_BY_MODE.get(mode, {})
        if optimizer not in (None, small.get("optimizer")):
            small = {name: value for name, value in small.items() if name not in _RATE_OF_OPTIMIZER["lars"]}
            small["optimizer"] = values.get("optimizer")
        values |= small
    if optimizer not in (None, values.get("optimizer")):
        values |= _RATE_OF_OPTIMIZER.get(str(optimizer), {})
    if train_epochs is not None and "warmup_epochs" in values:
        values["warmup_epochs"] = min(values["warmup_epochs"], WARMUP_SHARE * train_epochs)
    return values


def default_text(name: str) -> str:
    """Returns the sentence of a help text that tells the defaults of a stage-dependent flag."""
    general = _grouped(name, dataset="")
    small = _grouped(name, dataset=SMALL_DATASET)
    parts = [f"Default: {general}."] if general else []
    if small and small != general:
        parts.append(f"On {SMALL_DATASET}: {small}.")
    return " ".join(parts)


def _grouped(name: str, dataset: str) -> str:
    """``0.1 (pretrain, distill); 0.005 (finetune)``, or the bare value if all stages share it."""
    modes_of: dict[Any, list[str]] = {}
    for mode in Mode:
        if mode is Mode.DESCRIBE or name in UNUSED[mode]:
            continue
        fallback = FIELD_DEFAULTS[name] if mode.trains else None
        value = default_values(mode, dataset).get(name, fallback)
        if value is not None:
            modes_of.setdefault(value, []).append(mode.value)
    if len(modes_of) == 1 and FIELD_DEFAULTS[name] is not None:
        return str(next(iter(modes_of)))
    return "; ".join(f"{value} ({', '.join(modes)})" for value, modes in modes_of.items())
