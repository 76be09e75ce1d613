"""Flags of the stage itself: what to do, from which model, with which loss."""

from __future__ import annotations

from absl import flags

from flags.defaults import default_text
from tf_simclr.config import FinetuneConfig, KnnConfig, LossConfig, Mode


def define(flag_values: flags.FlagValues) -> None:
    """Registers --mode, the directories and the flags of LossConfig, FinetuneConfig and KnnConfig."""
    _define_run(flag_values)
    _define_losses(flag_values)
    _define_finetuning(flag_values)
    _define_knn(flag_values)


def _define_run(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_enum(
        "mode",
        Mode.PRETRAIN.value,
        [mode.value for mode in Mode],
        "What this run does. pretrain: contrastive learning without labels. finetune: a classifier from a "
        "pretrained model. linear_eval: a linear classifier on frozen features. supervised: the baseline "
        "from random weights. distill: a student from a teacher's predictions. eval: accuracy of a "
        "classifier. knn: accuracy of a nearest-neighbour classifier on features. describe: print the plan "
        "and stop. export: make a module for other programs, or a servable. predict: classes of image files, "
        "from a network or a server. embed: features of image files. serve: answer over gRPC and REST. "
        "import: make a run directory of a released SimCLR network. "
        "check_data: read a whole data set and report its sizes, classes, unusable and duplicate images.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "model_dir",
        None,
        "Run directory that this run writes, and goes on with when it was interrupted. "
        f"{default_text('model_dir')}",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "checkpoint",
        None,
        "Model to start from: a run directory, a SavedModel or a servable directory; the newest whole "
        f"SavedModel in it is used. {default_text('checkpoint')}",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "teacher",
        None,
        "Classifier whose predictions --mode=distill learns from: a run directory, a SavedModel or a "
        f"servable directory. {default_text('teacher')}",
        flag_values=flag_values,
    )


def _define_losses(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_float(
        "temperature",
        None,
        "Divides similarities (pretrain) or the logits of teacher and student (distill) before the "
        "softmax; greater than 0. Left out: 0.1, and 1.0 for a student whose architecture is not its "
        "teacher's. Paper: 0.1 or 1.0 in distillation, 0.1 in the ImageNet code. "
        f"{default_text('temperature')}",
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "hidden_norm",
        LossConfig.hidden_norm,
        "Scale projections to length 1 before the contrastive loss, so that similarities are cosines. "
        "Paper: on.",
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "lineareval_while_pretraining",
        LossConfig.lineareval_while_pretraining,
        "Train a linear classifier beside pretraining, behind a stopped gradient, to watch accuracy. Needs "
        "labels, which the encoder does not see.",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "distill_alpha",
        LossConfig.distill_alpha,
        "Weight of the teacher's predictions against the labels in distillation, in [0, 1]; 1 uses no label. "
        "Paper: 1, and 0.9 with labels.",
        flag_values=flag_values,
    )


def _define_finetuning(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "ft_proj_selector",
        FinetuneConfig.ft_proj_selector,
        "Layer of the projection head that the classifier is put on; 0 is the encoder's output. Left out: "
        "1 when fine-tuning on part of the labels, otherwise 0. Paper: 1 for 1% and 10% of the labels, 0 "
        "for all.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "fine_tune_after_block",
        FinetuneConfig.fine_tune_after_block,
        "Freeze the encoder up to and with this block group: -1 freezes nothing, 0 the stem, 1 to 4 that "
        "group too. Paper: -1.",
        flag_values=flag_values,
    )


def _define_knn(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "knn_neighbors",
        KnnConfig.knn_neighbors,
        "Training images that vote on the class of a test image, at least 1.",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "knn_temperature",
        KnnConfig.knn_temperature,
        "A neighbour's vote weighs exp(cosine / this); greater than 0. Smaller: the nearest count more.",
        flag_values=flag_values,
    )
