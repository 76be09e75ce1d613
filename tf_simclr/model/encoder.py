"""The (SK-)ResNet encoder."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_simclr.config import BASIC_BLOCK_DEPTHS, BLOCKS_OF_DEPTH, EncoderConfig, scaled_filters
from tf_simclr.model.blocks import BlockGroup, Stem
from tf_simclr.model.layers import spatial_mean
from tf_simclr.model.rematerialize import recomputed

BLOCK_GROUPS = ("block_group1", "block_group2", "block_group3", "block_group4")
FEATURES = "final_avg_pool"
ENCODER_ENDPOINTS = ("initial_conv", "initial_max_pool", *BLOCK_GROUPS, FEATURES)


class Encoder(keras.Model):
    """ResNet with optional selective kernels (SimCLRv2, appendix B).

    Constructor arguments are the fields of :class:`EncoderConfig`; ``cifar_stem`` must
    be decided. Images float [batch, h, w, 3] in [0, 1], of any size; returns a
    dictionary of the activations named in ``ENCODER_ENDPOINTS``, of which
    ``final_avg_pool`` is float32 [batch, feature_dim]. With ``rematerialize`` = True, training keeps
    no activations inside block groups.
    """

    def __init__(self, *, name: str = "encoder", **architecture: Any) -> None:
        super().__init__(name=name)
        self.config = EncoderConfig(**architecture)
        self.rematerialize = False  # how it trains, not what it is
        if self.config.cifar_stem is None:
            raise ValueError("cifar_stem must be True or False. Use EncoderConfig.with_stem_for(image_size).")
        width = self.config.width_multiplier
        norm: dict[str, Any] = {
            "batch_norm_decay": self.config.batch_norm_decay,
            "global_bn": self.config.global_bn,
        }
        self.stem = Stem(scaled_filters(64, width), self._stem_kind(), name="stem", **norm)
        options = norm | {
            "bottleneck": self.config.resnet_depth not in BASIC_BLOCK_DEPTHS,
            "sk_ratio": self.config.sk_ratio,
            "se_ratio": self.config.se_ratio,
        }
        self.block_groups = [
            BlockGroup(
                scaled_filters(64 * 2**i, width), blocks, 1 if i == 0 else 2, options, name=BLOCK_GROUPS[i]
            )
            for i, blocks in enumerate(BLOCKS_OF_DEPTH[self.config.resnet_depth])
        ]

    def _stem_kind(self) -> str:
        if self.config.cifar_stem:
            return "cifar"
        return "resnet_d" if self.config.sk_ratio else "imagenet"

    def call(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Returns the named activations."""
        endpoints: dict[str, tf.Tensor] = {}
        endpoints["initial_conv"], hidden = self.stem(images, training=training)
        endpoints["initial_max_pool"] = hidden
        for name, group in zip(BLOCK_GROUPS, self.block_groups, strict=True):
            if self.rematerialize and training:
                hidden = endpoints[name] = recomputed(group, hidden)
            else:
                hidden = endpoints[name] = group(hidden, training=training)
        endpoints[FEATURES] = spatial_mean(hidden)
        return endpoints

    def freeze_up_to_block_group(self, k: int) -> None:
        """Freezes the stem and the first ``k`` (0 to 4) block groups: no gradient, inference-mode norms."""
        layers: list[keras.layers.Layer] = [self.stem, *self.block_groups[:k]]
        for layer in layers:
            layer.trainable = False

    def get_config(self) -> dict[str, Any]:
        """Returns every constructor argument."""
        return {"name": self.name} | dataclasses.asdict(self.config)
