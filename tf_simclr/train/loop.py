"""The loop that all stages share: restore, train, log, evaluate, save."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from absl import logging

from tf_simclr.data.in_order import explained
from tf_simclr.data.service import through_service
from tf_simclr.errors import Stopped
from tf_simclr.files.storing import storing
from tf_simclr.train.checkpoint import Checkpoints
from tf_simclr.train.collapse import collapse_warning
from tf_simclr.train.nonfinite import require_finite_weights, skipping, training_state
from tf_simclr.train.plan import TrainPlan
from tf_simclr.train.profile import Profile
from tf_simclr.train.progress import Progress
from tf_simclr.train.rhythm import Rhythm
from tf_simclr.train.run_directory import RunDirectory
from tf_simclr.train.several import in_one_call, one_by_one
from tf_simclr.train.stage import Stage
from tf_simclr.train.step import build_train_step
from tf_simclr.train.stop import StopRequest
from tf_simclr.train.update import stage_optimizer
from tf_simclr.train.window import Window
from tf_simclr.train.workers import agreement, require_same_step

# Accuracy of the network as it is; {} where there is nothing to count.
Evaluate = Callable[[], dict[str, float]]


class Loop:
    """Trains one stage from where its run directory stands to the end of its plan."""

    def __init__(
        self,
        stage: Stage,
        plan: TrainPlan,
        directory: RunDirectory,
        strategy: tf.distribute.Strategy,
        evaluate: Evaluate,
        stop: StopRequest,
    ) -> None:
        self._stage, self._plan, self._directory, self._strategy = stage, plan, directory, strategy
        self._evaluate, self._stop = evaluate, stop
        train = stage.config.train
        extra = stage.extra_trackables()
        with strategy.scope():
            optimizer = stage_optimizer(stage, plan.schedule)
            self._checkpoints = Checkpoints(
                directory.checkpoints, stage.network, optimizer, train.keep_checkpoint_max, extra
            )
        train_step = build_train_step(stage, optimizer, strategy, slices=plan.slices)
        skips = train.on_nonfinite == "skip"
        if skips:
            state = training_state(stage.network, optimizer, extra)
            train_step = skipping(train_step, state, strategy)
        self._train_steps = (in_one_call if train.steps_per_loop > 1 else one_by_one)(train_step)
        names = [variable.name for variable in stage.network.trainable_variables]
        self._window = Window(names, tolerated=train.max_nonfinite_steps if skips else 0)
        self._rhythm = Rhythm(plan, stop, minutes=train.checkpoint_minutes, agree=agreement(strategy))
        self._profile = Profile(train.profiled_steps, directory.summaries)
        self._clock, self._timed_steps = time.monotonic(), 0
        self._has_warned = False

    def run(self) -> dict[str, float]:
        """Returns the final evaluation.

        Raises:
            NonFiniteError: a loss, gradient or weight is no number.
            StorageError: the disk is full or refuses.
            Stopped: a signal came; the state is saved.
            WorkerLostError: a tf.data service gives no more batches.
            ConfigError: no checkpoint can be restored, or a tf.data service can make no batch.
        """
        first, window = self._checkpoints.restore()
        require_same_step(self._strategy, first)
        self._window.restore(window)
        self._directory.cut_metrics(first, is_finished=first >= self._plan.total_steps)
        self._summaries = tf.summary.create_file_writer(self._directory.summaries)
        if first < self._plan.total_steps:
            self._train(first)
        final = self._evaluate()
        self._note_evaluation(self._plan.total_steps, final)
        self._summaries.close()
        return final

    def _train(self, first: int) -> None:
        if self._rhythm.evaluates(first) and not self._directory.has_metrics(first, "eval/"):
            self._evaluate_at(first)  # The run ended between the checkpoint and this.
        batches = iter(self._batches(first))
        progress = Progress(self._mode, self._plan.total_steps, first)
        self._clock = time.monotonic()
        try:
            step = first
            while step < self._plan.total_steps:
                step = self._advance(batches, step)
                self._after(step)
                progress.update(step, lambda step=step: self._text(step))  # type: ignore[misc]
        finally:
            self._profile.close()
            progress.close()

    def _advance(self, batches: Any, step: int) -> int:
        """Runs as many steps in one call as may be; returns how many are done then."""
        at_most = self._stage.config.train.steps_per_loop
        count = self._rhythm.steps_together(step, at_most, self._profile.bounds())
        self._profile.before(step + 1)
        with explained():
            done = self._train_steps(batches, count)
        for metrics in done:
            step += 1
            self._window.add(step, metrics)
        self._profile.after(step)
        self._timed_steps += count
        return step

    def _batches(self, first: int) -> Any:
        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            return through_service(
                self._stage.batches,
                self._stage.config.scale.data_service,
                batch_size=context.get_per_replica_batch_size(self._plan.batch_size),
                start=first * self._plan.batch_size,
                shard=(context.input_pipeline_id, context.num_input_pipelines),
            )

        return self._strategy.distribute_datasets_from_function(of_worker)

    def _after(self, step: int) -> None:
        """Does what is due after ``step`` steps; whatever comes after the save can be made up for later."""
        due = self._rhythm.after(step)
        if due.log:
            self._log(step)
        pause = time.monotonic()
        if due.save:
            self._save(step)
        if due.stop:
            self._stop.end()
        if due.evaluate:
            self._evaluate_at(step)
        self._clock += time.monotonic() - pause

    def _save(self, step: int) -> None:
        self._window.require_finite()
        require_finite_weights(self._stage.network, step)
        self._checkpoints.save(self._window.state())

    def _evaluate_at(self, step: int) -> None:
        try:
            found = self._evaluate()
        except Stopped:
            self._save(step)
            raise
        if found:
            logging.info(
                "%s: epoch %.1f, top-1 %.2f%%", self._mode, self._plan.epoch(step), 100 * found["top_1"]
            )
        self._note_evaluation(step, found)

    def _note_evaluation(self, step: int, found: Mapping[str, float]) -> None:
        if not found:
            return
        self._record(step, found, "eval")
        if self._checkpoints.is_best(found["top_1"]):
            self._save(step)
            self._checkpoints.note_best(step, found["top_1"])

    @property
    def _mode(self) -> str:
        return self._stage.config.mode.value

    def _log(self, step: int) -> None:
        """Writes the means since the last line, and refuses those that are no numbers."""
        self._window.require_finite()
        values = self._window.means()
        seconds = max(time.monotonic() - self._clock, 1e-9)
        values["learning_rate"] = float(self._plan.schedule(step - 1))
        values["images_per_second"] = self._timed_steps * self._plan.batch_size / seconds
        self._record(step, values, "train")
        self._warn_of_collapse(step, values)
        self._window.clear()
        self._clock, self._timed_steps = time.monotonic(), 0

    def _warn_of_collapse(self, step: int, values: Mapping[str, float]) -> None:
        if step <= self._plan.warmup_steps or self._has_warned:
            return
        if warning := collapse_warning(values, self._plan.batch_size):
            logging.warning("%s: step %d: %s", self._mode, step, warning)
            self._has_warned = True

    def _record(self, step: int, values: Mapping[str, float], kind: str) -> None:
        named = {f"{kind}/{name}": value for name, value in values.items()}
        self._directory.append_metrics({"step": step, "epoch": self._plan.epoch(step), **named})
        with storing(self._directory.summaries), self._summaries.as_default(step=step):
            for name, value in named.items():
                tf.summary.scalar(name, value)

    def _text(self, step: int) -> str:
        parts = [f"epoch {self._plan.epoch(step):.1f}"]
        if self._timed_steps:
            seconds = max(time.monotonic() - self._clock, 1e-9)
            parts.append(f"loss {self._window.newest('total_loss'):.4f}")
            parts.append(f"{self._timed_steps * self._plan.batch_size / seconds:,.0f} images/s")
        return ", ".join(parts)
