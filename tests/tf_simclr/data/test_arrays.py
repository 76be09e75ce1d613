from __future__ import annotations

import numpy as np
import pytest
from sklearn import datasets

from tf_simclr.data.arrays import ArraySource, ArraySplit, digits

GREY = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def only_images(images):
    source = ArraySource("made", {"train": ArraySplit.of(images)})
    return np.stack([e["image"] for e in source.examples("train").as_numpy_iterator()])


@pytest.mark.parametrize("images", [GREY, GREY[..., None]])
def test_grey_images_are_repeated_to_rgb(images):
    np.testing.assert_array_equal(only_images(images), np.stack([GREY] * 3, axis=-1))


def test_rgb_images_are_unchanged():
    images = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    np.testing.assert_array_equal(only_images(images), images)


def test_arrays_without_labels_have_label_minus_one():
    source = ArraySource("made", {"train": ArraySplit.of(GREY)})
    assert source.labels("train").tolist() == [-1, -1] and source.class_names == ()


def test_image_shape_is_known_if_the_splits_share_it():
    other = np.zeros((1, 5, 5), np.uint8)
    assert ArraySource("a", {"train": ArraySplit.of(GREY)}).image_shape == (3, 4)
    assert ArraySource("a", {"train": ArraySplit.of(GREY), "test": ArraySplit.of(other)}).image_shape is None


def test_fingerprint_changes_with_one_pixel_and_with_one_label():
    def fingerprint(images, labels):
        return ArraySource("a", {"train": ArraySplit.of(images, np.array(labels))}).fingerprint("train")

    changed = GREY.copy()
    changed[1, 2, 3] += 1
    assert len({fingerprint(GREY, [0, 1]), fingerprint(changed, [0, 1]), fingerprint(GREY, [0, 0])}) == 3


@pytest.mark.parametrize("images", [GREY.astype(np.float32), GREY[0], np.zeros((1, 2, 2, 4), np.uint8)])
def test_arrays_that_are_no_images_are_refused(images):
    with pytest.raises(ValueError, match=r"uint8 \[n, h, w\], .* Received"):
        ArraySplit.of(images)


def test_labels_of_another_count_are_refused():
    with pytest.raises(ValueError, match=r"labels must have shape \[2\]. Received \[3\]"):
        ArraySplit.of(GREY, np.zeros(3, np.int64))


def test_digits_are_all_scans_split_1437_to_360_in_balance():
    source = digits()
    assert (source.num_examples("train"), source.num_examples("test")) == (1437, 360)
    assert source.image_shape == (8, 8) and source.class_names == tuple("0123456789")
    sizes = np.bincount(datasets.load_digits().target)
    for split, share in (("train", 1437 / 1797), ("test", 360 / 1797)):
        assert np.abs(np.bincount(source.labels(split)) - sizes * share).max() <= 1


def test_digits_have_each_scan_once_with_its_label_at_full_range():
    data = datasets.load_digits()
    original = sorted(
        (int(label), *(round(v * 255 / 16) for v in scan))
        for label, scan in zip(data.target, data.data, strict=True)
    )
    source, found = digits(), []
    for split in ("train", "test"):
        for e in source.examples(split).as_numpy_iterator():
            found.append((int(e["label"]), *(int(v) for v in e["image"][..., 1].ravel())))
    assert sorted(found) == original
    assert max(max(row[1:]) for row in found) == 255


def test_digits_split_is_fixed():
    ids = digits().ids("train")
    assert ids[:2].tolist() == ["train/0", "train/1"]
    assert digits().fingerprint("train") == digits().fingerprint("train")
    assert digits().fingerprint("train") != digits().fingerprint("test")
