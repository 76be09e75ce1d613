"""Parts of files are decoded as parts of the whole image are."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_simclr.config import AugmentConfig
from tf_simclr.data import pipeline
from tf_simclr.data.cached import CachedSource
from tf_simclr.data.decode import cropped
from tf_simclr.data.folder import FolderSource
from tf_simclr.data.tfds import TfdsSource


def encoded(seed, height, width, kind="JPEG", mode="RGB", **options):
    """A file of soft blotches, as photos have them."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    image = Image.fromarray(pixels).resize((width, height), Image.BICUBIC).convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def windows(count, height, width):
    generator = np.random.default_rng(1)
    yield (0, 0, height, width)
    yield (height - 1, width - 1, 1, 1)
    for _ in range(count):
        rows, columns = generator.integers(1, height + 1), generator.integers(1, width + 1)
        top, left = generator.integers(0, height - rows + 1), generator.integers(0, width - columns + 1)
        yield int(top), int(left), int(rows), int(columns)


@pytest.fixture(scope="module")
def part():
    """The part of an encoded image from ``top``, ``left`` on, traced once."""
    number = tf.TensorSpec([], tf.int32)

    @tf.function(input_signature=[tf.TensorSpec([], tf.string), *[number] * 4], autograph=False)
    def crop(file, top, left, rows, columns):
        return cropped(file, lambda _: (tf.stack([top, left, 0]), tf.stack([rows, columns, 3])))

    return crop


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_part_of_a_jpeg_has_the_pixels_of_the_whole(part, subsampling, progressive, mode):
    height, width = 117, 150
    file = encoded(0, height, width, mode=mode, subsampling=subsampling, progressive=progressive)
    whole = tf.io.decode_image(file, channels=3).numpy()
    for top, left, rows, columns in windows(25, height, width):
        found = part(file, top, left, rows, columns).numpy()
        np.testing.assert_array_equal(found, whole[top : top + rows, left : left + columns])


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
def test_other_files_are_decoded_and_cropped(part, kind):
    file = encoded(1, 40, 50, kind)
    whole = tf.io.decode_image(file, channels=3, expand_animations=False).numpy()
    np.testing.assert_array_equal(part(file, 3, 5, 30, 20).numpy(), whole[3:33, 5:25])


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Eight JPEGs of two classes, and a PNG."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(9):
        folder = root / "train" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        kind = "PNG" if number == 8 else "JPEG"
        (folder / f"{number}.{kind.lower()}").write_bytes(encoded(number, 90 + number, 130, kind))
    return root


@pytest.mark.parametrize("size", [24, 48])
@pytest.mark.parametrize("kind", ["folder", "tfds"])
def test_batches_of_one_view_are_those_of_whole_images(kind, size, photos, tfds_dir):
    files = FolderSource(str(photos)) if kind == "folder" else TfdsSource("tiny_shapes/small", str(tfds_dir))
    streams = []
    for source in (files, CachedSource(files)):
        labelled = pipeline.labelled_batches(
            source, "train", image_size=size, augment=AugmentConfig(), batch_size=9, seed=3
        )
        evaluated = pipeline.evaluation_batches(source, "train", image_size=size, batch_size=9)
        assert labelled.element_spec["image"].shape == [9, size, size, 3]
        found = {int(row): image for batch in labelled.take(3) for row, image in pairs(batch)}
        streams.append((found, *(image for batch in evaluated for _, image in pairs(batch))))
    (cropped_by_row, *centred), (whole_by_row, *wanted) = streams
    common = cropped_by_row.keys() & whole_by_row.keys()
    assert common
    if kind == "folder":  # A cache is shuffled otherwise than files that are read in order.
        for row in common:
            np.testing.assert_allclose(cropped_by_row[row], whole_by_row[row], atol=1e-6)
    for one, other in zip(centred, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def pairs(batch):
    return zip(batch["index"].numpy(), batch["image"].numpy(), strict=True)
