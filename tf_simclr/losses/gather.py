"""Who supplies the columns of the contrastive loss: this replica alone, or all of them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import tensorflow as tf

from tf_simclr.replicas import gather_rows


class GatheredRows(NamedTuple):
    """Rows of all replicas, and where this replica's own rows stand among them."""

    rows: tf.Tensor  # [N, d], replica order
    offset: tf.Tensor | int  # index in ``rows`` of this replica's first row


class Gather(Protocol):
    """Takes this replica's rows [b, d] and returns everyone's."""

    def __call__(self, rows: tf.Tensor) -> GatheredRows:
        """Returns all rows [N, d] and the offset of this replica's."""


def local_rows(rows: tf.Tensor) -> GatheredRows:
    """The gather of one process: its rows are all rows."""
    return GatheredRows(rows=rows, offset=0)


def cross_replica_gather() -> Gather:
    """Returns a gather over the replicas of the current ``tf.distribute`` strategy.

    It is differentiable: a row's gradient is the sum over all replicas that used it
    as a column, so the sum over replicas of the per-replica losses, divided by the
    number of replicas, has the value and the gradient of the single-process loss.
    All replicas must hold equally many rows (training batches drop the remainder).

    Raises:
        RuntimeError: from the returned function, outside ``strategy.run``.
    """

    def gather(rows: tf.Tensor) -> GatheredRows:
        context = tf.distribute.get_replica_context()
        if context is None:
            raise RuntimeError(
                "cross_replica_gather was called outside a replica. "
                "Compute the loss inside a function given to strategy.run."
            )
        if context.num_replicas_in_sync == 1:
            return local_rows(rows)
        offset = context.replica_id_in_sync_group * tf.shape(rows)[0]
        return GatheredRows(rows=gather_rows(rows), offset=offset)

    return gather
