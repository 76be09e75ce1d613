"""Where a profiled step spent its time, without TensorBoard.

    python -m benchmarks.profile_table RUN_DIRECTORY

prints, of the newest profile that ``--profile_steps`` left there, the kinds of operations with the most time:
on the host, or on the GPUs where there are any.
"""

from __future__ import annotations

import collections
import pathlib
import re
import sys
from collections.abc import Iterator

MOST = 20  # lines of the table
PICOSECONDS = 1e12
USAGE = "Usage: python -m benchmarks.profile_table DIRECTORY, of a run with --profile_steps"
_OPERATION = re.compile(r"[^$:][^:]*:(?P<kind>\w+)(#.*)?")  # "name:Kind" or "name:Kind#attributes"


def main(arguments: list[str]) -> str:
    """Returns the table. Raises SystemExit with a sentence on a user's mistake."""
    if len(arguments) != 1:
        sys.exit(f"error: received {' '.join(arguments) or 'no argument'}. {USAGE}")
    profiles = sorted(pathlib.Path(arguments[0]).glob("**/plugins/profile/*/*.xplane.pb"))
    if not profiles:
        sys.exit(f"error: {arguments[0]} holds no profile. Record one with --profile_steps=10,12.")
    return table(profiles[-1])


def table(profile: pathlib.Path) -> str:
    """Returns the kinds of operations in a profile by their total time, in ms, and how often each ran."""
    seconds: dict[str, float] = collections.defaultdict(float)
    times: collections.Counter[str] = collections.Counter()
    for kind, duration in _events(profile):
        seconds[kind] += duration
        times[kind] += 1
    total = sum(seconds.values()) or 1.0
    lines = [f"{'ms':>10} {'%':>6} {'times':>7}  operation"]
    for kind, value in sorted(seconds.items(), key=lambda item: -item[1])[:MOST]:
        lines.append(f"{1e3 * value:10.1f} {100 * value / total:6.1f} {times[kind]:7d}  {kind}")
    lines.append(f"{1e3 * total:10.1f} {100:6.1f} {sum(times.values()):7d}  all, some at the same time")
    return "\n".join(lines)


def _events(profile: pathlib.Path) -> Iterator[tuple[str, float]]:
    """Yields kind and seconds of every operation."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace.FromString(profile.read_bytes())
    devices = [plane for plane in space.planes if plane.name.startswith("/device:GPU")]
    for plane in devices or space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                found = _OPERATION.fullmatch(name)
                if devices or (found and "::" not in name):
                    yield name if devices else found["kind"], event.duration_ps / PICOSECONDS  # type: ignore[index]


if __name__ == "__main__":
    print(main(sys.argv[1:]))
