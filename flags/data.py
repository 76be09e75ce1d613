"""Flags of the images, the label subset and the augmentation."""

from __future__ import annotations

from absl import flags

from flags.defaults import default_text
from tf_simclr.config import CACHE_IF_IT_FITS, AugmentConfig, DataConfig, LabelConfig


def define(flag_values: flags.FlagValues) -> None:
    """Registers the flags of DataConfig, LabelConfig and AugmentConfig."""
    _define_source(flag_values)
    _define_labels(flag_values)
    _define_augmentation(flag_values)


class _SwitchOrAuto(flags.BooleanParser):
    """A switch that is on, off or left to the program."""

    enum_values = ("true", "false", CACHE_IF_IT_FITS)

    def flag_type(self) -> str:
        return "bool or auto"

    def parse(self, argument: str | int) -> bool | str:  # type: ignore[override]
        return CACHE_IF_IT_FITS if argument == CACHE_IF_IT_FITS else super().parse(argument)


def _define_source(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "dataset",
        DataConfig.dataset,
        "Where the images come from: digits (bundled, no download), a TFDS name such as cifar10 or "
        "imagenet2012_subset/1pct, folder:PATH (one folder a class, or one flat folder of unlabelled "
        "images), or npz:PATH (arrays train_images, train_labels, test_images, test_labels).",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "data_dir",
        DataConfig.data_dir,
        "Folder that holds prepared TFDS data sets. Left out: TFDS's own default. Other sources carry "
        "their path.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "train_split", DataConfig.train_split, "Split whose images are trained on.", flag_values=flag_values
    )
    flags.DEFINE_string(
        "eval_split",
        DataConfig.eval_split,
        "Split that is only evaluated on, never trained on; ImageNet's is called validation.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "image_size",
        DataConfig.image_size,
        "Side of the square that enters the network, in pixels, at least 8. Up to 32 the encoder gets the "
        "CIFAR stem. Left out: the size of the data's own images. Paper: 224 on ImageNet, 32 on CIFAR-10.",
        flag_values=flag_values,
    )
    flags.DEFINE_flag(
        flags.Flag(
            _SwitchOrAuto(),
            flags.ArgumentSerializer(),
            "cache_dataset",
            DataConfig.cache_dataset,
            "Decode every image once, before training, and keep them in memory; auto: where they take at "
            "most a quarter of the free memory.",
            boolean=True,
        ),
        flag_values,
    )
    flags.DEFINE_float(
        "max_bad_fraction",
        DataConfig.max_bad_fraction,
        "Share of the image files of a folder that may be unreadable, in [0, 1]: they are skipped and listed "
        "in skipped.jsonl of the run directory. More of them stop the run before training.",
        flag_values=flag_values,
    )


def _define_labels(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_float(
        "label_fraction",
        LabelConfig.label_fraction,
        "Share of the training labels that may be used, in (0, 1], balanced over the classes and chosen by "
        "--seed. Left out: all labels. Paper: 0.01 and 0.1. Excludes --labels_per_class.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "labels_per_class",
        LabelConfig.labels_per_class,
        "Number of training labels of each class that may be used, at least 1, chosen by --seed. Left out: "
        "all labels. Paper: 25 and 400 on CIFAR-10. Excludes --label_fraction.",
        flag_values=flag_values,
    )


def _define_augmentation(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_float(
        "min_crop_area",
        None,
        "Smallest share of a training image that a random crop keeps, in (0, 1]; 1 keeps nearly all. "
        f"Paper: 0.08. {default_text('min_crop_area')}",
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "use_flip",
        None,
        "Mirror half of the training images left to right; switch it off where left and right differ in "
        f"meaning, as in writing. Paper: on. {default_text('use_flip')}",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "color_jitter_strength",
        None,
        "Strength of the colour distortion of the two views in pretraining, 0 or more; 0 also switches the "
        "random greyscale off. Paper: 1 on ImageNet, 0.5 on CIFAR-10. "
        f"{default_text('color_jitter_strength')}",
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "use_blur",
        None,
        "Blur half of the views in pretraining, with a kernel of a tenth of the image side. Paper: on for "
        f"ImageNet, off for CIFAR-10. {default_text('use_blur')}",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "color_jitter",
        AugmentConfig.color_jitter,
        "How pretraining changes colours. simclr: brightness, contrast, saturation and hue in a random "
        "order, in HSV, as the paper. yiq: all four at once, as one linear change in YIQ, which is cheaper.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "augment_device",
        AugmentConfig.augment_device,
        "Where pretraining changes colours. host: on the CPU, while the last batch is trained on. "
        "accelerator: in the training step, for GPUs and TPUs that wait for the host.",
        flag_values=flag_values,
    )
