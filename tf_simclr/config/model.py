"""Settings of the network: encoder and projection head."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tf_simclr.config.checks import require, require_choice, require_positive

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
        require_choice("resnet_depth", self.resnet_depth, tuple(BLOCKS_OF_DEPTH))
        require_positive("width_multiplier", self.width_multiplier)
        for name in ("sk_ratio", "se_ratio"):
            value = getattr(self, name)
            require(
                0 <= value <= 1, f"--{name} must be in [0, 1]. Received {value}. The paper uses 0 or 0.0625."
            )
        require(
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
        require_choice("proj_head_mode", self.proj_head_mode, ("none", "linear", "nonlinear"))
        require_positive("num_proj_layers", self.num_proj_layers)
        require_positive("proj_out_dim", self.proj_out_dim)

    @property
    def num_layers(self) -> int:
        """Layers that the head has: the largest valid ``ft_proj_selector``."""
        return {"none": 0, "linear": 1, "nonlinear": self.num_proj_layers}[self.proj_head_mode]
