"""Settings of the images, the labels and the augmentation."""

from __future__ import annotations

import dataclasses

from tf_simclr.config.checks import require, require_choice, require_not_negative, require_positive

CACHE_IF_IT_FITS = "auto"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where images come from and how large they enter the network."""

    dataset: str = "digits"  # digits, a TFDS name, folder:PATH or npz:PATH
    data_dir: str | None = None  # root of prepared TFDS data sets
    train_split: str = "train"
    eval_split: str = "test"
    image_size: int | None = None  # px; None: the data's own size, see data.open_source
    cache_dataset: bool | str = False  # keep decoded images in memory; auto: if they fit
    max_bad_fraction: float = 0.01  # share of a folder's images that may be unreadable

    def __post_init__(self) -> None:
        require(
            0 <= self.max_bad_fraction <= 1,
            f"--max_bad_fraction must be in [0, 1], such as 0.01 for 1%. Received {self.max_bad_fraction}.",
        )
        require_choice("cache_dataset", self.cache_dataset, (True, False, CACHE_IF_IT_FITS))
        require(bool(self.dataset), "--dataset is empty. Use digits, folder:PATH, npz:PATH or a TFDS name.")
        for prefix in ("folder:", "npz:"):
            require(
                self.dataset != prefix,
                f"--dataset={prefix} names no path. Write --dataset={prefix}PATH.",
            )
        if self.image_size is not None:
            require(
                self.image_size >= 8, f"--image_size must be at least 8 (pixels). Received {self.image_size}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """Which training labels may be used. Both None: all of them."""

    label_fraction: float | None = None  # in (0, 1]
    labels_per_class: int | None = None

    def __post_init__(self) -> None:
        require(
            self.label_fraction is None or self.labels_per_class is None,
            "--label_fraction and --labels_per_class exclude each other. Give one of them.",
        )
        if self.label_fraction is not None:
            require(
                0 < self.label_fraction <= 1,
                f"--label_fraction must be in (0, 1], such as 0.01 for 1%. Received {self.label_fraction}.",
            )
        if self.labels_per_class is not None:
            require_positive("labels_per_class", self.labels_per_class)

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
    color_jitter: str = "simclr"  # simclr: in HSV, as the paper; yiq: one linear change
    augment_device: str = "host"  # where colours change: host (tf.data) or accelerator (the training step)
    use_blur: bool = True

    def __post_init__(self) -> None:
        require(
            0 < self.min_crop_area <= 1, f"--min_crop_area must be in (0, 1]. Received {self.min_crop_area}."
        )
        require_not_negative("color_jitter_strength", self.color_jitter_strength)
        require_choice("color_jitter", self.color_jitter, ("simclr", "yiq"))
        require_choice("augment_device", self.augment_device, ("host", "accelerator"))
