"""Flags of the update rule and the learning rate."""

from __future__ import annotations

from absl import flags

from flags.defaults import default_text
from tf_simclr.config import OptimizerConfig


def define(flag_values: flags.FlagValues) -> None:
    """Registers the flags of OptimizerConfig."""
    flags.DEFINE_string(
        "optimizer",
        None,
        "Update rule: lars, momentum (Nesterov), adam, or lamb (needs tensorflow-addons). Paper: lars. "
        f"{default_text('optimizer')}",
        flag_values=flag_values,
    )
    _define_rate(flag_values)
    flags.DEFINE_float(
        "momentum",
        OptimizerConfig.momentum,
        "Momentum of lars and momentum, in [0, 1). Paper: 0.9.",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "weight_decay",
        None,
        "Weight of the L2 penalty on kernels, 0 or more. Paper: 1e-4 for pretraining and distillation, 0 for "
        f"fine-tuning. {default_text('weight_decay')}",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "warmup_epochs",
        None,
        "Epochs in which the rate rises linearly from 0 to its peak, before the cosine decay; 0 or more, "
        "fractions allowed. Left out: also at most a tenth of --train_epochs. Paper: a twentieth of the "
        f"epochs of pretraining and distillation, 0 for fine-tuning. {default_text('warmup_epochs')}",
        flag_values=flag_values,
    )


def _define_rate(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_float(
        "learning_rate",
        None,
        "Peak learning rate before --learning_rate_scaling, greater than 0. Paper: 0.1 (sqrt) for "
        "pretraining and distillation; for fine-tuning 0.005 (sqrt), or 0.002 for models that are wider or "
        "have SK. Left out beside an --optimizer that is not the stage's own: a rate for that optimizer. "
        f"{default_text('learning_rate')}",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "learning_rate_scaling",
        None,
        "How the rate grows with the global batch: sqrt (rate * sqrt(batch)), linear (rate * batch / 256) "
        f"or none. Paper: sqrt. {default_text('learning_rate_scaling')}",
        flag_values=flag_values,
    )
