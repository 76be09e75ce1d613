"""The one error of wrong settings, and the checks that raise it."""

from __future__ import annotations

from typing import Any


class ConfigError(ValueError):
    """A wrong value or combination; its text is what the user reads."""


def require(condition: bool, message: str) -> None:
    """Raises ConfigError with ``message`` unless ``condition``."""
    if not condition:
        raise ConfigError(message)


def require_choice(name: str, value: Any, valid: tuple[Any, ...]) -> None:
    """Raises ConfigError unless ``value`` of flag ``name`` is among ``valid``."""
    listed = ", ".join(str(choice) for choice in valid)
    require(value in valid, f"--{name}={value} is not a valid choice. Use one of: {listed}.")


def require_positive(name: str, value: float) -> None:
    """Raises ConfigError unless ``value`` of flag ``name`` is above 0."""
    require(value > 0, f"--{name} must be greater than 0. Received {value}.")


def require_not_negative(name: str, value: float) -> None:
    """Raises ConfigError unless ``value`` of flag ``name`` is 0 or more."""
    require(value >= 0, f"--{name} must be 0 or more. Received {value}.")
