"""Medians in turns, ratios, memory, tables, pictures, and the command that joins them."""

import json
import pathlib

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import measure
from benchmarks.measure import Curve, Found, Row, alternate, peak_bytes
from benchmarks.peak_memory import peak_of
from benchmarks.plots import draw
from benchmarks.table import BEGIN, END, quantity, replace_between, table


def row(**changes):
    values = {"work": "w", "value": 2.0, "unit": "s", "yardstick": "y", "yardstick_value": 3.0}
    return Row(**(values | changes))


def test_functions_take_turns_and_the_first_turn_is_not_measured(monkeypatch):
    calls = []
    warm_up = [0.0, 99.0, 0.0, 99.0]
    clock = iter([*warm_up, 0.0, 1.0, 0.0, 10.0, 0.0, 3.0, 0.0, 30.0, 0.0, 2.0, 0.0, 20.0])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    seconds = alternate({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3)
    assert calls == ["a", "b"] * 4
    assert seconds == {"a": 2.0, "b": 20.0}


def test_no_repeats_are_refused():
    with pytest.raises(ValueError, match=r"repeats must be 1 or more. Received 0"):
        alternate({"a": int}, repeats=0)


def test_the_ratio_says_how_many_times_better_the_work_is():
    assert row().ratio == 1.5
    assert row(unit="images/s").ratio == pytest.approx(2 / 3)


def fill(size):
    return np.ones(size, np.uint8).sum()


def test_peak_memory_is_that_of_the_call():
    assert peak_bytes(fill, 64 * 2**20) == pytest.approx(64 * 2**20, rel=0.2)


def test_peak_memory_of_a_process_is_its_own():
    held = np.ones(64 * 2**20, np.uint8)  # which a process that is started from here must not be charged
    with_much = peak_of("-c", "x = bytearray(b'1') * 2**27; import time; time.sleep(0.2)")
    with_little = peak_of("-c", "import time; time.sleep(0.2)")
    assert with_much - with_little == pytest.approx(2**27, rel=0.1)
    assert with_little < 2**26
    assert held.all()


def test_a_process_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match="ended with status 3"):
        peak_of("-c", "raise SystemExit(3)")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12.345, "s", "12.3 s"),
        (0.0123, "s", "12.3 ms"),
        (4.5e-5, "s", "45.0 µs"),
        (1234.5, "images/s", "1,234 images/s"),
        (0.25, "GB", "0.250 GB"),
    ],
)
def test_quantities_have_three_digits(value, unit, text):
    assert quantity(value, unit) == text


def test_the_table_is_markdown():
    lines = table([row(note="n")]).splitlines()
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == [
        "w",
        "2.00 s",
        "y",
        "3.00 s",
        "1.50",
        "n",
    ]
    assert len({len(line) for line in lines}) == 1


def test_a_table_replaces_the_one_before_and_nothing_else(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    replace_between(path, r"new \1")
    assert path.read_text() == f"before\n{BEGIN}\n\nnew \\1\n\n{END}\nafter\n"
    path.write_text("nothing")
    with pytest.raises(ValueError, match="lacks the lines"):
        replace_between(path, "new")


def test_a_curve_becomes_a_small_picture(tmp_path):
    curve = Curve(file="c", title="t", x_label="x", y_label="y", x=[1, 2], lines={"a": [1, 2], "b": [2, 1]})
    content = draw(curve, tmp_path).read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) < 60_000


def test_the_command_measures_what_is_named_and_writes_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "MEASUREMENTS", {"training_step": "text"})
    monkeypatch.setattr("benchmarks.training_step.run", lambda: Found(rows=[row()]))
    command.main(["training_step"])
    written = json.loads(pathlib.Path("benchmarks.json").read_text())
    assert written["rows"][0] | {"note": ""} == {
        "work": "w",
        "value": 2.0,
        "unit": "s",
        "yardstick": "y",
        "yardstick_value": 3.0,
        "note": "",
        "ratio": 1.5,
    }
    assert written["machine"]["cores"] >= 1
    shown = capsys.readouterr()
    assert "| w" in shown.out
    assert "[1/1] training_step" in shown.err


def test_an_unknown_name_is_answered_with_those_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["speed"])
    assert ended.value.code == 2
    assert "no measurement 'speed'. There are: training_step, " in capsys.readouterr().err


def test_every_measurement_is_a_module_that_runs():
    folder = pathlib.Path(command.__file__).parent
    for name in command.MEASUREMENTS:
        assert "def run(" in (folder / f"{name}.py").read_text()
