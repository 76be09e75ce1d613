"""A picture of what pretraining sees."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from tf_simclr.files.whole import write_bytes

MAX_IMAGES = 8  # columns
BORDER = 2  # px, white


def write_views(views: tuple[tf.Tensor, tf.Tensor] | None, directory: str) -> None:
    """Writes the picture to ``directory``: for TensorBoard, and as ``views.png``. None: no picture."""
    if views is None:
        return
    picture = views_picture(*(view.numpy() for view in views))
    with tf.summary.create_file_writer(directory).as_default(step=0):
        tf.summary.image("views", picture[np.newaxis])
    write_bytes(os.path.join(directory, "views.png"), tf.io.encode_png(picture).numpy())


def views_picture(view_1: np.ndarray, view_2: np.ndarray) -> np.ndarray:
    """Returns the first images' two views below each other: uint8 [h, w, 3].

    ``view_1``, ``view_2``: float [n, s, s, 3] in [0, 1].
    """
    rows = [_row(views[:MAX_IMAGES]) for views in (view_1, view_2)]
    return np.concatenate(rows, axis=0)


def _row(images: np.ndarray) -> np.ndarray:
    pixels = np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)
    framed = np.pad(pixels, [(0, 0), (BORDER, BORDER), (BORDER, BORDER), (0, 0)], constant_values=255)
    return np.concatenate(list(framed), axis=1)
