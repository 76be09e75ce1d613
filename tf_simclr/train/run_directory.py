"""The files of a run: settings, metrics, results. Each is whole or absent."""

from __future__ import annotations

import contextlib
import json
import logging as std_logging
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
from absl import logging

from tf_simclr.config import ConfigError
from tf_simclr.errors import RunError
from tf_simclr.files.storing import storing
from tf_simclr.files.whole import (
    append_line,
    clear_leftovers,
    listed,
    numbered,
    rename_directory,
    write_text,
)
from tf_simclr.report.log_file import logged_to
from tf_simclr.train.lock import LOCK_FILE, Lock

# Settings under which an interrupted run may go on: they change how it is watched, not what it computes.
FREE_SETTINGS = frozenset(
    (
        "command_line",
        "config.given",
        "config.model_dir",
        "config.data.data_dir",
        "config.data.cache_dataset",
        "config.data.max_bad_fraction",  # The images that are left are compared, in the fingerprint.
        "config.data.dataset",  # The fingerprint of the data is compared instead.
        "config.checkpoint",  # What it resolved to is compared instead.
        "config.teacher",
        "config.scale.strategy",
        "config.scale.tpu_name",
        "config.scale.tpu_zone",
        "config.scale.gcp_project",
        "config.scale.microbatch_size",  # plan.slices is compared instead.
        "config.scale.rematerialize",
        "config.scale.data_service",
        "config.train.eval_batch_size",
        "config.train.eval_epochs",
        "config.train.checkpoint_epochs",
        "config.train.checkpoint_minutes",
        "config.train.checkpoint_steps",
        "config.train.keep_checkpoint_max",
        "config.train.log_steps",
        "config.train.max_nonfinite_steps",
        "config.train.on_nonfinite",
        "config.train.overwrite",
        "config.train.profile_steps",
        "config.train.steps_per_loop",
        "config.train.train_batch_size",  # plan.batch_size is compared instead.
        "config.data.image_size",  # image_size is compared instead.
        "config.train.deterministic",
        "plan.checkpoint_steps",
        "plan.eval_steps",
        "plan.log_steps",
    )
)


START_ELSEWHERE = (
    "Give another --model_dir, or --overwrite to start again there (the old run is kept beside it)."
)


