"""The loop that all stages share: restore, train, log, evaluate, save."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from tf_simclr.optim.build import build_optimizer
from tf_simclr.train.checkpoint import Checkpoints
from tf_simclr.train.plan import TrainPlan
from tf_simclr.train.progress import Progress
from tf_simclr.train.run_directory import RunDirectory
from tf_simclr.train.stage import Stage
from tf_simclr.train.step import build_train_step

# Accuracy of the network as it is; {} where there is nothing to count.
Evaluate = Callable[[], dict[str, float]]


class NonFiniteLossError(FloatingPointError):
    """The loss or a gradient is no number any more; nothing after the last checkpoint is kept."""


class Loop:
    """Trains one stage from where its run directory stands to the end of its plan."""

    def __init__(
        self,
        stage: Stage,
        plan: TrainPlan,
        directory: RunDirectory,
        strategy: tf.distribute.Strategy,
        evaluate: Evaluate,
    ) -> None:
        self._stage, self._plan, self._directory, self._strategy = stage, plan, directory, strategy
        self._evaluate = evaluate
        with strategy.scope():
            optimizer = build_optimizer(stage.config.optimizer, plan.schedule, stage.groups)
            self._checkpoints = Checkpoints(
                directory.checkpoints,
                stage.network,
                optimizer,
                stage.config.train.keep_checkpoint_max,
                stage.extra_trackables(),
            )
        self._train_step = build_train_step(stage, optimizer, strategy)
        self._window: list[dict[str, tf.Tensor]] = []
        self._clock = time.monotonic()

    def run(self) -> dict[str, float]:
        """Returns the final evaluation.

        Raises:
            NonFiniteLossError: a loss or gradient norm is not finite.
            ConfigError: the newest checkpoint is damaged.
        """
        first = self._checkpoints.restore()
        self._directory.cut_metrics(first, is_finished=first >= self._plan.total_steps)
        self._summaries = tf.summary.create_file_writer(self._directory.summaries)
        if first < self._plan.total_steps:
            self._train(first)
        final = self._evaluate()
        if final:
            self._record(self._plan.total_steps, final, "eval")
        self._summaries.close()
        return final

    def _train(self, first: int) -> None:
        batches = iter(self._batches(first))
        progress = Progress(self._stage.config.mode.value, self._plan.total_steps, first)
        self._clock = time.monotonic()
        try:
            for step in range(first + 1, self._plan.total_steps + 1):
                self._window.append(self._train_step(next(batches)))
                self._after(step)
                progress.update(step, lambda step=step: self._text(step))  # type: ignore[misc]
        finally:
            progress.close()

    def _batches(self, first: int) -> Any:
        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            return self._stage.batches(
                batch_size=context.get_per_replica_batch_size(self._plan.batch_size),
                start=first * self._plan.batch_size,
                shard=(context.input_pipeline_id, context.num_input_pipelines),
            )

        return self._strategy.distribute_datasets_from_function(of_worker)

    def _after(self, step: int) -> None:
        """Does what is due after ``step`` steps."""
        plan = self._plan
        is_last = step == plan.total_steps
        if is_last or _is_due(step, plan.log_steps) or _is_due(step, plan.checkpoint_steps):
            self._log(step)
        pause = time.monotonic()
        if is_last or _is_due(step, plan.checkpoint_steps):
            self._checkpoints.save()
        if not is_last and _is_due(step, plan.eval_steps) and (found := self._evaluate()):
            self._record(step, found, "eval")
            logging.info("%s: epoch %.1f, top-1 %.2f%%", self._mode, plan.epoch(step), 100 * found["top_1"])
        self._clock += time.monotonic() - pause

    @property
    def _mode(self) -> str:
        return self._stage.config.mode.value

    def _log(self, step: int) -> None:
        """Writes the means since the last call, and refuses those that are no numbers."""
        values = {name: float(np.mean([m[name] for m in self._window])) for name in self._window[0]}
        _require_finite(values, step)
        seconds = max(time.monotonic() - self._clock, 1e-9)
        values["learning_rate"] = float(self._plan.schedule(step - 1))
        values["images_per_second"] = len(self._window) * self._plan.batch_size / seconds
        self._record(step, values, "train")
        self._window.clear()
        self._clock = time.monotonic()

    def _record(self, step: int, values: Mapping[str, float], kind: str) -> None:
        named = {f"{kind}/{name}": value for name, value in values.items()}
        self._directory.append_metrics({"step": step, "epoch": self._plan.epoch(step), **named})
        with self._summaries.as_default(step=step):
            for name, value in named.items():
                tf.summary.scalar(name, value)

    def _text(self, step: int) -> str:
        parts = [f"epoch {self._plan.epoch(step):.1f}"]
        if self._window:
            seconds = max(time.monotonic() - self._clock, 1e-9)
            parts.append(f"loss {float(self._window[-1]['total_loss']):.4f}")
            parts.append(f"{len(self._window) * self._plan.batch_size / seconds:,.0f} images/s")
        return ", ".join(parts)


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _require_finite(values: Mapping[str, float], step: int) -> None:
    wrong = [f"{name} {value}" for name, value in values.items() if not np.isfinite(value)]
    if wrong:
        raise NonFiniteLossError(
            f"Training became non-finite by step {step}: {', '.join(wrong)}. The last checkpoint is whole. "
            "Lower --learning_rate, raise --temperature or --warmup_epochs, and start again."
        )
