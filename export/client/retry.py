"""Tries again what a server may answer later."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from absl import logging

from tf_simclr.errors import ServerError

FIRST_WAIT, LONGEST_WAIT = 0.1, 10.0  # seconds

T = TypeVar("T")


class TryAgain(Exception):
    """The server is not reachable, overloaded or late; its text says which."""


def with_retries(call: Callable[[], T], retries: int, sleep: Callable[[float], None] = time.sleep) -> T:
    """Returns ``call()``; while it raises :class:`TryAgain`, waits and calls again, ``retries`` times.

    A wait is random up to a bound that doubles from 0.1 s to 10 s, so that many clients
    of a server that returns don't come back at once.

    Raises:
        ServerError: it raised TryAgain once more.
    """
    for attempt in range(retries + 1):
        try:
            return call()
        except TryAgain as error:
            if attempt == retries:
                raise ServerError(
                    f"{error} Tried {retries + 1} times. Is the server running, and is it this address? More "
                    "patience: --request_retries, --request_timeout."
                ) from error
            wait = random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**attempt))
            logging.info("%s Trying again in %.1f s.", error, wait)
            sleep(wait)
    raise ValueError(f"retries must be 0 or more. Received {retries}.")
