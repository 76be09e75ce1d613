"""Settings of the optimizer and of the training loop."""

from __future__ import annotations

import dataclasses
import re

from tf_simclr.config.checks import require, require_choice, require_not_negative, require_positive

_STEP_RANGE = re.compile(r"\d+,\d+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Update rule and learning rate."""

    optimizer: str = "lars"
    learning_rate: float = 0.1  # before scaling with the batch
    learning_rate_scaling: str = "sqrt"  # sqrt: rate*sqrt(batch); linear: rate*batch/256
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup_epochs: float = 10.0

    def __post_init__(self) -> None:
        require_choice("optimizer", self.optimizer, ("lars", "momentum", "adam", "lamb"))
        require_choice("learning_rate_scaling", self.learning_rate_scaling, ("linear", "sqrt", "none"))
        require_positive("learning_rate", self.learning_rate)
        require(0 <= self.momentum < 1, f"--momentum must be in [0, 1). Received {self.momentum}.")
        require_not_negative("weight_decay", self.weight_decay)
        require_not_negative("warmup_epochs", self.warmup_epochs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How long and in what portions."""

    train_batch_size: int | None = None  # global; None: 512, or all labelled images if fewer
    eval_batch_size: int = 256  # global
    train_epochs: int = 100
    train_steps: int | None = None  # overrides train_epochs
    checkpoint_epochs: int = 1
    checkpoint_steps: int | None = None  # overrides checkpoint_epochs
    checkpoint_minutes: float = 30.0  # at most so long between two checkpoints; 0: steps alone decide
    eval_epochs: int = 10  # evaluate every so many epochs; 0: only at the end
    keep_checkpoint_max: int = 5
    log_steps: int = 50  # summaries and metrics.jsonl
    steps_per_loop: int = 1  # training steps in one call of TensorFlow
    profile_steps: str | None = None  # "first,last": record a TensorBoard profile of these steps
    seed: int = 0
    deterministic: bool = False  # bit-for-bit repeatable kernels, slower
    on_nonfinite: str = "stop"  # stop: end the run; skip: leave the step out
    max_nonfinite_steps: int = 10  # in a row, with on_nonfinite=skip
    overwrite: bool = False  # move an earlier run in model_dir aside

    def __post_init__(self) -> None:
        if self.train_batch_size is not None:
            require_positive("train_batch_size", self.train_batch_size)
        if self.train_steps is not None:
            require_positive("train_steps", self.train_steps)
        if self.checkpoint_steps is not None:
            require_positive("checkpoint_steps", self.checkpoint_steps)
        for name in (
            "eval_batch_size",
            "train_epochs",
            "checkpoint_epochs",
            "keep_checkpoint_max",
            "log_steps",
            "steps_per_loop",
            "max_nonfinite_steps",
        ):
            require_positive(name, getattr(self, name))
        require_choice("on_nonfinite", self.on_nonfinite, ("stop", "skip"))
        require_not_negative("checkpoint_minutes", self.checkpoint_minutes)
        require_not_negative("eval_epochs", self.eval_epochs)
        require_not_negative("seed", self.seed)
        require(
            self.profile_steps is None or _STEP_RANGE.fullmatch(self.profile_steps) is not None,
            f"--profile_steps must be two step numbers, such as 10,12. Received {self.profile_steps!r}.",
        )
        first, last = self.profiled_steps or (1, 1)
        require(
            1 <= first <= last,
            f"--profile_steps begins at step 1 or later and ends no earlier. Received {self.profile_steps}.",
        )

    @property
    def profiled_steps(self) -> tuple[int, int] | None:
        """First and last step of ``profile_steps``; None = no profile."""
        if self.profile_steps is None:
            return None
        first, last = map(int, self.profile_steps.split(","))
        return first, last
