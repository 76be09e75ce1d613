"""What one execution does, and the settings that belong to single stages."""

from __future__ import annotations

import dataclasses
import enum

from tf_simclr.config.checks import require, require_choice, require_not_negative, require_positive


class Mode(str, enum.Enum):
    """What one execution does."""

    PRETRAIN = "pretrain"
    FINETUNE = "finetune"
    LINEAR_EVAL = "linear_eval"
    SUPERVISED = "supervised"
    DISTILL = "distill"
    EVAL = "eval"
    KNN = "knn"
    DESCRIBE = "describe"
    EXPORT = "export"
    PREDICT = "predict"
    EMBED = "embed"
    SERVE = "serve"
    IMPORT = "import"
    CHECK_DATA = "check_data"

    @property
    def trains(self) -> bool:
        """Whether the mode writes a run directory with a SavedModel."""
        return self in TRAINING_MODES

    @property
    def takes_workers(self) -> bool:
        """Whether several workers, those of TF_CONFIG, can share the work; else one process does all."""
        return self.trains or self is Mode.EVAL


TRAINING_MODES = (Mode.PRETRAIN, Mode.FINETUNE, Mode.LINEAR_EVAL, Mode.SUPERVISED, Mode.DISTILL)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Settings of the contrastive and the distillation loss."""

    temperature: float | None = None  # None: 0.1, or 1.0 for a student of another architecture
    hidden_norm: bool = True  # l2-normalise projections
    lineareval_while_pretraining: bool = True  # train a linear probe beside pretraining
    distill_alpha: float = 1.0  # weight of distillation against labels

    def __post_init__(self) -> None:
        if self.temperature is not None:
            require_positive("temperature", self.temperature)
        require(
            0 <= self.distill_alpha <= 1,
            f"--distill_alpha must be in [0, 1] (1 = distillation alone). Received {self.distill_alpha}.",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """From where in the network, and how much of it, fine-tuning trains."""

    ft_proj_selector: int | None = None  # head layer to start from; None: see finetune
    fine_tune_after_block: int = -1  # -1: train everything; k in 0..4: freeze up to block group k

    def __post_init__(self) -> None:
        if self.ft_proj_selector is not None:
            require_not_negative("ft_proj_selector", self.ft_proj_selector)
        require_choice("fine_tune_after_block", self.fine_tune_after_block, (-1, 0, 1, 2, 3, 4))


@dataclasses.dataclass(frozen=True, kw_only=True)
class KnnConfig:
    """The nearest-neighbour classifier of ``--mode=knn``."""

    knn_neighbors: int = 20
    knn_temperature: float = 0.07  # votes weigh exp(cosine / temperature)

    def __post_init__(self) -> None:
        require_positive("knn_neighbors", self.knn_neighbors)
        require_positive("knn_temperature", self.knn_temperature)
