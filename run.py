"""SimCLRv2 from the command line: ``python run.py --mode=pretrain|finetune|distill|...``."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Both are read when TensorFlow is imported.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # 1.4 to 1.7 times faster on CPUs without AVX-512

from absl import app, flags, logging

from flags.parse import define_all, read_command_line, to_config, unused_flags
from tf_simclr.config import ConfigError, Mode, RunConfig
from tf_simclr.errors import EXIT_INTERRUPTED, EXIT_SETTINGS, RunError
from tf_simclr.report.log import show_own_lines

if TYPE_CHECKING:  # TensorFlow takes seconds to import: wrong flags are refused before.
    from tf_simclr.model.start import StartingPoint
    from tf_simclr.train.execute import FinishedStage


def main(argv: Sequence[str]) -> None:
    """Runs one stage; ``docs/operations.md`` lists the exit codes."""
    try:
        config = to_config(flags.FLAGS)
        for name in unused_flags(config):
            logging.warning("--%s changes nothing in --mode=%s.", name, config.mode.value)
        run(config, tuple(sys.argv))
    except ConfigError as error:
        _fail(error, EXIT_SETTINGS)
    except RunError as error:
        _fail(error, error.exit_code)
    except KeyboardInterrupt:  # Before training began; then it is a Stopped.
        sys.exit(EXIT_INTERRUPTED)


# Modes that train nothing: a function of (config, start) → what to print, or None. Imported when it runs.
ACTIONS = {
    Mode.EVAL: "tf_simclr.train.measure.measure",
    Mode.KNN: "tf_simclr.train.measure.measure",
    Mode.DESCRIBE: "tf_simclr.report.architecture.describe_run",
    Mode.CHECK_DATA: "tf_simclr.train.check_data.check_data",
    Mode.EXPORT: "export.kinds.export",
    Mode.PREDICT: "export.client.predict.predict",
    Mode.EMBED: "export.client.embed.embed",
    Mode.SERVE: "export.server.serve.serve",
    Mode.IMPORT: "export.released.imported.import_network",
}


def run(config: RunConfig, command_line: tuple[str, ...] = ()) -> None:
    """Runs what ``config.mode`` says, and prints its results."""
    if "TF_CONFIG" in os.environ and not config.mode.takes_workers:
        logging.warning(
            "TF_CONFIG changes nothing in --mode=%s, which one process does alone: start it on one machine.",
            config.mode.value,
        )
    start = _open_start(config)
    if config.mode.trains:
        train = importlib.import_module("tf_simclr.train.execute").train_stage
        results = save(config, train(config, start, command_line=command_line))
    else:
        module, function = ACTIONS[config.mode].rsplit(".", 1)
        results = getattr(importlib.import_module(module), function)(config, start)
    if results is not None:
        print(results if isinstance(results, str) else json.dumps(results, indent=1))


def _open_start(config: RunConfig) -> StartingPoint | None:
    """Returns the SavedModel that the mode starts from, checked against the flags."""
    flag = "teacher" if config.mode is Mode.DISTILL else "checkpoint"
    path = getattr(config, flag)
    if path is None or not config.starts_from_checkpoint:
        return None
    from export.start import open_start
    from tf_simclr.train.start import check_start

    start = open_start(path, flag, config.export.trust_saved_model)
    check_start(start, config)
    logging.info("--%s=%s: %s", flag, path, start.path)
    return start


def save(config: RunConfig, finished: FinishedStage) -> dict[str, Any]:
    """Writes the SavedModel, then ``results.json``; returns the results."""
    from export.stage import StageInfo, write_stage
    from tf_simclr.train.workers import noticing_lost_workers

    info = StageInfo(
        stage=config.mode.value,
        architecture=finished.network.architecture,
        image_size=finished.image_size,
        class_names=finished.class_names,
        step=finished.step,
    )
    with finished.directory as directory, noticing_lost_workers(finished.strategy):
        path = write_stage(finished.network, info, directory.saved_model)
        results = {"mode": config.mode.value, "step": finished.step, "saved_model": path, **finished.results}
        directory.write_results(results)
    return results


def _fail(error: Exception, status: int) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(status)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    try:
        return read_command_line(flags.FLAGS, argv)
    except ConfigError as error:
        _fail(error, EXIT_SETTINGS)


if __name__ == "__main__":
    show_own_lines()
    define_all()
    app.run(main, flags_parser=_parse_flags)
