"""LARS: momentum SGD with a step size for each variable (You et al. 2017, arXiv 1708.03888)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

MOMENTUM_FORMS = ("classic", "nesterov", "popular")


@keras.saving.register_keras_serializable(package="tf_simclr")
class LARS(keras.optimizers.Optimizer):
    """Layer-wise adaptive rate scaling, as SimCLR trains with.

    For a weight w with gradient g, velocity v, rate lr:

        g <- g + weight_decay * w                     (coupled decay)
        ratio = eeta * ||w|| / ||g||                  (1 if either norm is 0)
        classic:   v <- momentum * v + lr * ratio * g;   w <- w - v
        nesterov:  v as classic;                         w <- w - (momentum * v + lr * ratio * g)
        popular:   v <- momentum * v + g, ratio from v;  w <- w - lr * ratio * v

    ``classic`` has the rate inside the velocity, so a falling rate does not rescale
    what has been gathered; it is what the paper's runs use. ``popular`` has it outside.

    Args:
        learning_rate: float or schedule.
        momentum: in [0, 1).
        weight_decay: 0 or more. Keras's own (decoupled) decay stays off.
        eeta: > 0, trust coefficient.
        momentum_form: one of the three above.
        no_decay: names (``tf.Variable.name``, exact) of variables without decay.
        no_adaptation: names of variables whose ratio is always 1.
        name: name of the optimizer.

    Raises:
        ValueError: a number out of range or an unknown form; at the first update, if
            names are given and none of them belongs to a trained variable.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        eeta: float = 0.001,
        momentum_form: str = "classic",
        no_decay: Collection[str] = (),
        no_adaptation: Collection[str] = (),
        name: str = "LARS",
    ) -> None:
        # None: Keras would apply `weight_decay` to the weight, outside the trust ratio.
        super().__init__(name=name, weight_decay=None, jit_compile=False)
        _check_settings(momentum, weight_decay, eeta, momentum_form)
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.momentum = momentum
        self.coupled_weight_decay = weight_decay
        self.eeta = eeta
        self.momentum_form = momentum_form
        self.no_decay = frozenset(no_decay)
        self.no_adaptation = frozenset(no_adaptation)

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Creates a zero velocity for each variable and settles who is decayed and adapted."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        names = [variable.name for variable in var_list]
        _require_overlap("no_decay", self.no_decay, names)
        _require_overlap("no_adaptation", self.no_adaptation, names)
        # By position: inside a replica a variable's own name has a suffix such as /replica_1.
        self._undecayed = frozenset(i for i, name in enumerate(names) if name in self.no_decay)
        self._unadapted = frozenset(i for i, name in enumerate(names) if name in self.no_adaptation)
        self.momentums = [self.add_variable_from_reference(variable, "momentum") for variable in var_list]
        self._built = True

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Applies one update to one variable and its velocity."""
        index = self._index_dict[self._var_key(variable)]
        velocity = self.momentums[index]
        rate = tf.cast(self.learning_rate, variable.dtype)
        gradient = tf.convert_to_tensor(gradient)  # dense, also from IndexedSlices
        if index not in self._undecayed:
            gradient += self.coupled_weight_decay * variable

        if self.momentum_form == "popular":
            velocity.assign(self.momentum * velocity + gradient)
            variable.assign_sub(rate * self._trust_ratio(variable, velocity, index) * velocity)
            return
        step = rate * self._trust_ratio(variable, gradient, index) * gradient
        velocity.assign(self.momentum * velocity + step)
        variable.assign_sub(self.momentum * velocity + step if self.momentum_form == "nesterov" else velocity)

    def _trust_ratio(self, variable: tf.Variable, direction: tf.Tensor, index: int) -> tf.Tensor | float:
        """Returns eeta * ||w|| / ||direction||, or 1 where it has no meaning or is not wanted."""
        if index in self._unadapted:
            return 1.0
        weight_norm = tf.norm(variable)
        direction_norm = tf.norm(direction)
        # A weight at 0 (a zero-initialised layer) could never leave it with ratio 0.
        is_meaningful = tf.logical_and(weight_norm > 0, direction_norm > 0)
        ratio = self.eeta * tf.math.divide_no_nan(weight_norm, direction_norm)
        return tf.where(is_meaningful, ratio, tf.ones_like(ratio))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments; names as sorted lists."""
        return {
            "learning_rate": self._serialize_hyperparameter(self._learning_rate),
            "momentum": self.momentum,
            "weight_decay": self.coupled_weight_decay,
            "eeta": self.eeta,
            "momentum_form": self.momentum_form,
            "no_decay": sorted(self.no_decay),
            "no_adaptation": sorted(self.no_adaptation),
            "name": self.name,
        }


def _check_settings(momentum: float, weight_decay: float, eeta: float, momentum_form: str) -> None:
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must be in [0, 1). Received {momentum}.")
    if weight_decay < 0:
        raise ValueError(f"weight_decay must be 0 or more. Received {weight_decay}.")
    if not eeta > 0:
        raise ValueError(f"eeta must be greater than 0. Received {eeta}.")
    if momentum_form not in MOMENTUM_FORMS:
        raise ValueError(
            f"momentum_form={momentum_form!r} is not valid. Use one of: {', '.join(MOMENTUM_FORMS)}."
        )


def _require_overlap(argument: str, excluded: frozenset[str], names: Sequence[str]) -> None:
    # Names that match nothing would switch decay on for batch norm without a word.
    if excluded and excluded.isdisjoint(names):
        raise ValueError(
            f"None of the {len(excluded)} names in {argument} is a trained variable. They begin with "
            f"{sorted(excluded)[0]!r}; trained variables are {names[0]!r}, ... "
            "Give exact names, as tf.Variable.name has them."
        )
