"""Typed, frozen, validated settings of a run.

Every field has a command-line flag of the same name (see ``flags/``), and every
check raises :class:`ConfigError` with a sentence that a user can act on. This
module imports neither TensorFlow nor absl, so a wrong setting is refused before
anything slow begins.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

BLOCKS_OF_DEPTH: Mapping[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
BASIC_BLOCK_DEPTHS = (18, 34)  # Two 3x3 convolutions a block; the others have bottlenecks.
CIFAR_STEM_MAX_SIZE = 32  # px; up to here the stem is one 3x3 convolution without pooling.


class ConfigError(ValueError):
    """A wrong value or combination; its text is what the user reads."""


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

    @property
    def trains(self) -> bool:
        """Whether the mode writes a run directory with a SavedModel."""
        return self in TRAINING_MODES


TRAINING_MODES = (Mode.PRETRAIN, Mode.FINETUNE, Mode.LINEAR_EVAL, Mode.SUPERVISED, Mode.DISTILL)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def _require_choice(name: str, value: Any, valid: tuple[Any, ...]) -> None:
    listed = ", ".join(str(choice) for choice in valid)
    _require(value in valid, f"--{name}={value} is not a valid choice. Use one of: {listed}.")


def _require_positive(name: str, value: float) -> None:
    _require(value > 0, f"--{name} must be greater than 0. Received {value}.")


def _require_not_negative(name: str, value: float) -> None:
    _require(value >= 0, f"--{name} must be 0 or more. Received {value}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where images come from and how large they enter the network."""

    dataset: str = "digits"  # digits, a TFDS name, folder:PATH or npz:PATH
    data_dir: str | None = None  # root of prepared TFDS data sets
    train_split: str = "train"
    eval_split: str = "test"
    image_size: int | None = None  # px; None: the data's own size, see data.open_source
    cache_dataset: bool = False  # keep decoded images in memory

    def __post_init__(self) -> None:
        _require(bool(self.dataset), "--dataset is empty. Use digits, folder:PATH, npz:PATH or a TFDS name.")
        for prefix in ("folder:", "npz:"):
            _require(
                self.dataset != prefix,
                f"--dataset={prefix} names no path. Write --dataset={prefix}PATH.",
            )
        if self.image_size is not None:
            _require(
                self.image_size >= 8, f"--image_size must be at least 8 (pixels). Received {self.image_size}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """Which training labels may be used. Both None: all of them."""

    label_fraction: float | None = None  # in (0, 1]
    labels_per_class: int | None = None

    def __post_init__(self) -> None:
        _require(
            self.label_fraction is None or self.labels_per_class is None,
            "--label_fraction and --labels_per_class exclude each other. Give one of them.",
        )
        if self.label_fraction is not None:
            _require(
                0 < self.label_fraction <= 1,
                f"--label_fraction must be in (0, 1], such as 0.01 for 1%. Received {self.label_fraction}.",
            )
        if self.labels_per_class is not None:
            _require_positive("labels_per_class", self.labels_per_class)

    @property
    def is_subset(self) -> bool:
        """Whether only part of the labels is used."""
        return self.labels_per_class is not None or (self.label_fraction or 1.0) < 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random changes of training images (SimCLR, appendix A); colour and blur only in pretraining."""

    min_crop_area: float = 0.08  # smallest share of the image that a random crop keeps, in (0, 1]
    use_flip: bool = True  # mirror half of the images
    color_jitter_strength: float = 1.0  # 0 switches colour jitter and greyscale off
    use_blur: bool = True

    def __post_init__(self) -> None:
        _require(
            0 < self.min_crop_area <= 1, f"--min_crop_area must be in (0, 1]. Received {self.min_crop_area}."
        )
        _require_not_negative("color_jitter_strength", self.color_jitter_strength)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Architecture of the (SK-)ResNet. Defaults: a plain ResNet-50."""

    resnet_depth: int = 50
    width_multiplier: float = 1.0
    sk_ratio: float = 0.0  # > 0: selective kernels and ResNet-D; the paper's value is 0.0625
    se_ratio: float = 0.0  # > 0: squeeze-and-excitation
    batch_norm_decay: float = 0.9  # momentum of the moving statistics
    global_bn: bool = True  # batch statistics over all replicas
    cifar_stem: bool | None = None  # None: decided by the image size, see with_stem_for

    def __post_init__(self) -> None:
        _require_choice("resnet_depth", self.resnet_depth, tuple(BLOCKS_OF_DEPTH))
        _require_positive("width_multiplier", self.width_multiplier)
        for name in ("sk_ratio", "se_ratio"):
            value = getattr(self, name)
            _require(
                0 <= value <= 1, f"--{name} must be in [0, 1]. Received {value}. The paper uses 0 or 0.0625."
            )
        _require(
            0 <= self.batch_norm_decay < 1,
            f"--batch_norm_decay must be in [0, 1). Received {self.batch_norm_decay}.",
        )

    def with_stem_for(self, image_size: int) -> EncoderConfig:
        """Returns this architecture with the stem decided (CIFAR stem up to 32 px)."""
        if self.cifar_stem is not None:
            return self
        return dataclasses.replace(self, cifar_stem=image_size <= CIFAR_STEM_MAX_SIZE)

    @property
    def feature_dim(self) -> int:
        """Width of the pooled features."""
        expansion = 1 if self.resnet_depth in BASIC_BLOCK_DEPTHS else 4
        return scaled_filters(512, self.width_multiplier) * expansion


def scaled_filters(filters: int, width_multiplier: float) -> int:
    """Channels of a layer of ``filters`` channels at ``width_multiplier``; at least 1."""
    return max(1, round(filters * width_multiplier))


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """Projection head (SimCLRv2, section 2)."""

    proj_head_mode: str = "nonlinear"  # none, linear, nonlinear
    num_proj_layers: int = 3  # used by nonlinear
    proj_out_dim: int = 128

    def __post_init__(self) -> None:
        _require_choice("proj_head_mode", self.proj_head_mode, ("none", "linear", "nonlinear"))
        _require_positive("num_proj_layers", self.num_proj_layers)
        _require_positive("proj_out_dim", self.proj_out_dim)

    @property
    def num_layers(self) -> int:
        """Layers that the head has: the largest valid ``ft_proj_selector``."""
        return {"none": 0, "linear": 1, "nonlinear": self.num_proj_layers}[self.proj_head_mode]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Settings of the contrastive and the distillation loss."""

    temperature: float | None = None  # None: 0.1, or 1.0 for a student of another architecture
    hidden_norm: bool = True  # l2-normalise projections
    lineareval_while_pretraining: bool = True  # train a linear probe beside pretraining
    distill_alpha: float = 1.0  # weight of distillation against labels

    def __post_init__(self) -> None:
        if self.temperature is not None:
            _require_positive("temperature", self.temperature)
        _require(
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
            _require_not_negative("ft_proj_selector", self.ft_proj_selector)
        _require_choice("fine_tune_after_block", self.fine_tune_after_block, (-1, 0, 1, 2, 3, 4))


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
        _require_choice("optimizer", self.optimizer, ("lars", "momentum", "adam", "lamb"))
        _require_choice("learning_rate_scaling", self.learning_rate_scaling, ("linear", "sqrt", "none"))
        _require_positive("learning_rate", self.learning_rate)
        _require(0 <= self.momentum < 1, f"--momentum must be in [0, 1). Received {self.momentum}.")
        _require_not_negative("weight_decay", self.weight_decay)
        _require_not_negative("warmup_epochs", self.warmup_epochs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How long and in what portions."""

    train_batch_size: int | None = None  # global; None: 512, or all labelled images if fewer
    eval_batch_size: int = 256  # global
    train_epochs: int = 100
    train_steps: int | None = None  # overrides train_epochs
    checkpoint_epochs: int = 1
    eval_epochs: int = 10  # evaluate every so many epochs; 0: only at the end
    keep_checkpoint_max: int = 5
    log_steps: int = 50  # summaries and metrics.jsonl
    seed: int = 0
    deterministic: bool = False  # bit-for-bit repeatable kernels, slower

    def __post_init__(self) -> None:
        if self.train_batch_size is not None:
            _require_positive("train_batch_size", self.train_batch_size)
        if self.train_steps is not None:
            _require_positive("train_steps", self.train_steps)
        for name in (
            "eval_batch_size",
            "train_epochs",
            "checkpoint_epochs",
            "keep_checkpoint_max",
            "log_steps",
        ):
            _require_positive(name, getattr(self, name))
        _require_not_negative("eval_epochs", self.eval_epochs)
        _require_not_negative("seed", self.seed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KnnConfig:
    """The nearest-neighbour classifier of ``--mode=knn``."""

    knn_neighbors: int = 20
    knn_temperature: float = 0.07  # votes weigh exp(cosine / temperature)

    def __post_init__(self) -> None:
        _require_positive("knn_neighbors", self.knn_neighbors)
        _require_positive("knn_temperature", self.knn_temperature)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that one execution needs to know.

    ``given`` holds the names of the flags that the user set; a stage that takes its
    architecture from a SavedModel compares only those.
    """

    mode: Mode
    model_dir: str
    checkpoint: str | None = None
    teacher: str | None = None
    data: DataConfig = DataConfig()
    labels: LabelConfig = LabelConfig()
    augment: AugmentConfig = AugmentConfig()
    encoder: EncoderConfig = EncoderConfig()
    head: HeadConfig = HeadConfig()
    loss: LossConfig = LossConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainConfig = TrainConfig()
    knn: KnnConfig = KnnConfig()
    given: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.mode is Mode.PRETRAIN:
            _check_pretrain(self)
        if self.mode is Mode.LINEAR_EVAL:
            _require(
                self.finetune.fine_tune_after_block == -1,
                "--fine_tune_after_block has no place in --mode=linear_eval, which freezes the whole "
                "network. Leave it out, or use --mode=finetune.",
            )


def _check_pretrain(config: RunConfig) -> None:
    _require(
        config.finetune.fine_tune_after_block == -1,
        "--fine_tune_after_block freezes layers, which pretraining cannot do: all of its weights start at "
        "random. Leave it out, or use --mode=finetune.",
    )
    selector = config.finetune.ft_proj_selector or 0
    _require(
        selector <= config.head.num_layers,
        f"--ft_proj_selector={selector} is beyond the projection head, which has {config.head.num_layers} "
        f"layers. Use 0 (encoder output) to {config.head.num_layers}.",
    )
    _require(
        not config.labels.is_subset,
        "--label_fraction and --labels_per_class choose labels, and pretraining uses none. "
        "Leave them out here and give them to --mode=finetune.",
    )


def as_dict(config: Any) -> dict[str, Any]:
    """Returns a JSON-ready dictionary of a configuration."""

    def plain(value: Any) -> Any:
        if isinstance(value, enum.Enum):
            return value.value
        if isinstance(value, (frozenset, set)):
            return sorted(value)
        return value

    return dataclasses.asdict(
        config, dict_factory=lambda items: {name: plain(value) for name, value in items}
    )
