"""Flags that a user gave and that the chosen stage does not look at."""

from __future__ import annotations

import dataclasses

from flags.settings import FIELD_DEFAULTS, SECTIONS
from tf_simclr.config import Mode, RunConfig


def _fields(*sections: str) -> frozenset[str]:
    return frozenset(field.name for name in sections for field in dataclasses.fields(SECTIONS[name]))


_ALL = frozenset(FIELD_DEFAULTS)
_HEAD_FIELDS = _fields("head")
_LABEL_FIELDS = _fields("labels")
# The other stages only crop and flip.
_PRETRAIN_AUGMENT = frozenset(("color_jitter_strength", "color_jitter", "augment_device", "use_blur"))
_EXPORT = _fields("export", "servable", "client", "server") - {"trust_saved_model"}
_CLASSIFIER = _fields("loss", "memory", "knn") | _EXPORT | _PRETRAIN_AUGMENT | {"teacher"}
_FROZEN = (
    _fields("augment", "labels", "loss", "memory", "finetune", "optimizer", "knn")
    | _EXPORT
    | {"teacher", "cache_dataset"}
)
_DEVICES = frozenset(("strategy", "tpu_name", "tpu_zone", "gcp_project"))  # Evaluation has them too.
_TRAINING_ONLY = _fields("train") - {"eval_batch_size", "seed", "deterministic"}

_ALONE = (
    _FROZEN | _fields("data", "train", "scale") | {"model_dir"}
)  # of a finished network, without a data set
_ASKED = {"export_name", "top_k", "max_image_pixels"}  # what a client's answers depend on

# Architecture flags count as used where a SavedModel brings the architecture: they are compared with it.
UNUSED: dict[Mode, frozenset[str]] = {
    Mode.PRETRAIN: _EXPORT | _fields("knn") | {"checkpoint", "teacher", "distill_alpha", "trust_saved_model"},
    Mode.FINETUNE: _CLASSIFIER,
    Mode.LINEAR_EVAL: _CLASSIFIER,
    Mode.SUPERVISED: _CLASSIFIER | _HEAD_FIELDS | {"checkpoint", "ft_proj_selector", "trust_saved_model"},
    Mode.DISTILL: _fields("finetune", "memory", "knn")
    | _EXPORT
    | _PRETRAIN_AUGMENT
    | _HEAD_FIELDS
    | {"checkpoint", "hidden_norm", "lineareval_while_pretraining"},
    Mode.EVAL: _FROZEN | _TRAINING_ONLY | (_fields("scale") - _DEVICES) | {"train_split"},
    Mode.KNN: (_FROZEN - _fields("knn", "labels")) | _TRAINING_ONLY | _fields("scale"),
    Mode.DESCRIBE: frozenset(),
    Mode.EXPORT: (_ALONE - _fields("export", "servable")),
    Mode.PREDICT: _ALONE - _fields("client") - _ASKED,
    Mode.SERVE: (_ALONE | _fields("encoder", "head") | {"keep_versions"})
    - _fields("server")
    - _ASKED
    - {"max_batch_size"},
    Mode.EMBED: _ALONE - _fields("client") - _ASKED | {"top_k"},
    Mode.IMPORT: _ALL
    - {"mode", "model_dir", "checkpoint", "image_size", "ft_proj_selector", "sk_ratio", "export_ema"}
    - {"trust_saved_model"},
    Mode.CHECK_DATA: _ALL - {"mode", "model_dir", "dataset", "data_dir"},
}


def unused_flags(config: RunConfig) -> list[str]:
    """Returns the names in ``config.given`` that change nothing in this run, sorted."""
    return sorted(config.given & (UNUSED[config.mode] | _overruled(config)))


def _overruled(config: RunConfig) -> frozenset[str]:
    """Settings that another setting of this run puts out of force."""
    names: set[str] = set()
    if not config.data.dataset.startswith("folder:"):
        names.add("max_bad_fraction")  # Arrays hold no files, and TFDS has read its own when it made them.
    if config.augment.color_jitter_strength == 0:
        names |= {"color_jitter", "augment_device"}
    if config.train.train_steps is not None:
        names.add("train_epochs")
    if config.memory.memory_size == 0:
        names.add("memory_momentum")
    if config.train.checkpoint_steps is not None:
        names.add("checkpoint_epochs")
    if config.train.on_nonfinite == "stop":
        names.add("max_nonfinite_steps")
    if config.optimizer.optimizer in ("adam", "lamb"):
        names.add("momentum")
    if config.head.proj_head_mode != "nonlinear":
        names.add("num_proj_layers")
    if config.head.proj_head_mode == "none":
        names.add("proj_out_dim")
    if config.mode is Mode.EXPORT:
        names |= _fields("servable") if config.export.export_kind == "hub" else {"export_part"}
    if config.mode in (Mode.PREDICT, Mode.EMBED):
        names |= _unused_of_client(config)
    if config.mode is Mode.DISTILL and config.loss.distill_alpha == 1:
        names |= _LABEL_FIELDS
    return frozenset(names)


def _unused_of_client(config: RunConfig) -> frozenset[str]:
    if config.client.server is None:
        return frozenset({"export_name", "request_timeout", "request_retries"})
    return _fields("encoder", "head") | {"checkpoint", "top_k", "max_image_pixels"}
