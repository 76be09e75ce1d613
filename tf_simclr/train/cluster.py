"""What the environment variable TF_CONFIG tells a process of the other workers of its run."""

from __future__ import annotations

import json
import re
from typing import Any

from tf_simclr.config import ConfigError

ROLES = ("chief", "worker")
ADDRESS = re.compile(r"(\[[\da-fA-F:.]+\]|[^\s:/\[\]]+):(\d{1,5})")  # HOST:PORT
MAX_PORT = 65535


def all_addresses(text: str) -> list[str]:
    """Returns HOST:PORT of every worker, the chief's first; [] where ``text`` names none.

    Raises:
        ConfigError: it is no JSON, or a role has something else than a list of different addresses.
    """
    return [address for listed in _by_role(text).values() for address in listed]


def own_address(text: str) -> str:
    """Returns HOST:PORT of this process.

    Raises:
        ConfigError: ``text`` does not say which of the workers this process is.
    """
    if not text:
        raise _cluster_error("is not set", text)
    by_role, task = _by_role(text), _part(text, "task")
    if not by_role:
        raise _cluster_error("names no worker", text)
    kind, index = task.get("type"), str(task.get("index"))
    if kind not in by_role:
        raise _cluster_error(f"gives the task type {kind!r}, which is none of {list(by_role)}", text)
    listed = by_role[kind]
    if not (index.isascii() and index.isdigit() and int(index) < len(listed)):
        raise _cluster_error(
            f"gives the task index {task.get('index')!r}, which is none of {list(range(len(listed)))}", text
        )
    return listed[int(index)]


def _cluster_error(what: str, text: str) -> ConfigError:
    """Returns the error of a TF_CONFIG, ``text``, of which ``what`` is wrong."""
    return ConfigError(
        f"TF_CONFIG, which tells the workers of a run of each other, {what}: {text!r}. Set this environment "
        'variable on each machine to {"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
        '"task": {"type": "worker", "index": 0}}, with index 0, 1, ... in the order of the list, or give '
        "--strategy=one_device or mirrored, which do not read it."
    )


def _by_role(text: str) -> dict[str, list[str]]:
    found = _part(text, "cluster")
    by_role = {role: found[role] for role in ROLES if role in found}
    for role, listed in by_role.items():
        if not isinstance(listed, list):
            raise _cluster_error(f"gives {listed!r} as {role} where a list belongs", text)
        for address in listed:
            if not _is_address(address):
                raise _cluster_error(f"gives {address!r} as {role} where HOST:PORT belongs", text)
    every = [address for listed in by_role.values() for address in listed]
    for address in every:
        if every.count(address) > 1:
            raise _cluster_error(f"names {address!r} twice", text)
    return by_role


def _part(text: str, name: str) -> dict[str, Any]:
    """Returns an object of the object ``text``; {} where it is left out."""
    try:
        found = json.loads(text or "{}").get(name, {})
    except (ValueError, AttributeError):
        raise _cluster_error("is no JSON object", text) from None
    if not isinstance(found, dict):
        raise _cluster_error(f"gives {found!r} as {name}", text)
    return found


def _is_address(value: Any) -> bool:
    match = ADDRESS.fullmatch(value) if isinstance(value, str) else None
    return match is not None and 0 < int(match[2]) <= MAX_PORT
