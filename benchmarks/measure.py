"""Time and memory: medians over repeats, alternating with a yardstick so that both see the same machine."""

from __future__ import annotations

import dataclasses
import multiprocessing
import pathlib
import re
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

REPEATS = 5
WARM_UP = 1
KIBIBYTE = 1024
MEBIBYTE = 2**20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: a work, its yardstick measured beside it, and how they compare.

    ``ratio`` says how many times better than its yardstick the work is: below 1 it is
    worse. A unit that ends in ``/s`` is a rate, of which more is better; of any other
    less is better.
    """

    work: str
    value: float
    unit: str
    yardstick: str
    yardstick_value: float
    note: str = ""

    @property
    def ratio(self) -> float:
        """Yardstick over value for what is better small, value over yardstick for a rate."""
        if self.unit.endswith("/s"):
            return self.value / self.yardstick_value
        return self.yardstick_value / self.value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """How a cost grows: lines by name over the same ``x``. ``file``: name of the picture, without ending."""

    file: str
    title: str
    x_label: str
    y_label: str
    x: list[float]
    lines: dict[str, list[float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What a measurement hands back."""

    rows: list[Row] = dataclasses.field(default_factory=list)
    curves: list[Curve] = dataclasses.field(default_factory=list)


def seconds_of(function: Callable[[], Any]) -> float:
    """Returns how long one call takes; the function must return only when its work is done."""
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def alternate(
    works: Mapping[str, Any],
    *,
    repeats: int = REPEATS,
    warm_up: int = WARM_UP,
    seconds: Callable[[Any], float] = seconds_of,
) -> dict[str, float]:
    """Returns the median ``seconds`` of each work, done in turns after ``warm_up`` unmeasured turns.

    Turns let a machine that slows down for a while slow all of them down alike.

    Raises:
        ValueError: ``repeats`` < 1.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be 1 or more. Received {repeats}.")
    for _ in range(warm_up):
        for work in works.values():
            seconds(work)
    turns = [{name: seconds(work) for name, work in works.items()} for _ in range(repeats)]
    return {name: statistics.median(turn[name] for turn in turns) for name in works}


def peak_bytes(function: Callable[..., Any], *arguments: Any) -> int:
    """Returns by how much a call raises the peak memory of a fresh process, after a call to warm it up.

    ``function`` is called as ``function(*arguments)`` after ``function(*arguments)`` of
    arguments 0 in place of each integer did the imports; it must be importable by name.
    """
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_peak_bytes, (function, arguments))


def _peak_bytes(function: Callable[..., Any], arguments: tuple[Any, ...]) -> int:
    function(*(0 if isinstance(argument, int) else argument for argument in arguments))
    before = resident_peak()
    function(*arguments)
    return resident_peak() - before


def resident_peak(process: int | str = "self") -> int:
    """Returns the largest resident size of a process so far, in bytes; 0 of one that ended (Linux)."""
    try:
        status = pathlib.Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * KIBIBYTE if found else 0
