"""Typed, frozen, validated settings of a run.

Every field has a command-line flag of the same name (see ``flags/``), and every
check raises :class:`ConfigError` with a sentence that a user can act on. Nothing here
imports TensorFlow or absl, so a wrong setting is refused before anything slow begins.
"""

from tf_simclr.config.checks import ConfigError
from tf_simclr.config.client import ClientConfig
from tf_simclr.config.data import CACHE_IF_IT_FITS, AugmentConfig, DataConfig, LabelConfig
from tf_simclr.config.export import EXPORT_KINDS, EXPORT_PARTS, ExportConfig
from tf_simclr.config.memory import MemoryConfig
from tf_simclr.config.model import (
    BASIC_BLOCK_DEPTHS,
    BLOCKS_OF_DEPTH,
    CIFAR_STEM_MAX_SIZE,
    EncoderConfig,
    HeadConfig,
    scaled_filters,
)
from tf_simclr.config.run import RunConfig, as_dict
from tf_simclr.config.scale import ScaleConfig
from tf_simclr.config.servable import ServableConfig
from tf_simclr.config.server import ServerConfig
from tf_simclr.config.stages import TRAINING_MODES, FinetuneConfig, KnnConfig, LossConfig, Mode
from tf_simclr.config.train import OptimizerConfig, TrainConfig

__all__ = [
    "BASIC_BLOCK_DEPTHS",
    "BLOCKS_OF_DEPTH",
    "CACHE_IF_IT_FITS",
    "CIFAR_STEM_MAX_SIZE",
    "EXPORT_KINDS",
    "EXPORT_PARTS",
    "TRAINING_MODES",
    "AugmentConfig",
    "ClientConfig",
    "ConfigError",
    "DataConfig",
    "EncoderConfig",
    "ExportConfig",
    "FinetuneConfig",
    "HeadConfig",
    "KnnConfig",
    "LabelConfig",
    "LossConfig",
    "MemoryConfig",
    "Mode",
    "OptimizerConfig",
    "RunConfig",
    "ScaleConfig",
    "ServableConfig",
    "ServerConfig",
    "TrainConfig",
    "as_dict",
    "scaled_filters",
]
