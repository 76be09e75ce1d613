"""``--cache_dataset=auto``: decoded images stay in memory where they fit."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from absl import logging

from tf_simclr.data.source import Source

# While it is filled, a cache takes up to three times its size; the last quarter is left to the network.
SHARE = 0.25  # of the memory that is free
_MEMORY = Path("/proc/meminfo")
_CONTAINER = Path("/sys/fs/cgroup")


def fits(source: Source, splits: Sequence[str]) -> bool:
    """Whether the pixels of ``splits`` take at most SHARE of the free memory; the log says it in a line."""
    needed, free = sum(source.decoded_bytes(split) for split in splits), free_memory()
    fitting = needed <= SHARE * free
    logging.info(
        "--cache_dataset=auto: decoded, the images of %s take %.3g GB, %s than %.0f%% of the %.3g GB of free "
        "memory. They are %s.",
        ", ".join(splits),
        needed / 1e9,
        "not more" if fitting else "more",
        100 * SHARE,
        free / 1e9,
        "kept in memory" if fitting else "decoded anew in every epoch",
    )
    return fitting


def free_memory() -> int:
    """Bytes of main memory that this process may still take: the machine's, or its container's if fewer."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if _MEMORY.exists():  # Linux counts here too what it only keeps of files.
        found = re.search(r"^MemAvailable:\s*(\d+) kB", _MEMORY.read_text(encoding="ascii"), re.MULTILINE)
        free = 1024 * int(found[1]) if found else free
    limit, used = _CONTAINER / "memory.max", _CONTAINER / "memory.current"
    if limit.exists() and used.exists() and (most := limit.read_text(encoding="ascii").strip()) != "max":
        free = min(free, int(most) - int(used.read_text(encoding="ascii")))
    return max(free, 0)
