"""What is due after a step: the one place that answers "save now?" and "stop now?"."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable

from tf_simclr.train.plan import TrainPlan
from tf_simclr.train.stop import StopRequest

SECONDS_A_MINUTE = 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class Due:
    """What follows a step, in this order."""

    log: bool
    save: bool
    evaluate: bool
    stop: bool


class Rhythm:
    """Decides by the plan, by the clock and by the signals that came.

    ``minutes`` is the longest time between two checkpoints; 0 = steps alone decide.
    ``agree`` makes one answer out of those of all workers, whose clocks and signals
    differ; every worker calls it at every step, the same number of times.
    """

    def __init__(
        self,
        plan: TrainPlan,
        stop: StopRequest,
        *,
        minutes: float,
        agree: Callable[[bool], bool] = bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan, self._stop, self._minutes = plan, stop, minutes
        self._agree, self._clock = agree, clock
        self._saved = clock()

    def steps_together(self, step: int, at_most: int, bounds: Iterable[int] = ()) -> int:
        """Returns how many steps from ``step`` on may run before anything is due by their number.

        ``bounds``: steps at which something else wants to be asked.
        """
        plan = self._plan
        ends = [plan.total_steps, step + at_most, *(bound for bound in bounds if bound > step)]
        for every in (plan.log_steps, plan.checkpoint_steps, plan.eval_steps):
            if every > 0:
                ends.append((step // every + 1) * every)
        return min(ends) - step

    def after(self, step: int) -> Due:
        """Returns what is due now that ``step`` steps are done."""
        is_last = step == self._plan.total_steps
        stops = self._agree(self._stop.is_made)
        saves = self._agree(self._is_time()) or stops or is_last or _is_due(step, self._plan.checkpoint_steps)
        if saves:
            self._saved = self._clock()
        return Due(
            log=is_last or _is_due(step, self._plan.log_steps),
            save=saves,
            evaluate=self.evaluates(step),
            stop=stops,
        )

    def evaluates(self, step: int) -> bool:
        """Whether ``step`` is followed by an evaluation; the last one is not part of the training."""
        return 0 < step < self._plan.total_steps and _is_due(step, self._plan.eval_steps)

    def _is_time(self) -> bool:
        seconds = self._minutes * SECONDS_A_MINUTE
        return seconds > 0 and self._clock() - self._saved >= seconds


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
