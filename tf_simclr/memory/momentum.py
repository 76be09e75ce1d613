"""The momentum network: a moving average of the network that is trained (SimCLRv2, section 2)."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tf_simclr.model.network import SimCLR, build_network, named_variables


def momentum_copy(network: SimCLR) -> SimCLR:
    """Returns a network of the same architecture and values, whose variables no optimizer trains.

    Call it inside ``strategy.scope()``. Every replica keeps its own copy of the variables,
    so that an update needs no communication.
    """
    with tf.variable_creator_scope(_replica_local):
        copy = build_network(network.architecture)
    values = named_variables(network)
    for name, variable in named_variables(copy).items():
        variable.assign(values[name])
    return copy


def move_towards(network: SimCLR, average: SimCLR, momentum: float) -> None:
    """Moves ``average`` to momentum * average + (1 - momentum) * network, moving statistics included.

    Runs inside a replica, after the optimizer's update of ``network``.
    """
    values = named_variables(network)
    for name, variable in named_variables(average).items():
        variable.assign(momentum * variable + (1.0 - momentum) * values[name])


def _replica_local(next_creator: Any, **options: Any) -> tf.Variable:
    options["trainable"] = False
    options["synchronization"] = tf.VariableSynchronization.ON_READ
    if options.get("aggregation") in (None, tf.VariableAggregation.NONE):
        options["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
    return next_creator(**options)
