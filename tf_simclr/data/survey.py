"""What a data set holds: sizes, classes, unusable and duplicate images, by reading all of it once."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_simclr.data.source import NO_LABEL, Examined, Source

_EXAMPLES = 10  # bad images and groups of duplicates that a report names


def survey(source: Source) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Returns the report of all splits, JSON-ready, and the unusable images: split, id, reason each.

    A duplicate is an image with the same bytes (of its file, or of its pixels where there is no file) as
    another; ``shared_images`` counts those of two splits, on which a test accuracy would be too good.
    """
    found = {split: source.examine(split) for split in source.splits}
    skipped = [
        {"split": split, "id": name, "reason": finding.reason}
        for split, examined in found.items()
        for name, finding in examined.pairs()
        if finding.reason
    ]
    splits = {split: _split_report(source.class_names, examined) for split, examined in found.items()}
    return {"dataset": source.name, "splits": splits, "shared_images": _shared(found)}, skipped


def _split_report(class_names: Sequence[str], examined: Examined) -> dict[str, Any]:
    usable = [found for found in examined.findings if found.reason is None]
    bad = [f"{name}: {found.reason}" for name, found in examined.pairs() if found.reason]
    groups = _groups(examined)
    is_usable = np.array([found.reason is None for found in examined.findings], bool)
    return {
        "images": len(examined.findings),
        "classes": _classes(class_names, examined.labels[is_usable]),
        "height": _spread([found.height for found in usable]),
        "width": _spread([found.width for found in usable]),
        "decoded_bytes": sum(found.decoded_bytes for found in usable),
        "bad_images": len(bad),
        "bad": bad[:_EXAMPLES],
        "duplicate_images": sum(len(group) - 1 for group in groups),
        "duplicates": groups[:_EXAMPLES],
    }


def _classes(names: Sequence[str], labels: np.ndarray) -> dict[str, Any]:
    """How many there are, and how many images the smallest and the largest have."""
    counts = np.bincount(labels[labels != NO_LABEL], minlength=len(names))
    about: dict[str, Any] = {"number": len(names), "images_without_label": int(np.sum(labels == NO_LABEL))}
    if len(names):
        smallest, largest = int(np.argmin(counts)), int(np.argmax(counts))
        about["smallest"] = {"name": names[smallest], "images": int(counts[smallest])}
        about["largest"] = {"name": names[largest], "images": int(counts[largest])}
    return about


def _spread(sides: Sequence[int]) -> dict[str, float] | None:
    if not sides:
        return None
    return {"min": min(sides), "median": float(np.median(sides)), "max": max(sides)}


def _groups(examined: Examined) -> list[list[str]]:
    """Ids of equal images, together; only groups of two and more."""
    equal = collections.defaultdict(list)
    for name, found in examined.pairs():
        if found.reason is None:
            equal[found.digest].append(name)
    return [group for group in equal.values() if len(group) > 1]


def _shared(found: Mapping[str, Examined]) -> dict[str, int]:
    """Images of each later split that an earlier one has too: "test in train" -> count."""
    digests = {split: [f.digest for f in of.findings if f.reason is None] for split, of in found.items()}
    return {
        f"{later} in {earlier}": int(np.isin(digests[later], digests[earlier]).sum())
        for earlier, later in itertools.combinations(digests, 2)
    }
