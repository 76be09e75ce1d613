"""From settings to an optimizer, and to the decay that is left for the loss."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_simclr.config import ConfigError, OptimizerConfig
from tf_simclr.optim.groups import ParameterGroups
from tf_simclr.optim.lars import LARS

NOTHING = "(?!)"  # A pattern that matches no name.


def build_optimizer(
    config: OptimizerConfig,
    schedule: float | keras.optimizers.schedules.LearningRateSchedule,
    groups: ParameterGroups,
) -> Any:
    """Returns the optimizer that ``config.optimizer`` names; call it inside ``strategy.scope()``.

    ``lars``: classic momentum and coupled decay; ``momentum``: SGD with Nesterov
    momentum; ``adam``: Keras's defaults; ``lamb``: TensorFlow Addons' LAMB, which decays
    by itself (decoupled, inside its trust ratio). What the loss must decay besides is
    :func:`loss_decayed_variables`.

    Raises:
        ConfigError: an unknown optimizer, or ``lamb`` where TensorFlow Addons is missing.
    """
    if config.optimizer == "lars":
        return LARS(
            schedule,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            no_decay=groups.no_decay,
            no_adaptation=groups.no_adaptation,
        )
    if config.optimizer == "momentum":
        return keras.optimizers.SGD(schedule, momentum=config.momentum, nesterov=True, jit_compile=False)
    if config.optimizer == "adam":
        return keras.optimizers.Adam(schedule, jit_compile=False)
    if config.optimizer == "lamb":
        return _lamb(config, schedule, groups)
    raise ConfigError(f"--optimizer={config.optimizer} is not valid. Use one of: lars, momentum, adam, lamb.")


def loss_decayed_variables(config: OptimizerConfig, groups: ParameterGroups) -> list[tf.Variable]:
    """Returns the variables whose decay is a term of the loss, so that none is decayed twice.

    ``lars``: the supervised kernels, which it excludes (as the official code does).
    ``lamb``: none. ``momentum`` and ``adam``, which have no decay of their own here:
    every variable but batch norm, biases included (again the official code).
    """
    if config.optimizer == "lars":
        return groups.head_kernels
    if config.optimizer == "lamb":
        return []
    return groups.decayed_in_loss


def _lamb(
    config: OptimizerConfig,
    schedule: float | keras.optimizers.schedules.LearningRateSchedule,
    groups: ParameterGroups,
) -> Any:
    """Returns LAMB; the supervised kernels are decayed by it but, as with LARS, not adapted."""
    try:
        from tensorflow_addons.optimizers import LAMB
    except ImportError as error:
        raise ConfigError(
            "--optimizer=lamb needs tensorflow-addons, whose last release is for Python 3.10 and 3.11 "
            f"(TensorFlow up to 2.15). It could not be imported here: {error}. "
            "Use --optimizer=lars or --optimizer=adam, or a Python 3.10 or 3.11 environment."
        ) from error

    def rate() -> Any:
        # Addons extends the Keras inside TensorFlow, which does not know tf_keras schedules.
        return schedule(optimizer.iterations) if callable(schedule) else schedule

    head_kernels = {variable.name for variable in groups.head_kernels}
    optimizer = LAMB(
        learning_rate=rate,
        weight_decay=config.weight_decay,
        exclude_from_weight_decay=_exact_patterns(groups.no_decay - head_kernels),
        exclude_from_layer_adaptation=_exact_patterns(groups.no_adaptation),
    )
    return optimizer


def _exact_patterns(names: Iterable[str]) -> list[str]:
    """Returns patterns that match these variables and their replicas' copies, and no other.

    Never empty: LAMB reads an empty list as "the same as for weight decay".
    """
    stems = [re.escape(name.partition(":")[0]) for name in sorted(names)]
    return [rf"^{stem}(/replica_\d+)?(:\d+)?$" for stem in stems] or [NOTHING]
