from __future__ import annotations

import numpy as np
import pytest

from tf_simclr.config import ConfigError
from tf_simclr.data.npz import npz

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), np.uint8)
LABELS = np.array([0, 1, 2, 1, 0])


@pytest.fixture
def write(tmp_path):
    def save(**arrays):
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return str(path)

    return save


def test_arrays_become_train_and_test(write):
    source = npz(write(train_images=IMAGES, train_labels=LABELS, test_images=IMAGES[:2, ..., 0]))
    assert source.splits == ("train", "test") and source.class_names == ("0", "1", "2")
    assert (source.num_examples("train"), source.num_examples("test")) == (5, 2)
    assert source.labels("train").tolist() == LABELS.tolist() and source.labels("test").tolist() == [-1, -1]
    found = np.stack([e["image"] for e in source.examples("train").as_numpy_iterator()])
    np.testing.assert_array_equal(found, IMAGES)
    grey = next(source.examples("test").as_numpy_iterator())["image"]
    np.testing.assert_array_equal(grey, np.stack([IMAGES[0, ..., 0]] * 3, -1))


def test_test_arrays_and_labels_may_be_missing(write):
    source = npz(write(train_images=IMAGES))
    assert source.splits == ("train",) and source.class_names == ()
    with pytest.raises(ConfigError, match=r"has no split 'test'.*one of: train"):
        source.num_examples("test")


def test_count_and_shape_are_known_before_pixels_are_read(tmp_path):
    path = tmp_path / "cut.npz"
    np.savez(path, train_images=np.zeros((5, 200, 300), np.uint8), train_labels=LABELS)
    content = bytearray(path.read_bytes())
    content[200_000] ^= 0xFF  # inside the pixels, so that reading them fails the archive's checksum
    path.write_bytes(bytes(content))
    source = npz(str(path))
    assert source.num_examples("train") == 5 and source.image_shape == (200, 300)
    with pytest.raises(Exception, match=r"CRC"):
        source.examples("train")


def test_class_names_come_from_the_file(write):
    names = np.array(["ant", "bee", "cat", "dog"])
    assert npz(write(train_images=IMAGES, train_labels=LABELS, class_names=names)).class_names == tuple(names)


def test_compressed_and_big_archives_read_the_same(tmp_path, write):
    np.savez_compressed(tmp_path / "small.npz", train_images=IMAGES, train_labels=LABELS)
    plain = npz(write(train_images=IMAGES, train_labels=LABELS))
    assert npz(str(tmp_path / "small.npz")).fingerprint("train") == plain.fingerprint("train")


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"x": IMAGES}, r"holds the arrays x; valid are train_images, .*numpy\.savez"),
        ({"train_images": IMAGES, "extra": LABELS}, "holds the arrays train_images, extra; valid are"),
        ({}, r"holds the arrays \(none\)"),
        ({"train_images": IMAGES / 255.0}, r"train_images in .* is float64 \[5, 6, 7, 3\]. It must be uint8"),
        ({"train_images": IMAGES[0, 0]}, r"train_images in .* is uint8 \[7, 3\]. It must be uint8"),
        ({"train_images": IMAGES[:0]}, r"uint8 \[0, 6, 7, 3\].*at least one image"),
        ({"train_images": IMAGES.astype(object)}, "train_images in .* is object"),
        ({"train_images": IMAGES, "train_labels": LABELS[:4]}, r"int64 \[4\]. .* each of the 5 images"),
        ({"train_images": IMAGES, "train_labels": LABELS * 1.0}, r"train_labels in .* is float64 \[5\]"),
        ({"train_images": IMAGES, "train_labels": LABELS[:, None]}, r"is int64 \[5, 1\].*shape \[5\]"),
        ({"train_images": IMAGES, "train_labels": LABELS - 1}, "holds the label -1. Labels count from 0"),
        ({"train_images": IMAGES, "test_labels": LABELS}, "has test_labels but no test_images"),
        (
            {"train_images": IMAGES, "train_labels": LABELS, "class_names": np.array(["a"])},
            "must be a list of at least 3 strings, because the largest label is 2",
        ),
    ],
)
def test_wrong_archives_are_refused_in_a_sentence(write, arrays, text):
    with pytest.raises(ConfigError, match=text):
        npz(write(**arrays))


def test_missing_file_error_says_how_to_write_one(tmp_path):
    with pytest.raises(ConfigError, match=r"does not exist. Write it with numpy\.savez"):
        npz(str(tmp_path / "none.npz"))


def test_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a.npz").write_text("hello")
    with pytest.raises(ConfigError, match=r"is not a NumPy .npz archive"):
        npz(str(tmp_path / "a.npz"))
