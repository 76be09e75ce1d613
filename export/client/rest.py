"""A model server's REST interface: TF Serving's, or that of ``--mode=serve``."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from export.client.answers import Ask
from export.client.retry import TryAgain, with_retries
from tf_simclr.errors import ServerError

PASSING = (503, 504)


def ask_rest(url: str, model: str, timeout: float, retries: int) -> Ask:
    """Returns a function that asks ``model`` at ``url`` (http://host:port); ``timeout`` in seconds a try."""
    address = f"{url}/v1/models/{model}:predict"

    def once(body: bytes) -> dict[str, Any]:
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return json.loads(response.read())["outputs"]
        except urllib.error.HTTPError as error:
            text = f"{address} answered {error.code}: {_message(error.read())}."
            raise TryAgain(text) if error.code in PASSING else ServerError(text) from error
        except (OSError, http.client.HTTPException) as error:  # refused, cut off or late
            raise TryAgain(f"{address} does not answer: {getattr(error, 'reason', error)}.") from error
        except (ValueError, KeyError) as error:
            raise ServerError(f"{address} answers, but not as a model server does.") from error

    def ask(signature: str, encoded: Sequence[bytes]) -> Mapping[str, np.ndarray]:
        images = [{"b64": base64.b64encode(data).decode()} for data in encoded]
        body = json.dumps({"signature_name": signature, "inputs": {"image_bytes": images}}).encode()
        outputs = with_retries(lambda: once(body), retries)
        return {name: np.array(values) for name, values in outputs.items()}

    return ask


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
