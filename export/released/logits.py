"""Which layer of the projection head a released classifier reads.

Hidden layers are as wide as the features, so that neither names nor shapes tell it. The
official TensorFlow 2 code writes its flags beside a checkpoint; the released folders are
called after what is in them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from tf_simclr.config import ConfigError
from tf_simclr.model.network import Architecture

FLAGS_FILE = "flags.json"
LEVELS = 4  # from the variables of D/saved_model/<step>/variables up to D
# Name of a released folder -> layer, and whether the classifier is a probe beside pretraining.
_FOLDERS = (
    (re.compile(r"finetuned_(1|10)pct"), 1, False),
    (re.compile(r"finetuned_100pct|supervised|distill_\d+pct"), 0, False),
    (re.compile(r"finetune_\d+pct"), 0, False),  # SimCLR's first version reads the encoder always.
    (re.compile(r"pretrain(ed)?"), 0, True),
)


def with_logits_layer(architecture: Architecture, prefix: str, selector: int | None) -> Architecture:
    """Returns ``architecture`` with what its classifier reads: ``selector``, or what the files say.

    Without a hint it is taken for layer 1 of a head of three layers and more, which is
    where SimCLRv2 fine-tunes from on few labels, and the log says so.

    Raises:
        ConfigError: the head has no such layer, or only its output fits the classifier.
    """
    layers = architecture.head_layers
    if not architecture.num_classes or not layers:
        return architecture
    if architecture.logits_from:  # Its shape says that it reads the head's output.
        if selector not in (None, layers):
            raise ConfigError(
                f"--ft_proj_selector={selector} does not fit the classifier, whose kernel is as wide as the "
                f"head's output. Use {layers}, or leave it out."
            )
        return architecture
    if selector is not None:
        if selector > _hidden(architecture):
            raise ConfigError(
                f"--ft_proj_selector={selector} is no layer that the classifier of {prefix}.* can read. "
                f"Use 0 (the encoder's output) to {_hidden(architecture)}."
            )
        return dataclasses.replace(architecture, logits_from=selector)
    for layer, is_probe, source in _findings(prefix):
        if 0 <= layer <= _hidden(architecture):
            logging.info("The classifier reads head layer %d, as %s says.", layer, source)
            return dataclasses.replace(architecture, logits_from=layer, detach_logits=is_probe)
    layer = min(1, _hidden(architecture)) if layers > 2 else 0
    logging.warning(
        "Nothing in %s.* says which head layer the classifier reads; taken for %d. Of the released networks "
        "those fine-tuned on 1%% and 10%% of the labels read 1, others 0. Say it with --ft_proj_selector.",
        prefix,
        layer,
    )
    return dataclasses.replace(architecture, logits_from=layer)


def _hidden(architecture: Architecture) -> int:
    """Returns the head's hidden layers: the ones as wide as the features."""
    is_complete = architecture.head_layers == architecture.head.num_layers
    is_square = architecture.head.proj_out_dim == architecture.encoder.feature_dim
    return architecture.head_layers - (1 if is_complete and not is_square else 0)


def _findings(prefix: str) -> Iterator[tuple[int, bool, str]]:
    """Yields (layer, whether it is a probe, who says so)."""
    folders = [os.path.dirname(prefix)]
    while len(folders) < LEVELS:
        folders.append(os.path.dirname(folders[-1]))
    for folder in folders:
        file = os.path.join(folder, FLAGS_FILE)
        if tf.io.gfile.exists(file):
            with tf.io.gfile.GFile(file) as stream:
                flags = _parsed(stream.read())
            layer = flags.get("ft_proj_selector")
            if isinstance(layer, int):
                yield layer, flags.get("train_mode") == "pretrain", file
    for part in reversed(folders[0].split("/")):
        for pattern, layer, is_probe in _FOLDERS:
            if pattern.fullmatch(part):
                yield layer, is_probe, f"the folder name {part}"


def _parsed(text: str) -> dict[str, object]:
    try:
        values = json.loads(text)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
