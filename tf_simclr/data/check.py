"""Which image files can be trained on: every one is read and decoded once, before anything is trained."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
import tqdm

from tf_simclr.data.decode import decode_image, reads_webp

# Decoded, such an image takes 268 MB, and each core may hold one; it is also where Pillow begins to warn.
MAX_PIXELS = 89_478_485
_MAX_FILE_BYTES = 3 * MAX_PIXELS  # No need to compress what is no smaller for it.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
_JPEG_START = b"\xff\xd8\xff"
_WORKERS_A_CORE = 2  # one reads while the other decodes

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one image is. ``reason``: why it cannot be used, or None; ``digest``: hash of its content.

    height and width in px, 0 where they are unknown.
    """

    digest: str
    height: int = 0
    width: int = 0
    reason: str | None = None

    @property
    def decoded_bytes(self) -> int:
        """Memory that the pixels take as uint8 RGB."""
        return 3 * self.height * self.width


def check_file(path: str) -> Finding:
    """Reads and decodes one file; what is wrong with it is in the answer, never raised."""
    try:
        path.encode()
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            return Finding("", reason="not a regular file")
        if about.st_size > _MAX_FILE_BYTES:
            return Finding("", reason=f"{about.st_size:,} bytes, more than the {_MAX_FILE_BYTES:,} allowed")
        with open(path, "rb") as file:
            return check_encoded(file.read())
    except UnicodeEncodeError:
        return Finding("", reason="its name is not valid UTF-8")
    except OSError as error:
        return Finding("", reason=f"cannot be read ({error.strerror})")


def check_encoded(encoded: bytes) -> Finding:
    """Decodes the bytes of one image. Nothing is decoded whose header promises more than MAX_PIXELS."""
    digest = _digest(encoded)
    if not encoded:
        return Finding(digest, reason="empty file")
    height, width, reason = _check_header(encoded)
    if reason is None:
        height, width, reason = _decode(encoded, height, width)
    return Finding(digest, height, width, reason)


def check_pixels(image: np.ndarray) -> Finding:
    """Describes an image that is decoded already: uint8 [h, w, 3]."""
    content = f"{image.shape}".encode() + image.tobytes()
    return Finding(_digest(content), image.shape[0], image.shape[1])


def in_parallel(
    check: Callable[[Item], Finding], items: Iterable[Item], total: int, label: str
) -> list[Finding]:
    """Findings of ``items`` in order, made on all cores, with a bar on a terminal."""
    workers = _WORKERS_A_CORE * (os.cpu_count() or 1)
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        # Large images and odd metadata are Pillow's to warn of, and this module's to judge.
        warnings.simplefilter("ignore")
        found = _mapped(pool, check, items, 16 * workers)
        return list(tqdm.tqdm(found, label, total, unit="image", disable=None))


def _mapped(
    pool: ThreadPoolExecutor, check: Callable[[Item], Finding], items: Iterable[Item], ahead: int
) -> Iterator[Finding]:
    """``pool.map`` that holds no more than ``ahead`` items at a time, as items may be whole images."""
    waiting: list[Any] = []
    for item in items:
        waiting.append(pool.submit(check, item))
        if len(waiting) >= ahead:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def _check_header(encoded: bytes) -> tuple[int, int, str | None]:
    """Height, width and what is wrong, from the header alone; Pillow opens without decoding."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return height, width, f"{width} x {height} pixels, more than the {MAX_PIXELS:,} allowed"
            return height, width, _check_kind(image)
    except Image.DecompressionBombError:
        return 0, 0, f"more than the {MAX_PIXELS:,} pixels allowed"
    except Exception as error:  # Pillow's readers raise what their parsing happens to meet.
        if isinstance(error, Image.UnidentifiedImageError):
            return 0, 0, f"no header of a JPEG, PNG, GIF, BMP or WebP image; it begins with {encoded[:8]!r}"
        return 0, 0, f"damaged header ({_one_line(error)})"


def _check_kind(image: Any) -> str | None:
    """What TensorFlow cannot read, reads wrongly, or would need too much memory for."""
    if image.format == "BMP" and image.mode == "P":
        return "BMP with a palette, which TensorFlow reads as shades of grey; convert it to PNG"
    if image.format == "WEBP" and not reads_webp():
        return (
            f"WebP, which TensorFlow {tf.__version__} does not read; convert it to PNG or JPEG, or use "
            "Python 3.12 or later"
        )
    width, height = image.size
    # TensorFlow unpacks every frame of a GIF, a byte a pixel, to use the first.
    if image.format == "GIF" and image.n_frames * width * height > 3 * MAX_PIXELS:
        return f"animation of {image.n_frames} frames of {width} x {height} pixels, too large to unpack"
    return None


def _decode(encoded: bytes, height: int, width: int) -> tuple[int, int, str | None]:
    """Height, width and what is wrong: the header's size, or TensorFlow's where it reads another."""
    try:
        with tf.device("CPU:0"):
            if encoded.startswith(_JPEG_START):
                # An eighth of the side: all of the file is parsed, and little of it computed.
                tf.io.decode_jpeg(encoded, channels=3, ratio=8)
            else:
                height, width, _ = decode_image(tf.constant(encoded)).shape
    except (tf.errors.OpError, ValueError) as error:
        return height, width, _one_line(error)
    return height, width, None


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _one_line(error: Exception) -> str:
    """The message without TensorFlow's mentions of its own nodes."""
    text = " ".join(str(error).split())
    return text.split("}} ")[-1].split(" [Op:")[0] or type(error).__name__
