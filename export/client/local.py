"""The answers of a servable from a network on this machine, without a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from export.client.answers import Ask
from export.info import read_info
from export.servable.signatures import build_servable
from tf_simclr.config import ServableConfig
from tf_simclr.model.start import StartingPoint


def ask_local(start: StartingPoint, config: ServableConfig, signature: str) -> Ask:
    """Returns a function that answers for ``signature`` as a servable of ``start`` would."""
    servable = build_servable(start.load(), read_info(start.path), config, names=(signature,))
    function = servable.signatures[signature]

    def ask(name: str, encoded: Sequence[bytes]) -> Mapping[str, np.ndarray]:
        if name != signature:
            raise ValueError(f"Only {signature} was built. Received {name}.")
        return {key: value.numpy() for key, value in function(tf.constant(list(encoded), tf.string)).items()}

    return ask
