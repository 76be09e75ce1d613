"""What a released network is, from the names and shapes of its variables alone."""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping

from export.released.names import released_variables
from export.released.naming import canonical
from tf_simclr.config import BASIC_BLOCK_DEPTHS, BLOCKS_OF_DEPTH, ConfigError, EncoderConfig, HeadConfig
from tf_simclr.model.layers import SK_MIN_DIM
from tf_simclr.model.network import Architecture

SK_RATIO = 0.0625  # of all releases
SHARE_KNOWN = 0.5  # of an encoder's variables must be there, or it is something else
Shapes = Mapping[str, tuple[int, ...]]  # by canonical name

_HEAD_LAYER = {
    "tf1": re.compile(r"head_contrastive/n?l_(\d+)/"),
    "tf2": re.compile(r"projection_head/n?l_(\d+)/"),
    "key": re.compile(r"_projection_head/linear_layers/(\d+)/"),
}
_ENCODER = {"tf1": "base_model/", "tf2": "resnet/", "key": "resnet_model/"}
_SUPERVISED = {
    "tf1": "head_supervised/linear_layer/dense",
    "tf2": "head_supervised/linear_layer/dense",
    "key": "supervised_head/linear_layer/dense",
}


def infer_architecture(shapes: Shapes, naming: str, image_size: int | None = None) -> Architecture:
    """Returns the architecture whose variables are called, and shaped, most like these.

    ``logits_from`` is 0 unless only the head's output fits: names and shapes don't tell
    more. ``image_size`` decides the stem where its convolution is missing.

    Raises:
        ConfigError: no encoder comes near.
    """
    encoder = _encoder(shapes, naming, image_size)
    head, head_layers = _head(shapes, naming)
    classes, reads_output = _classifier(shapes, naming, head, head_layers, encoder.feature_dim)
    return Architecture(
        encoder=encoder,
        head=head,
        head_layers=head_layers,
        num_classes=classes,
        logits_from=head_layers if reads_output else 0,
    )


def _encoder(shapes: Shapes, naming: str, image_size: int | None) -> EncoderConfig:
    best, share = best_encoder(shapes, naming)
    if share < SHARE_KNOWN:
        raise ConfigError(
            f"it is no ResNet of SimCLR: the nearest is ResNet-{best.resnet_depth}, of whose variables it "
            f"has {share:.0%}."
        )
    names = canonical_names(best, naming)
    if not best.sk_ratio:
        kernel = shapes.get(names["encoder/stem/conv/kernel"], ())
        is_small = kernel[0] == 3 if kernel else (image_size or 224) <= 32
        best = dataclasses.replace(best, cifar_stem=is_small)
    best = dataclasses.replace(best, width_multiplier=_width(shapes, names, best))
    return dataclasses.replace(best, sk_ratio=_sk_ratio(shapes, names, best))


def best_encoder(shapes: Shapes, naming: str) -> tuple[EncoderConfig, float]:
    """Returns the encoder of width 1 with most names in common, and the share of its names that is there."""
    found = {name for name in shapes if name.startswith(_ENCODER[naming])}
    best = min(_candidates(), key=lambda config: len(found ^ set(canonical_names(config, naming).values())))
    names = set(canonical_names(best, naming).values())
    return best, len(names & found) / len(names)


def _candidates() -> Iterator[EncoderConfig]:
    for depth in BLOCKS_OF_DEPTH:
        for sk_ratio in (0.0, SK_RATIO):
            for cifar_stem in (False, True):
                yield EncoderConfig(resnet_depth=depth, sk_ratio=sk_ratio, cifar_stem=cifar_stem)


@functools.cache
def canonical_names(config: EncoderConfig, naming: str) -> Mapping[str, str]:
    """Returns the canonical name in the file by our name, of every variable of an encoder."""
    rows = released_variables(Architecture(encoder=config))
    names = {name: found for found, name in canonical([row.name(naming) for row in rows], naming).items()}
    return {row.ours: names[row.name(naming)] for row in rows}


def _width(shapes: Shapes, names: Mapping[str, str], config: EncoderConfig) -> float:
    """Returns the width multiplier that most norms of the last block group speak for."""
    wanted = {row.ours: row.shape for row in released_variables(Architecture(encoder=config))}
    votes: collections.Counter[float] = collections.Counter()
    for ours, shape in wanted.items():
        if not ours.endswith("gamma") or "/reduce/" in ours or "block_group4" not in ours:
            continue
        found = shapes.get(names[ours], ())
        if len(found) == 1:
            votes[round(found[0] / shape[0], 4)] += 1
    width = votes.most_common(1)[0][0] if votes else 1.0
    return width if width > 0 else 1.0


def _sk_ratio(shapes: Shapes, names: Mapping[str, str], config: EncoderConfig) -> float:
    if not config.sk_ratio or config.resnet_depth in BASIC_BLOCK_DEPTHS:
        return config.sk_ratio
    votes: collections.Counter[float] = collections.Counter()
    for row in released_variables(Architecture(encoder=config)):
        if row.ours.endswith("/reduce/conv/kernel") and len(shapes.get(names[row.ours], ())) == 4:
            found = shapes[names[row.ours]]
            fits = found[3] == row.shape[3]
            votes[SK_RATIO if fits else found[3] / found[2]] += 1
            if not fits and found[3] > SK_MIN_DIM:  # The floor of 32 channels hides the ratio.
                votes[found[3] / found[2]] += len(names)
    ratio = votes.most_common(1)[0][0] if votes else SK_RATIO
    return ratio if ratio <= 1 else SK_RATIO


def _head(shapes: Shapes, naming: str) -> tuple[HeadConfig, int]:
    """Returns the projection head, and how many of its layers the file has."""
    numbers = [int(match[1]) for name in shapes if (match := _HEAD_LAYER[naming].match(name))]
    if not numbers:
        return HeadConfig(proj_head_mode="none"), 0
    count = max(numbers) + 1
    last = [name for name in shapes if (m := _HEAD_LAYER[naming].match(name)) and int(m[1]) == count - 1]
    kernel = next((shapes[name] for name in last if name.endswith("dense/kernel")), ())
    is_hidden = len(kernel) == 2 and kernel[0] == kernel[1] and any(name.endswith("/beta") for name in last)
    if is_hidden:  # The layers above it were left out.
        return HeadConfig(num_proj_layers=max(count + 1, HeadConfig.num_proj_layers)), count
    width = kernel[1] if len(kernel) == 2 else HeadConfig.proj_out_dim
    is_linear = any("/l_0/" in name for name in last)
    mode = "linear" if is_linear else "nonlinear"
    return HeadConfig(proj_head_mode=mode, num_proj_layers=count, proj_out_dim=width), count


def _classifier(
    shapes: Shapes, naming: str, head: HeadConfig, head_layers: int, feature_dim: int
) -> tuple[int, bool]:
    """Returns the number of classes, and whether only the head's output can be what the classifier reads."""
    kernel, bias = (shapes.get(f"{_SUPERVISED[naming]}/{kind}", ()) for kind in ("kernel", "bias"))
    if not kernel and not bias:
        return 0, False
    classes = bias[0] if len(bias) == 1 else kernel[1] if len(kernel) == 2 else 0
    is_complete = 0 < head_layers == head.num_layers
    inputs = kernel[0] if len(kernel) == 2 else feature_dim
    return classes, is_complete and inputs == head.proj_out_dim != feature_dim
