"""From the settings of a client to what it asks."""

from __future__ import annotations

import re

from export.client.answers import Ask
from tf_simclr.config import RunConfig
from tf_simclr.model.start import StartingPoint


def connect(config: RunConfig, start: StartingPoint | None, signature: str) -> Ask:
    """Returns what answers for ``signature``: the server of ``--server``, or the network at ``start``."""
    client = config.client
    if client.server is None:
        from export.client.local import ask_local

        if start is None:
            raise ValueError("Without a server, a starting point is needed.")
        return ask_local(start, config.servable, signature)
    protocol, address = re.split("://", client.server.rstrip("/"), maxsplit=1)
    model, patience = config.servable.export_name, (client.request_timeout, client.request_retries)
    if protocol == "grpc":
        from export.client.grpc import ask_grpc

        return ask_grpc(address, model, *patience)
    from export.client.rest import ask_rest

    return ask_rest(f"{protocol}://{address}", model, *patience)
