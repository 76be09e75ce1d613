"""Pictures of how costs grow."""

from __future__ import annotations

import pathlib

from benchmarks.measure import Curve

SIDE_INCHES = (4.5, 3.2)
DOTS_PER_INCH = 90


def draw(curve: Curve, folder: pathlib.Path) -> pathlib.Path:
    """Writes ``<folder>/<curve.file>.png``; returns its path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(SIDE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    for number, (name, values) in enumerate(curve.lines.items()):
        axes.plot(curve.x, values, "o-" if number == 0 else "--", label=name)
    axes.set(title=curve.title, xlabel=curve.x_label, ylabel=curve.y_label)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if len(curve.lines) > 1:
        axes.legend()
    path = folder / f"{curve.file}.png"
    FigureCanvasAgg(figure).print_png(str(path))
    return path