class RunDirectory:
    """Names and contents of everything in a ``--model_dir``.

    From :meth:`begin` on it belongs to this process, until the context is left; what is
    logged goes to ``log.txt`` as well.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.checkpoints = os.path.join(path, "checkpoints")
        self.saved_model = os.path.join(path, "saved_model")
        self.summaries = os.path.join(path, "summaries")
        self.skipped = os.path.join(path, "skipped.jsonl")
        self.image_checks = os.path.join(path, "image_checks.json")
        self._config = os.path.join(path, "config.json")
        self._metrics = os.path.join(path, "metrics.jsonl")
        self._results = os.path.join(path, "results.json")
        self._log = os.path.join(path, "log.txt")
        self._held = contextlib.ExitStack()
        self._log_file: std_logging.Handler | None = None  # The terminal gets the reason from run.py.

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """Lets go of the directory. What ended the run is the last line of its log."""
        if error is not None and self._log_file is not None:
            is_expected = isinstance(error, (RunError, ConfigError))
            values = {"msg": str(error), "levelname": "ERROR", "levelno": std_logging.ERROR}
            trace_too = {} if is_expected else {"exc_info": (kind, error, trace)}
            self._log_file.emit(std_logging.makeLogRecord(values | trace_too))
        self._log_file = None
        self._held.close()

    def begin(self, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
        """Takes the directory, clears what a crash left, and writes ``config.json``.

        In the directory of an earlier run it goes on only if it is the same run;
        ``overwrite`` moves that run to ``<path>.old-<time>`` instead.

        Raises:
            ConfigError: the directory holds a run with other settings (the first
                difference is named), or a damaged ``config.json``.
            InUseError: another process works in it.
            StorageError: the disk is full or refuses.
        """
        lock = self._take()
        if overwrite:
            self._move_aside(lock)
        settings = json.loads(json.dumps(settings))
        self._require_same(settings)
        for directory in (self.path, self.saved_model, self.summaries):
            clear_leftovers(directory)
        self._log_file = self._held.enter_context(logged_to(self._log))
        self.write_config(settings)

    def begin_measuring(self) -> None:
        """Takes the directory for results alone.

        Raises:
            ConfigError: it holds a training run, whose settings and results they would replace.
            InUseError: another process works in it.
            StorageError: the disk is full or refuses.
        """
        self._take()
        if numbered(self.checkpoints):
            raise ConfigError(
                f"--model_dir={self.path} holds a training run, whose config.json and results.json would "
                "be replaced. Give another --model_dir, or none."
            )
        clear_leftovers(self.path)

    def _take(self) -> Lock:
        lock = Lock(self.path)
        lock.take()
        self._held.callback(lock.release)
        return lock

    def _move_aside(self, lock: Lock) -> None:
        """Moves what an earlier run left; nothing of it is lost."""
        if all(name == LOCK_FILE for name in listed(self.path)):
            return
        old = f"{self.path.rstrip('/')}.old-{time.strftime('%Y%m%d-%H%M%S')}"
        with storing(old):
            rename_directory(self.path, old)
        lock.follow(old)
        fresh = Lock(self.path)
        fresh.take()
        self._held.callback(fresh.release)
        logging.warning(
            "--overwrite: the earlier run is now %s. Leave --overwrite out to go on with the new one.", old
        )

    def write_config(self, settings: Mapping[str, Any]) -> None:
        """Writes ``config.json``."""
        self._write(self._config, settings)

    def cut_metrics(self, step: int, *, is_finished: bool = False) -> None:
        """Drops the lines of ``metrics.jsonl`` after ``step``, which will be computed anew.

        ``is_finished``: ``step`` is the last one, so its evaluation comes once more.
        """

        def stays(line: Mapping[str, Any]) -> bool:
            is_final_evaluation = is_finished and line["step"] == step and "eval/count" in line
            return line["step"] <= step and not is_final_evaluation

        lines = [json.dumps(line) for line in self._metric_lines() if stays(line)]
        write_text(self._metrics, "".join(line + "\n" for line in lines))

    def append_metrics(self, values: Mapping[str, float]) -> None:
        """Adds one line to ``metrics.jsonl``."""
        append_line(self._metrics, json.dumps(values))

    def has_metrics(self, step: int, prefix: str) -> bool:
        """Whether a line of ``step`` holds a metric whose name begins with ``prefix``."""
        lines = (line for line in self._metric_lines() if line["step"] == step)
        return any(name.startswith(prefix) for line in lines for name in line)

    def last_metrics(self, prefix: str) -> dict[str, float]:
        """Returns the newest metrics whose names begin with ``prefix``, without it."""
        found: dict[str, float] = {}
        for line in self._metric_lines():
            values = {name.removeprefix(prefix): line[name] for name in line if name.startswith(prefix)}
            found = values or found
        return found

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Writes ``results.json``."""
        self._write(self._results, results)

    def _metric_lines(self) -> Iterator[dict[str, Any]]:
        if not tf.io.gfile.exists(self._metrics):
            return
        with tf.io.gfile.GFile(self._metrics) as file:
            for line in file.read().splitlines():
                try:
                    yield json.loads(line)
                except ValueError:  # The end of a line that a kill cut off.
                    continue

    def _require_same(self, settings: Mapping[str, Any]) -> None:
        earlier = self._earlier_settings()
        if earlier is None:
            return
        now = dict(_flat(settings))
        for name in sorted(earlier.keys() | now.keys()):
            if _is_free(name) or earlier.get(name) == now.get(name):
                continue
            raise ConfigError(
                f"--model_dir={self.path} holds a run with other settings: {name} was {earlier.get(name)!r} "
                f"and is now {now.get(name)!r}. Give the same settings to go on, another --model_dir, or "
                "--overwrite to start again there (the old run is kept beside it)."
            )

    def _earlier_settings(self) -> dict[str, Any] | None:
        """Returns the settings of the run that the directory holds, flattened; None if it holds none."""
        if not tf.io.gfile.exists(self._config):
            if numbered(self.checkpoints):
                raise ConfigError(
                    f"--model_dir={self.path} holds checkpoints and no config.json that tells of what. "
                    f"{START_ELSEWHERE}"
                )
            return None
        with tf.io.gfile.GFile(self._config, "rb") as file:
            try:
                return dict(_flat(json.loads(file.read().decode("utf-8"))))
            except (ValueError, AttributeError) as error:
                raise ConfigError(f"{self._config} is damaged ({error}). {START_ELSEWHERE}") from error

    @staticmethod
    def _write(path: str, values: Mapping[str, Any]) -> None:
        write_text(path, json.dumps(values, indent=1) + "\n")


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _is_free(name: str) -> bool:
    return name in FREE_SETTINGS or name.startswith("versions.")
