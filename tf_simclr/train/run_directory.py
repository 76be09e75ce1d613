"""The files of a run: settings, metrics, results. Each is whole or absent."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from tf_simclr.config import ConfigError
from tf_simclr.files.whole import append_line, write_text

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
        "config.train.eval_batch_size",
        "config.train.eval_epochs",
        "config.train.checkpoint_epochs",
        "config.train.keep_checkpoint_max",
        "config.train.log_steps",
        "config.train.train_batch_size",  # plan.batch_size is compared instead.
        "config.data.image_size",  # image_size is compared instead.
        "config.train.deterministic",
        "plan.checkpoint_steps",
        "plan.eval_steps",
        "plan.log_steps",
    )
)


class RunDirectory:
    """Names and contents of everything in a ``--model_dir``."""

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

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Writes ``config.json``; in the directory of an earlier run, only if it is the same run.

        Raises:
            ConfigError: the directory holds a run with other settings (the first
                difference is named), or a damaged ``config.json``.
        """
        settings = json.loads(json.dumps(settings))
        if tf.io.gfile.exists(self._config):
            self._require_same(settings)
        self.write_config(settings)

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
        with tf.io.gfile.GFile(self._config) as file:
            try:
                earlier = dict(_flat(json.loads(file.read())))
            except ValueError as error:
                raise ConfigError(
                    f"{self._config} is damaged ({error}). Give another --model_dir, or remove this one."
                ) from error
        now = dict(_flat(settings))
        for name in sorted(earlier.keys() | now.keys()):
            if _is_free(name) or earlier.get(name) == now.get(name):
                continue
            raise ConfigError(
                f"--model_dir={self.path} holds a run with other settings: {name} was {earlier.get(name)!r} "
                f"and is now {now.get(name)!r}. Give another --model_dir, or the same settings to go on."
            )

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
