"""All settings of one execution together."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from tf_simclr.config.checks import require
from tf_simclr.config.client import ClientConfig
from tf_simclr.config.data import CACHE_IF_IT_FITS, AugmentConfig, DataConfig, LabelConfig
from tf_simclr.config.export import ExportConfig
from tf_simclr.config.memory import MemoryConfig
from tf_simclr.config.model import EncoderConfig, HeadConfig
from tf_simclr.config.scale import ScaleConfig
from tf_simclr.config.servable import ServableConfig
from tf_simclr.config.server import ServerConfig
from tf_simclr.config.stages import FinetuneConfig, KnnConfig, LossConfig, Mode
from tf_simclr.config.train import OptimizerConfig, TrainConfig


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
    memory: MemoryConfig = MemoryConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainConfig = TrainConfig()
    scale: ScaleConfig = ScaleConfig()
    knn: KnnConfig = KnnConfig()
    export: ExportConfig = ExportConfig()
    servable: ServableConfig = ServableConfig()
    client: ClientConfig = ClientConfig()
    server: ServerConfig = ServerConfig()
    given: frozenset[str] = frozenset()

    @property
    def starts_from_checkpoint(self) -> bool:
        """Whether the network at ``checkpoint`` is read; predictions may come from a server instead."""
        if self.mode in (Mode.PREDICT, Mode.EMBED) and self.client.server is not None:
            return False
        return self.mode not in (Mode.PRETRAIN, Mode.SUPERVISED, Mode.SERVE, Mode.IMPORT)

    def __post_init__(self) -> None:
        require(
            self.scale.mixed_precision != "float16" or self.optimizer.optimizer != "lamb",
            "--mixed_precision=float16 scales the loss, which --optimizer=lamb cannot undo. "
            "Use --mixed_precision=bfloat16 or --optimizer=lars.",
        )
        require(
            self.scale.microbatch_size is None or self.train.steps_per_loop == 1,
            "--microbatch_size takes several calls of TensorFlow for a step, and --steps_per_loop one call "
            "for several steps. Leave one of them out.",
        )
        require(
            not self.mode.trains
            or self.scale.data_service is None
            or self.data.cache_dataset != CACHE_IF_IT_FITS,
            "--cache_dataset=auto keeps images in the memory of this machine, and with --data_service others "
            "read them: nothing is cached by itself. Leave --cache_dataset out; only data that can be read "
            "from its beginning alone (TensorFlow Datasets) needs --cache_dataset=true.",
        )
        if self.mode is Mode.PRETRAIN:
            _check_pretrain(self)
        if self.mode is Mode.LINEAR_EVAL:
            require(
                self.finetune.fine_tune_after_block == -1,
                "--fine_tune_after_block has no place in --mode=linear_eval, which freezes the whole "
                "network. Leave it out, or use --mode=finetune.",
            )


def _check_pretrain(config: RunConfig) -> None:
    require(
        config.finetune.fine_tune_after_block == -1,
        "--fine_tune_after_block freezes layers, which pretraining cannot do: all of its weights start at "
        "random. Leave it out, or use --mode=finetune.",
    )
    selector = config.finetune.ft_proj_selector or 0
    require(
        selector <= config.head.num_layers,
        f"--ft_proj_selector={selector} is beyond the projection head, which has {config.head.num_layers} "
        f"layers. Use 0 (encoder output) to {config.head.num_layers}.",
    )
    require(
        not config.labels.is_subset,
        "--label_fraction and --labels_per_class choose labels, and pretraining uses none. "
        "Leave them out here and give them to --mode=finetune.",
    )
    require(
        config.loss.hidden_norm or not config.memory.memory_size,
        "--nohidden_norm and --memory_size exclude each other: the queue holds projections of length 1. "
        "Leave one of them out.",
    )
    require(
        bool(config.memory.memory_size) or not config.memory.export_ema,
        "--export_ema saves the momentum network, which is there only with a memory. "
        "Give --memory_size, such as 65536, or leave --export_ema out.",
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
