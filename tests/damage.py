"""Every way in which a file on a disk goes bad, at places spread over the whole file."""

RANGES = 16  # of equal length; each is damaged in turn


def damages(file):
    """Yields (name, damaged content) of a file; None as content: it is missing.

    A bit of each range is flipped, each range is zeroed, the file is cut at each range, and it is longer.
    """
    good = file.read_bytes()
    for part in range(RANGES):
        start, end = part * len(good) // RANGES, (part + 1) * len(good) // RANGES
        if start == end:
            continue
        middle = (start + end) // 2
        yield f"bit flipped at {middle}", good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :]
        yield f"zeros from {start} to {end}", good[:start] + bytes(end - start) + good[end:]
        yield f"cut at {start}", good[:start]
    yield "longer", good + b"\0"
    yield "missing", None
