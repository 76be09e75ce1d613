from __future__ import annotations

import io
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from tf_simclr.config import ConfigError
from tf_simclr.data.decode import reads_webp
from tf_simclr.data.folder import FolderSource

PIXELS = np.random.default_rng(3).integers(0, 256, (6, 5, 3), np.uint8)


@pytest.fixture
def put(tmp_path):
    def write(name, array=PIXELS, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path, **options)
        return path

    write.root = tmp_path
    return write


def open_folder(put):
    return FolderSource(str(put.root))


def images(source, split="train"):
    return [e["image"] for e in source.examples(split).as_numpy_iterator()]


def test_train_and_test_folders_of_classes(image_folder):
    source = FolderSource(str(image_folder))
    assert source.splits == ("train", "test") and source.class_names == ("ant", "bee", "cat")
    assert source.ids("test").tolist() == [
        "test/ant/0.png",
        "test/ant/1.png",
        "test/bee/0.png",
        "test/bee/1.png",
    ]
    assert source.labels("test").tolist() == [0, 0, 1, 1]
    assert source.labels("train").tolist() == [0] * 5 + [1] * 5 + [2] * 5


def test_pixels_are_those_of_pillow_at_every_size_grey_as_rgb(image_folder):
    source = FolderSource(str(image_folder))
    for name, image in zip(source.ids("train"), images(source), strict=True):
        np.testing.assert_array_equal(image, np.array(Image.open(image_folder / name).convert("RGB")))


def test_undecoded_images_are_the_files(image_folder):
    source = FolderSource(str(image_folder))
    files = [(image_folder / name).read_bytes() for name in source.ids("train")]
    assert images(source.undecoded()) == files
    assert images(source)[0].dtype == np.uint8  # the source itself goes on as before


def test_class_folders_alone_are_the_split_train(put):
    put("b/1.png"), put("a/2.png"), put("a/10.png")
    source = open_folder(put)
    assert source.splits == ("train",)
    assert source.ids("train").tolist() == ["a/10.png", "a/2.png", "b/1.png"]
    assert source.labels("train").tolist() == [0, 0, 1]
    with pytest.raises(ConfigError, match=r"no split 'test', only train. Put its images into .*/test/CLASS/"):
        source.num_examples("test")


@pytest.mark.parametrize("below", ["", "train/"])
def test_flat_folder_has_no_labels(put, below):
    put(f"{below}1.png"), put(f"{below}2.png")
    source = open_folder(put)
    assert source.labels("train").tolist() == [-1, -1] and source.class_names == ()


def test_flat_train_beside_labelled_test_takes_the_classes_of_test(put):
    put("train/1.png"), put("test/a/1.png"), put("test/b/1.png")
    source = open_folder(put)
    assert source.class_names == ("a", "b")
    assert source.labels("train").tolist() == [-1] and source.labels("test").tolist() == [0, 1]


def test_other_folders_beside_train_are_splits_too(put):
    put("train/a/1.png"), put("val/a/2.png")
    assert open_folder(put).splits == ("train", "val")


def test_nested_files_count_and_hidden_and_other_files_do_not(put):
    put("a/deep/er/1.png"), put("a/2.PNG")
    put("a/.3.png"), put("a/.hidden/4.png"), put(".cache/5.png")
    (put.root / "a/notes.txt").write_text("no image")
    (put.root / "README.md").write_text("no image")
    assert open_folder(put).ids("train").tolist() == ["a/2.PNG", "a/deep/er/1.png"]


def test_links_to_files_and_class_folders_are_followed(put, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copy(put("a/1.png"), elsewhere / "x.png")
    os.symlink(elsewhere / "x.png", put.root / "a/2.png")
    os.symlink(elsewhere, put.root / "b")
    source = open_folder(put)
    assert source.ids("train").tolist() == ["a/1.png", "a/2.png", "b/x.png"]
    for image in images(source):
        np.testing.assert_array_equal(image, PIXELS)


@pytest.mark.parametrize("extension", ["png", "bmp", "jpg", "jpeg", "gif"])
def test_formats_decode_as_pillow_decodes_them(put, extension):
    path = put(f"a/1.{extension}")
    wanted = np.array(Image.open(path).convert("RGB")).astype(int)
    tolerance = 8 if extension.startswith("jp") else 0  # JPEG decoders differ in chroma upsampling
    assert np.abs(images(open_folder(put))[0] - wanted).max() <= tolerance


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P"])
def test_png_of_every_colour_mode_becomes_rgb(put, mode):
    Image.fromarray(PIXELS).convert(mode).save(put("a/0.png").parent / "1.png")
    assert images(open_folder(put))[1].shape == (6, 5, 3)


def test_first_frame_of_a_gif_is_read(put):
    frames = [Image.fromarray(np.full((4, 4), grey, np.uint8)) for grey in (10, 200)]
    (put.root / "a").mkdir()
    frames[0].save(put.root / "a/1.gif", save_all=True, append_images=frames[1:])
    assert np.unique(images(open_folder(put))[0]).tolist() == [10]


def test_webp_is_read_or_refused_in_a_sentence(put):
    put("a/1.webp", lossless=True)
    if reads_webp():
        np.testing.assert_array_equal(images(open_folder(put))[0], PIXELS)
    else:
        with pytest.raises(ConfigError, match=r"1.webp: WebP, which TensorFlow .* does not read; convert"):
            images(open_folder(put))


def test_webp_check_agrees_with_pillow_made_webp():
    import tensorflow as tf

    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "WEBP", lossless=True)
    try:
        tf.io.decode_image(stream.getvalue())
        readable = True
    except tf.errors.InvalidArgumentError:
        readable = False
    assert reads_webp() == readable


def test_fingerprint_sees_names_and_sizes(put):
    put("a/1.png")
    before = open_folder(put).fingerprint("train")
    put("a/1.png", np.zeros((30, 30, 3), np.uint8))
    resized = open_folder(put).fingerprint("train")
    (put.root / "a/1.png").rename(put.root / "a/2.png")
    assert len({before, resized, open_folder(put).fingerprint("train")}) == 3


def test_missing_folder_error_says_how_to_lay_out(tmp_path):
    with pytest.raises(ConfigError, match=r"folder that does not exist. Lay images out as PATH/train/CLASS"):
        FolderSource(str(tmp_path / "none"))


def test_empty_folder_is_refused(put):
    with pytest.raises(ConfigError, match=r"holds no image \(.jpg, .*Lay images out"):
        open_folder(put)


def test_class_folder_without_image_is_refused(put):
    put("a/1.png")
    (put.root / "b").mkdir()
    with pytest.raises(ConfigError, match=r"class folder .*/b holds no image.*Remove the folder"):
        open_folder(put)


def test_images_beside_class_folders_are_refused(put):
    put("a/1.png"), put("2.png")
    with pytest.raises(
        ConfigError, match=r"both class folders \(a, ...\) and images outside of them \(2.png"
    ):
        open_folder(put)


def test_test_classes_that_training_lacks_are_named(put):
    put("train/a/1.png"), put("test/a/1.png"), put("test/b/1.png"), put("test/c/1.png")
    with pytest.raises(ConfigError, match=r"split test .* has classes that train lacks: b, c. Add them"):
        open_folder(put).num_examples("test")
