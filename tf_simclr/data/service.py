"""Batches that a tf.data service makes on other machines, in the order in which they were asked for.

The service hands every batch to one of its workers, whichever is free, and returns them as they
come. Each carries its number, and is given on when it is its turn: the stream is the same as without
a service, whatever the number of workers, so a stopped run goes on as ever.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import logging

from tf_simclr.config import ConfigError
from tf_simclr.data.in_order import in_order, plain_reason
from tf_simclr.data.source import RandomAccessSource, Source

TRIES, PAUSE = 4, 10.0  # s; a dispatcher that is started together with the run is there before the last try
# Bytes of pixels that a service may be sent as part of a graph. Protobuf ends at 2 GB, and run, dispatcher
# and worker together take ten times as much memory (measured with 0.3 to 1 GB).
MAX_SENT = 1_000_000_000

Batches = Callable[..., tf.data.Dataset]  # (batch_size, start, shard), see Stage.batches


def check_service(source: Source, split: str, address: str | None) -> None:
    """Raises ConfigError unless the service at ``address`` (None: none) can make batches of ``split``.

    ``source`` must be one that is read from any place at once, and the dispatcher must answer. Pixels
    that lie in memory must not be too many to be sent.
    """
    if address is None:
        return
    if not isinstance(source, RandomAccessSource):
        raise ConfigError(
            f"--data_service reads batches in any order, and --dataset={source.name} can only be read from "
            "its beginning. Add --cache_dataset, use folder:PATH or npz:PATH, or leave --data_service out."
        )
    _require_listener(address)
    require_sendable(source.name, source.sent_bytes(split))


def require_sendable(name: str, size: int) -> None:
    """Raises ConfigError if ``size`` bytes of pixels of --dataset=``name`` are more than MAX_SENT."""
    if size > MAX_SENT:
        raise ConfigError(
            f"--dataset={name} is read from memory here, so --data_service would have to send "
            f"{size / 1e9:.2f} GB of pixels to every worker; at most {MAX_SENT / 1e9:g} GB can be. Use "
            "folder:PATH without --cache_dataset, whose files workers read themselves, or leave "
            "--data_service out."
        )


def _require_listener(address: str) -> None:
    """Raises ConfigError unless something listens at ``address``: TensorFlow would try without an end."""
    host, _, port = address.removeprefix("grpc://").rpartition(":")
    for left in reversed(range(TRIES)):
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=PAUSE).close()
            return
        except (OSError, OverflowError, UnicodeError) as error:  # no host, no port, or no name of a host
            reason = error
        if left:
            logging.info(
                "--data_service=%s does not answer (%s). Waiting %d s for its dispatcher; tries left: %d.",
                *(address, reason, PAUSE, left),
            )
            time.sleep(PAUSE)
    raise ConfigError(
        f"--data_service={address} does not answer: {reason}. Start the dispatcher on {host} with "
        f"port={port}, and its workers, as docs/scale.md shows; then start the same command again, or leave "
        "--data_service out."
    )


def through_service(
    batches: Batches, address: str | None, *, batch_size: int, start: int, shard: tuple[int, int]
) -> tf.data.Dataset:
    """Returns ``batches(batch_size=…, start=…, shard=…)``, made by the service at ``address`` (None: here).

    ``batches`` must be pure functions of their arguments, and know ``start`` as a tensor. Raises ConfigError
    if what answers there is no such service.
    """
    if address is None:
        return batches(batch_size=batch_size, start=start, shard=shard)

    def numbered(number: tf.Tensor) -> tf.data.Dataset:
        first = start + number * batch_size * shard[1]
        one = batches(batch_size=batch_size, start=first, shard=shard).take(1)
        return one.map(lambda batch: (number, batch))

    stream = tf.data.Dataset.range(np.iinfo(np.int64).max).flat_map(numbered)
    service = tf.data.experimental.service
    try:  # Dynamic: a batch goes to one worker, and to no other.
        served = stream.apply(service.distribute(service.ShardingPolicy.DYNAMIC, address))
    except tf.errors.OpError as error:
        raise ConfigError(
            f"--data_service={address} does not answer as a dispatcher of TensorFlow {tf.__version__} does: "
            f"{plain_reason(error)}. Give the address of the dispatcher, not of a worker, and start it with "
            "this version."
        ) from error
    return in_order(served)
