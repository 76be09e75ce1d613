"""Flags of the training loop: how long, in what portions, how often to report."""

from __future__ import annotations

from absl import flags

from flags.defaults import default_text
from tf_simclr.config import TrainConfig


def define(flag_values: flags.FlagValues) -> None:
    """Registers the flags of TrainConfig."""
    _define_amount(flag_values)
    _define_rhythm(flag_values)
    _define_speed(flag_values)
    _define_repeatability(flag_values)
    _define_trouble(flag_values)


def _define_amount(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "train_batch_size",
        None,
        "Images of one training step over all replicas, at least 1. Left out: 512, or all labelled images "
        "if they are fewer. Paper: 4096 for pretraining and distillation, 1024 for fine-tuning. "
        f"{default_text('train_batch_size')}",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "eval_batch_size",
        TrainConfig.eval_batch_size,
        "Images of one evaluation step over all replicas, at least 1; changes speed, not results.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "train_epochs",
        None,
        "Passes over the training images, at least 1. Paper: 800 for pretraining, 60 or 30 for "
        f"fine-tuning, 400 for distillation. {default_text('train_epochs')}",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "train_steps",
        TrainConfig.train_steps,
        "Number of training steps, at least 1; takes the place of --train_epochs.",
        flag_values=flag_values,
    )


def _define_rhythm(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "checkpoint_epochs",
        TrainConfig.checkpoint_epochs,
        "Epochs between two checkpoints, at least 1. An interrupted run goes on from the newest one.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "checkpoint_steps",
        TrainConfig.checkpoint_steps,
        "Training steps between two checkpoints, at least 1; takes the place of --checkpoint_epochs.",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "checkpoint_minutes",
        TrainConfig.checkpoint_minutes,
        "Longest time between two checkpoints, in minutes; 0: epochs or steps alone decide.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "eval_epochs",
        TrainConfig.eval_epochs,
        "Epochs between two evaluations while training; 0: only at the end.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "keep_checkpoint_max",
        TrainConfig.keep_checkpoint_max,
        "Checkpoints kept on disk, at least 1; the oldest goes first. The one with the best evaluation stays "
        "beside them.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "log_steps",
        TrainConfig.log_steps,
        "Training steps between two lines of metrics.jsonl and two TensorBoard points, at least 1.",
        flag_values=flag_values,
    )


def _define_speed(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "steps_per_loop",
        TrainConfig.steps_per_loop,
        "Most training steps in one call of TensorFlow, at least 1; changes speed, not results. A call ends "
        "where a log line, a checkpoint or an evaluation is due. For GPUs and TPUs whose steps are short; a "
        "signal then stops the run after the call and not after the step.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "profile_steps",
        TrainConfig.profile_steps,
        "FIRST,LAST: record a profile of these training steps for TensorBoard, in MODEL_DIR/summaries.",
        flag_values=flag_values,
    )


def _define_repeatability(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "seed",
        TrainConfig.seed,
        "Seed of the initial weights, the augmentation, the order of images and the label subset; 0 or more.",
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "deterministic",
        TrainConfig.deterministic,
        "Use only kernels that repeat bit for bit; slower. Two runs with one seed then end in equal weights.",
        flag_values=flag_values,
    )


def _define_trouble(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "on_nonfinite",
        TrainConfig.on_nonfinite,
        "What follows a loss or gradient that is no number: stop the run, or skip the step. One of: stop, "
        "skip.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "max_nonfinite_steps",
        TrainConfig.max_nonfinite_steps,
        "With --on_nonfinite=skip, the most steps in a row to leave out before the run stops, at least 1.",
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "overwrite",
        TrainConfig.overwrite,
        "Start anew where --model_dir holds a run: the old one is moved to MODEL_DIR.old-TIME, not deleted.",
        flag_values=flag_values,
    )
