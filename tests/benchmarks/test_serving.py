"""A server under clients, at tiny size."""

import pytest

from benchmarks import serving


@pytest.mark.slow
def test_a_server_is_measured_over_both_interfaces():
    rows = serving.run(
        network=("--resnet_depth=18", "--width_multiplier=0.05"), clients=[1, 2], requests=4
    ).rows
    assert [row.work.split(",")[:2] for row in rows] == [
        ["gRPC", " 1 client"],
        ["gRPC", " 2 clients"],
        ["REST", " 1 client"],
        ["REST", " 2 clients"],
    ]
    assert all(row.value > 0 for row in rows)
