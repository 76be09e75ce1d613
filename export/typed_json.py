"""Parsed JSON to frozen dataclasses, every field checked."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, TypeVar

from tf_simclr.config import ConfigError

T = TypeVar("T")


def from_json(kind: type[T], value: Any, where: str) -> T:
    """Returns parsed JSON as the dataclass ``kind``, nested dataclasses and tuples included.

    Every field must be there, with its annotated type, and no other: a file of another
    version must not be half understood. ``where`` begins the names in error texts.

    Raises:
        ConfigError: a field is missing, unknown, of a wrong type or of a value that
            the dataclass refuses.
    """
    expected = typing.get_type_hints(kind)
    if not isinstance(value, dict):
        raise ConfigError(f"{where} must be a JSON object. Found {_shown(value)}.")
    for name in expected:
        if name not in value:
            raise ConfigError(f"{where}.{name} is missing.")
    for name in value:
        if name not in expected:
            raise ConfigError(f"{where}.{name} is unknown. Known fields: {', '.join(expected)}.")
    fields = {name: _checked(hint, value[name], f"{where}.{name}") for name, hint in expected.items()}
    try:
        return kind(**fields)
    except ValueError as error:  # ConfigError included: its text names a flag, not the place in the file
        raise ConfigError(f"{where} holds an impossible value: {error}") from error


def _checked(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_json(typing.cast(type, hint), value, where)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where} must be a list. Found {_shown(value)}.")
        item = typing.get_args(hint)[0]
        return tuple(_checked(item, entry, f"{where}[{i}]") for i, entry in enumerate(value))
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for kind in kinds:
        # bool is an int to Python, and JSON writes a whole float as an integer.
        if type(value) is kind or (kind is float and type(value) is int):
            return kind(value) if kind is float else value
    names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
    raise ConfigError(f"{where} must be {names}. Found {_shown(value)}.")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
