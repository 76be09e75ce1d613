"""From the settings to a source of images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tf_simclr.config import CACHE_IF_IT_FITS, DataConfig
from tf_simclr.data.arrays import digits
from tf_simclr.data.auto_cache import fits
from tf_simclr.data.cached import CachedSource
from tf_simclr.data.folder import FolderSource
from tf_simclr.data.npz import npz
from tf_simclr.data.skipped import SplitCheck
from tf_simclr.data.source import Source
from tf_simclr.data.tfds import TfdsSource

_DIGITS_SIZE = 16  # px; the 8 px scans leave a network nothing to pool
_OWN_SIZE_MAX = 64  # px; up to here images enter the network as large as they are
_PHOTO_SIZE = 224  # px, the ImageNet convention


def open_source(config: DataConfig, known: Mapping[str, SplitCheck] | None = None) -> Source:
    """Source that --dataset names. ``known``: earlier :attr:`Source.checks`, so as not to check again.

    Raises ConfigError if there is none such.
    """
    kind, colon, path = config.dataset.partition(":")
    if config.dataset == "digits":
        return digits()
    if colon and kind == "npz":
        return npz(path)
    source: Source
    if colon and kind == "folder":
        source = FolderSource(path, max_bad_fraction=config.max_bad_fraction, known=known)
    else:
        source = TfdsSource(config.dataset, config.data_dir)
    # Arrays are in memory anyway; files are not.
    cached = config.cache_dataset
    if cached == CACHE_IF_IT_FITS:
        used = (config.train_split, config.eval_split)
        cached = fits(source, [split for split in used if source.has_split(split)])
    return CachedSource(source) if cached else source


def open_uncached(config: DataConfig, known: Mapping[str, SplitCheck] | None = None) -> Source:
    """:func:`open_source` for those that read every image once at most."""
    return open_source(dataclasses.replace(config, cache_dataset=False), known)


def default_image_size(source: Source) -> int:
    """Side in px at which images of ``source`` enter the network unless --image_size says otherwise."""
    if source.name == "digits":
        return _DIGITS_SIZE
    if source.image_shape is None or max(source.image_shape) > _OWN_SIZE_MAX:
        return _PHOTO_SIZE
    return max(source.image_shape)
