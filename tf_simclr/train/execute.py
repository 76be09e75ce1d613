"""From settings to a trained network and its run directory."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from absl import logging

import tf_simclr
from tf_simclr.config import ConfigError, Mode, RunConfig, as_dict
from tf_simclr.data.open_source import default_image_size, open_source
from tf_simclr.data.service import check_service
from tf_simclr.data.source import Source
from tf_simclr.evaluate.predict import build_evaluator, can_evaluate
from tf_simclr.model.describe import selective_kernels
from tf_simclr.model.network import SimCLR
from tf_simclr.model.start import StartingPoint
from tf_simclr.report.views import write_views
from tf_simclr.train.check_data import read_checks, write_checks
from tf_simclr.train.distill import Distillation
from tf_simclr.train.finetune import Classification
from tf_simclr.train.loop import Evaluate, Loop
from tf_simclr.train.measure import evaluation_stream
from tf_simclr.train.plan import TrainPlan, check_given_batch, plan_training
from tf_simclr.train.precision import computing_in, precision_line, precision_of
from tf_simclr.train.pretrain import Pretraining
from tf_simclr.train.run_directory import RunDirectory
from tf_simclr.train.stage import Stage
from tf_simclr.train.stop import StopRequest
from tf_simclr.train.strategy import choose_strategy, device_line
from tf_simclr.train.workers import has_workers, noticing_lost_workers, own_directory


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinishedStage:
    """What a stage leaves to be saved."""

    network: SimCLR
    image_size: int
    class_names: tuple[str, ...]
    step: int
    directory: RunDirectory  # Held by this process until it is left as a context.
    strategy: tf.distribute.Strategy
    results: dict[str, Any]


def train_stage(
    config: RunConfig,
    start: StartingPoint | None,
    *,
    command_line: tuple[str, ...] = (),
    strategy: tf.distribute.Strategy | None = None,
) -> FinishedStage:
    """Runs one training mode to its end, or goes on with it.

    ``start``: the SavedModel that ``--checkpoint`` or ``--teacher`` names; None for
    pretraining and the supervised baseline.

    Raises:
        ConfigError: settings, data and start do not fit together.
        RunError: training diverged, was stopped, or cannot write (see ``tf_simclr.errors``).
    """
    strategy = strategy or choose_strategy(config.scale)  # Several workers must meet before anything runs.
    check_given_batch(config, strategy.num_replicas_in_sync)
    precision = precision_line(config.scale, strategy)  # Refuses what XLA cannot compile.
    set_seeds(config)
    stop = StopRequest()
    with contextlib.ExitStack() as held, noticing_lost_workers(strategy):
        directory = RunDirectory(own_directory(config.model_dir, strategy, overwrite=config.train.overwrite))
        stage = _open_stage(config, start, directory, strategy)
        plan = plan_training(config, num_examples=stage.num_examples, replicas=strategy.num_replicas_in_sync)
        held.enter_context(directory)
        directory.begin(_settings(stage, plan, start, command_line), overwrite=config.train.overwrite)
        _announce(stage, plan, directory, device_line(strategy), precision)
        with stop.listening():
            results = _run(stage, plan, directory, strategy, stop)
        held.pop_all()  # The directory is the caller's now.
    return FinishedStage(
        network=stage.saved_network,
        image_size=stage.image_size,
        class_names=stage.class_names,
        step=plan.total_steps,
        directory=directory,
        strategy=strategy,
        results=results,
    )


def _open_stage(
    config: RunConfig, start: StartingPoint | None, directory: RunDirectory, strategy: tf.distribute.Strategy
) -> Stage:
    """Opens the data, whose earlier checks ``directory`` may hold, and builds what is trained on them."""
    source = open_source(config.data, read_checks(directory))
    source.check_split(config.data.train_split)
    check_service(source, config.data.train_split, config.scale.data_service)
    with strategy.scope(), computing_in(precision_of(config.scale)):
        stage = _build(config, source, start)
    stage.network.encoder.rematerialize = config.scale.rematerialize
    return stage


def _run(
    stage: Stage,
    plan: TrainPlan,
    directory: RunDirectory,
    strategy: tf.distribute.Strategy,
    stop: StopRequest,
) -> dict[str, Any]:
    """Trains; returns what ``results.json`` will hold."""
    evaluate = _accuracy_of(stage.saved_network, stage, strategy, stop)
    write_checks(directory, stage.source)
    write_views(stage.example_views(), directory.summaries)
    reference = _accuracy_of(stage.teacher, stage, strategy, stop)()
    final = Loop(stage, plan, directory, strategy, evaluate, stop).run()
    return _results(directory, final, reference)


def set_seeds(config: RunConfig) -> None:
    """Seeds the initial weights, and makes kernels repeatable where ``--deterministic`` asks for it."""
    keras.utils.set_random_seed(config.train.seed)
    if config.train.deterministic:
        tf.config.experimental.enable_op_determinism()


def _build(config: RunConfig, source: Source, start: StartingPoint | None) -> Stage:
    own_size = start.image_size if start else default_image_size(source)
    image_size = config.data.image_size or own_size
    if config.mode is Mode.PRETRAIN:
        return Pretraining(config, source, image_size)
    if config.mode is Mode.DISTILL:
        if start is None:
            raise ConfigError("--mode=distill needs a teacher. Give --teacher.")
        return Distillation(config, source, image_size, start)
    return Classification(config, source, image_size, start)


def _accuracy_of(
    network: SimCLR | None, stage: Stage, strategy: tf.distribute.Strategy, stop: StopRequest
) -> Evaluate:
    """Returns a function that evaluates ``network`` on the evaluation split, if that is possible."""
    config, source = stage.config, stage.source
    if network is None or network.classifier is None:
        return dict
    if not can_evaluate(source, config.data.eval_split):
        logging.info("--eval_split=%s has no labelled images: nothing is evaluated.", config.data.eval_split)
        return dict
    evaluate = build_evaluator(network, strategy)

    def run() -> dict[str, float]:
        stream = evaluation_stream(config, source, stage.image_size, strategy)
        # Several workers evaluate to the end: one that stopped by itself would leave the others waiting.
        return evaluate(stream if has_workers(strategy) else stop.watched(stream))

    return run


def _results(directory: RunDirectory, final: dict[str, float], teacher: dict[str, float]) -> dict[str, Any]:
    return {"train": directory.last_metrics("train/"), "eval": final} | (
        {"teacher": teacher} if teacher else {}
    )


def _settings(
    stage: Stage, plan: TrainPlan, start: StartingPoint | None, command_line: tuple[str, ...]
) -> dict[str, Any]:
    """Returns everything that is needed to repeat the run."""
    config, split = stage.config, stage.config.data.train_split
    return {
        "command_line": list(command_line),
        "config": as_dict(config),
        "architecture": dataclasses.asdict(stage.network.architecture),
        "image_size": stage.image_size,
        "plan": dataclasses.asdict(plan),
        "start": start.path if start else None,
        "data": {
            "images": stage.source.num_examples(split),
            "fingerprint": stage.source.fingerprint(split),
            "class_names": list(stage.class_names),
        },
        "label_subset_ids": stage.labelled_ids(),
        "versions": {
            "tf_simclr": tf_simclr.__version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "tf_keras": keras.__version__,
            "numpy": np.__version__,
        },
    }


def _announce(stage: Stage, plan: TrainPlan, directory: RunDirectory, devices: str, precision: str) -> None:
    encoder, config = stage.network.architecture.encoder, stage.config
    logging.info(
        "%s: ResNet-%d %gx, %d px, selective kernels %s; %s",
        config.mode.value,
        encoder.resnet_depth,
        encoder.width_multiplier,
        stage.image_size,
        selective_kernels(encoder),
        devices,
    )
    logging.info("%s: %s", config.mode.value, precision)
    logging.info(
        "%s: %d images, batch %d, %d steps (%.1f epochs), %s with peak rate %.4g; writing %s",
        config.mode.value,
        plan.num_examples,
        plan.batch_size,
        plan.total_steps,
        plan.epoch(plan.total_steps),
        config.optimizer.optimizer,
        plan.peak_learning_rate,
        directory.path,
    )
