"""What the steps since the last line of the metrics measured, and whether all of it is a number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from tf_simclr.errors import NonFiniteError

GRADIENT_NORMS = "gradient_norms"  # of a step's metrics: float [variables]; no scalar, and not logged
STATE_STEPS, STATE_SKIPPED = "steps", "skipped_in_a_row"
WHAT_TO_TRY = (
    "Lower --learning_rate, raise --temperature or --warmup_epochs, and start again with --overwrite (the "
    "old run is kept beside it). Or go on from the last checkpoint without such steps: --on_nonfinite=skip."
)


class Window:
    """Collects the metrics of steps.

    Args:
        variables: names of the trained variables, in the order of ``gradient_norms``.
        tolerated: how many steps in a row may be no numbers; the train step has left
            them out then, and so do the means. 0: none.
    """

    def __init__(self, variables: Sequence[str], tolerated: int = 0) -> None:
        self._variables, self._tolerated = variables, tolerated
        self._steps: list[dict[str, float]] = []
        self._new: list[tuple[int, Mapping[str, tf.Tensor]]] = []
        self._skipped_in_a_row = 0

    def __len__(self) -> int:
        return len(self._steps) + len(self._new)

    def add(self, step: int, metrics: Mapping[str, tf.Tensor]) -> None:
        """Takes what step number ``step`` measured, without waiting for it to be computed."""
        self._new.append((step, metrics))

    def newest(self, name: str) -> float:
        """Returns what the newest step measured as ``name``; NaN without a step."""
        if self._new:
            return float(self._new[-1][1][name])
        return self._steps[-1][name] if self._steps else math.nan

    def require_finite(self) -> None:
        """Looks at the steps that were added since the last call.

        Raises:
            NonFiniteError: more of them in a row than tolerated are no numbers.
        """
        for step, metrics in self._new:
            norms = metrics.get(GRADIENT_NORMS)
            values = {name: float(value) for name, value in metrics.items() if name != GRADIENT_NORMS}
            self._steps.append(values)
            if is_finite(values):
                self._skipped_in_a_row = 0
                continue
            self._skipped_in_a_row += 1
            problem = self._problem(step, values, [] if norms is None else np.asarray(norms).tolist())
            if self._skipped_in_a_row > self._tolerated:
                raise NonFiniteError(problem + self._advice())
            logging.warning("%s. The step is left out.", problem)
        self._new.clear()

    def means(self) -> dict[str, float]:
        """Returns the means over the steps that are numbers, and how many were skipped where that may be."""
        good = [values for values in self._steps if is_finite(values)]
        means = {name: float(np.mean([values[name] for values in good])) for name in (good or [{}])[0]}
        if self._tolerated:
            means["skipped_steps"] = float(len(self._steps) - len(good))
        return means

    def clear(self) -> None:
        """Begins anew."""
        self._steps.clear()

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint keeps of it."""
        return {STATE_STEPS: self._steps, STATE_SKIPPED: self._skipped_in_a_row}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes what :meth:`state` gave."""
        self._steps = list(state.get(STATE_STEPS, []))
        self._skipped_in_a_row = int(state.get(STATE_SKIPPED, 0))

    def _problem(self, step: int, values: Mapping[str, float], norms: Sequence[float]) -> str:
        shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        return f"Training became non-finite at step {step}: {shown}{self._largest_gradient(norms)}"

    def _largest_gradient(self, norms: Sequence[float]) -> str:
        """Names the layer with the largest gradient; one that is no number counts as larger than any."""
        squares: dict[str, float] = {}
        for name, norm in zip(self._variables, norms, strict=False):
            layer = name.rsplit("/", 1)[0]
            squares[layer] = squares.get(layer, 0.0) + norm * norm
        if not squares:
            return ""
        first = next((layer for layer, square in squares.items() if math.isnan(square)), None)
        largest = first or max(squares, key=lambda layer: squares[layer])
        bad = sum(not math.isfinite(square) for square in squares.values())
        others = f", as in {bad - 1} other layer{'s' * (bad > 2)}" if bad > 1 else ""
        return f"; largest gradient: {largest} ({math.sqrt(squares[largest]):.4g}{others})"

    def _advice(self) -> str:
        if not self._tolerated:
            return f". Nothing of it is saved. {WHAT_TO_TRY}"
        return (
            f". It is the {self._skipped_in_a_row}th such step in a row, and --max_nonfinite_steps="
            f"{self._tolerated}. Lower --learning_rate, and start again with --overwrite."
        )


def is_finite(values: Mapping[str, float]) -> bool:
    """Whether all values are numbers."""
    return all(math.isfinite(value) for value in values.values())
