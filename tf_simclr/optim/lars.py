"""LARS: momentum SGD with a step size for each variable (You et al. 2017, arXiv 1708.03888)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_simclr.optim.norms import norms

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

    def apply_gradients(
        self,
        grads_and_vars: Iterable[tuple[tf.Tensor | None, tf.Variable]],
        name: str | None = None,
        skip_gradients_aggregation: bool = False,
        **kwargs: Any,
    ) -> tf.Tensor:
        """See Keras; decays the gradients, and scales them with the trust ratios of all variables at once."""
        is_aggregated = not kwargs.pop("experimental_aggregate_gradients", True)
        pairs = [(gradient, variable) for gradient, variable in grads_and_vars if gradient is not None]
        if not (skip_gradients_aggregation or is_aggregated):
            pairs = self.aggregate_gradients(pairs)
        with tf.init_scope():
            self.build([variable for _, variable in pairs])
        return super().apply_gradients(self._steps(pairs), name, skip_gradients_aggregation=True, **kwargs)

    def _steps(self, pairs: Sequence[tuple[tf.Tensor, tf.Variable]]) -> list[tuple[tf.Tensor, tf.Variable]]:
        """Returns what :meth:`update_step` adds to each velocity, beside its variable."""
        decayed = [(self._decayed(gradient, variable), variable) for gradient, variable in pairs]
        if self.momentum_form == "popular":
            return decayed
        rate = tf.cast(self._rate_of_this_step(), tf.float32)
        scales = [rate] * len(decayed)
        adapted = [
            i for i, (_, variable) in enumerate(decayed) if self._index(variable) not in self._unadapted
        ]
        if adapted:
            ratios = self._trust_ratios([decayed[i] for i in adapted])
            for i, scale in zip(adapted, tf.unstack(rate * ratios), strict=True):
                scales[i] = scale
        return [
            (tf.cast(scale, gradient.dtype) * gradient, variable)
            for scale, (gradient, variable) in zip(scales, decayed, strict=True)
        ]

    def _rate_of_this_step(self) -> tf.Tensor:
        # Not `learning_rate`: Keras moves that on inside its own apply_gradients.
        rate = self._learning_rate
        is_schedule = isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
        return rate(self.iterations) if is_schedule else rate

    def _index(self, variable: tf.Variable) -> int:
        return self._index_dict[self._var_key(variable)]

    def _decayed(self, gradient: tf.Tensor, variable: tf.Variable) -> tf.Tensor:
        gradient = tf.convert_to_tensor(gradient)  # dense, also from IndexedSlices
        if self._index(variable) in self._undecayed:
            return gradient
        return gradient + self.coupled_weight_decay * variable

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Applies one update to one variable and its velocity. ``gradient``: from :meth:`_steps`."""
        velocity = self.momentums[self._index(variable)]
        if self.momentum_form == "popular":
            velocity.assign(self.momentum * velocity + gradient)
            ratio = 1.0
            if self._index(variable) not in self._unadapted:
                ratio = tf.cast(self._trust_ratios([(velocity, variable)])[0], variable.dtype)
            variable.assign_sub(tf.cast(self.learning_rate, variable.dtype) * ratio * velocity)
            return
        # One kernel that passes over the weights once, where three would make copies.
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=velocity.handle,
            lr=tf.ones([], variable.dtype),
            grad=gradient,
            momentum=tf.cast(self.momentum, variable.dtype),
            use_nesterov=self.momentum_form == "nesterov",
        )

    def _trust_ratios(self, pairs: Sequence[tuple[tf.Tensor, tf.Variable]]) -> tf.Tensor:
        """Returns eeta * ||w|| / ||direction|| of k pairs (direction, w), 1 where it has no meaning: [k].

        The arithmetic after the norms is done on vectors: a deep network has hundreds of
        weights, and as many small operations for each line of it otherwise.
        """
        weight_norms = norms([variable for _, variable in pairs])
        direction_norms = norms([direction for direction, _ in pairs])
        # A weight at 0 (a zero-initialised layer) could never leave it with ratio 0.
        is_meaningful = tf.logical_and(weight_norms > 0, direction_norms > 0)
        ratios = self.eeta * tf.math.divide_no_nan(weight_norms, direction_norms)
        return tf.where(is_meaningful, ratios, tf.ones_like(ratios))

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
