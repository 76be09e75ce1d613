"""``--mode=check_data``, and the files of a run directory that tell which images were left out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf
from absl import logging

from tf_simclr.config import RunConfig
from tf_simclr.data.open_source import open_uncached
from tf_simclr.data.skipped import SplitCheck
from tf_simclr.data.source import Source
from tf_simclr.data.survey import survey
from tf_simclr.files.whole import write_text
from tf_simclr.train.run_directory import RunDirectory


def check_data(config: RunConfig, start: None = None) -> dict[str, Any]:
    """Reads the whole data set, writes ``results.json`` and ``skipped.jsonl``, returns the results.

    ``start``: nothing, as no model is looked at.

    Raises:
        ConfigError: the data set does not exist, or its layout cannot be used.
    """
    report, skipped = survey(open_uncached(config.data))
    directory = RunDirectory(config.model_dir)
    results = {"mode": config.mode.value, **report}
    directory.write_results(results)
    _write_lines(directory.skipped, skipped)
    return results


def read_checks(directory: RunDirectory) -> dict[str, SplitCheck]:
    """Returns what :func:`write_checks` wrote, by split; {} where there is nothing, or nothing readable."""
    if not tf.io.gfile.exists(directory.image_checks):
        return {}
    with tf.io.gfile.GFile(directory.image_checks) as file:
        try:
            return {split: SplitCheck(**values) for split, values in json.loads(file.read()).items()}
        except (ValueError, TypeError, AttributeError):
            return {}  # The images are checked again.


def write_checks(directory: RunDirectory, source: Source) -> None:
    """Writes ``skipped.jsonl`` and what spares a resumed run another check; says how many were skipped."""
    if not source.checks:
        return
    for split, check in source.checks.items():
        if check.skipped:
            logging.warning(
                "Skipping %d of %d images of %s that cannot be used: see %s.",
                len(check.skipped),
                check.images,
                split,
                directory.skipped,
            )
    lines = [
        {"split": split, "id": name, "reason": reason}
        for split, check in source.checks.items()
        for name, reason in check.skipped.items()
    ]
    _write_lines(directory.skipped, lines)
    checks = {split: dataclasses.asdict(check) for split, check in source.checks.items()}
    write_text(directory.image_checks, json.dumps(checks) + "\n")


def _write_lines(path: str, lines: Iterable[Mapping[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))
