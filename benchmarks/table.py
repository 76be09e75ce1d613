"""The numbers as a table, and into the documentation."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.measure import Row

HEADER = ("work", "measured", "yardstick", "its value", "times as good", "remarks")
SIGNIFICANT = 3  # digits of a number
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"))


def table(rows: Iterable[Row]) -> str:
    """Returns the rows as a Markdown table whose columns are aligned in plain text too."""
    lines = [HEADER, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([texts[0], rule, *texts[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.work,
        quantity(row.value, row.unit),
        row.yardstick,
        quantity(row.yardstick_value, row.unit),
        f"{row.ratio:.2f}",
        row.note,
    )


def quantity(value: float, unit: str) -> str:
    """Returns a value with three digits and its unit, seconds in ms or µs where they are small."""
    if unit == "s":
        scale, prefix = next(((s, p) for s, p in _PREFIXES if abs(value) >= s), _PREFIXES[-1])
        value, unit = value / scale, prefix + unit
    digits = max(0, SIGNIFICANT - len(str(int(abs(value))))) if abs(value) >= 1 else SIGNIFICANT
    return f"{value:,.{digits}f} {unit}"


def machine_line(machine: Mapping[str, Any]) -> str:
    """Returns a sentence on where and when it was measured."""
    return (
        f"{machine['date']}, {machine['cores']} cores of {machine['processor']} "
        f"({', '.join(machine['extensions']) or 'no vector extensions'}), Python {machine['python']}, "
        f"TensorFlow {machine['tensorflow']}, float32; load before the start {machine['load']:.1f}; "
        f"{machine['seconds']:.0f} s for all."
    )


def replace_between(path: pathlib.Path, text: str) -> None:
    """Puts ``text`` between the markers in the file.

    Raises:
        ValueError: the markers are missing.
    """
    before = path.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(before):
        raise ValueError(f"{path} lacks the lines {BEGIN} and {END}, between which the table goes.")
    path.write_text(pattern.sub(lambda _: f"{BEGIN}\n\n{text}\n\n{END}", before), encoding="utf-8")
