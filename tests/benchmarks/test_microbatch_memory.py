import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SMALL = ["--batch=8", "--depth=18", "--size=32", "--steps=1"]


def measured(*options):
    command = [sys.executable, "-m", "benchmarks.microbatch_memory", *SMALL, *options]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_number_of_portions_is_compared_with_the_first():
    done = measured("--slices=1,2")
    rows = [line.split() for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == ["1", "2"], done.stderr
    assert rows[0][2] == rows[0][4] == rows[0][6] == "1.00x"
    assert all(float(number) > 0 for row in rows for number in (row[1], row[3], row[5]))


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--slices=3", "--slices: 3 portions do not divide a batch of 8 evenly."),
        ("--depth=17", "error: a measured process ended; what it wrote is above."),
    ],
)
def test_mistakes_are_told_in_a_sentence(option, text):
    done = measured(option)
    assert done.returncode != 0 and text in done.stderr
