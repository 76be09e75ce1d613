"""Decoding in the graph: as evaluation does, and one broken image harms no other."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from export.servable.header import UNKNOWN_FORMAT, claimed_pixels
from export.servable.images import decode_batch, prepare_batch
from tests.export import encoded_images
from tf_simclr.config import DataConfig
from tf_simclr.data.decode import reads_webp
from tf_simclr.data.open_source import open_source
from tf_simclr.data.pipeline import evaluation_batches

WHOLE = encoded_images.whole()
if reads_webp():  # Not moving pictures: TensorFlow reads those only with four channels.
    WHOLE |= {name: data for name, data in encoded_images.webp().items() if name != "animated_webp"}
BROKEN = encoded_images.broken()
MAX_PIXELS = 2**25


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def pixels_of(encoded):
    return claimed_pixels(encoded)


@functools.cache
def decoder(size, max_pixels=MAX_PIXELS):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def decode(encoded):
        return decode_batch(encoded, size, max_pixels)

    return decode


def evaluated(tmp_path, size):
    """What evaluation makes of the same files, by their names."""
    for name, data in WHOLE.items():
        extension = name.rpartition("_")[2]
        (tmp_path / f"{name}.{extension}").write_bytes(data)
    source = open_source(DataConfig(dataset=f"folder:{tmp_path}"))
    (batch,) = evaluation_batches(source, "train", image_size=size, batch_size=len(WHOLE))
    names = [name.rpartition(".")[0] for name in source.ids("train")]
    return dict(zip(names, batch["image"].numpy(), strict=True))


@pytest.mark.parametrize("size", [16, 48])  # 48 px is cropped, 16 px is not.
def test_images_are_those_of_evaluation(tmp_path, size):
    images, valid = decoder(size)(list(WHOLE.values()))
    assert valid.numpy().all(), dict(zip(WHOLE, valid.numpy(), strict=True))
    wanted = evaluated(tmp_path, size)
    for name, image in zip(WHOLE, images.numpy(), strict=True):
        np.testing.assert_array_equal(image, wanted[name], err_msg=name)


def test_each_broken_image_is_flagged_and_its_neighbours_are_as_alone():
    batch, wanted = [], []
    for data in BROKEN.values():
        batch += [WHOLE["png"], data, WHOLE["jpeg"]]
        wanted += [True, False, True]
    images, valid = decoder(16)(batch)
    found = dict(zip(BROKEN, valid.numpy()[1::3], strict=True))
    assert [name for name, is_valid in found.items() if is_valid] == []
    np.testing.assert_array_equal(valid, wanted)
    alone = {name: decoder(16)([WHOLE[name]])[0].numpy()[0] for name in ("png", "jpeg")}
    assert np.abs(alone["png"] - alone["jpeg"]).max() > 0.01
    for first, name in ((0, "png"), (2, "jpeg")):
        for image in images.numpy()[first::3]:
            np.testing.assert_array_equal(image, alone[name])
    assert not images.numpy()[1::3].any()


def test_a_batch_of_broken_images_alone_is_answered():
    images, valid = decoder(16)([b"", b"x"])
    assert images.shape == (2, 16, 16, 3) and not valid.numpy().any()


def test_an_image_above_the_limit_is_not_decoded():
    pixels = encoded_images.HEIGHT * encoded_images.WIDTH
    at, below = (decoder(16, limit)([WHOLE["png"]])[1].numpy().tolist() for limit in (pixels, pixels - 1))
    assert (at, below) == ([True], [False])


@pytest.mark.parametrize("name", [*encoded_images.whole(), *encoded_images.webp()])
def test_the_header_tells_the_number_of_pixels(name):
    data = (encoded_images.whole() | encoded_images.webp())[name]
    assert pixels_of(data) == encoded_images.HEIGHT * encoded_images.WIDTH


def test_bombs_claim_what_they_claim():
    for name, data in encoded_images.bombs().items():
        assert pixels_of(data) == 60_000**2, name
    assert pixels_of(b"II*\0 and more of a TIFF") == UNKNOWN_FORMAT


@pytest.mark.parametrize("palette", [True, False])
@pytest.mark.parametrize(
    "sizes, canvas, pixels",
    [
        ([(30, 20)], (40, 50), 2000),
        ([(30, 20), (300, 20), (1, 1)], (40, 50), 6000),
        ([(30, 20)] * 100, (40, 50), 5000),  # 60,000 in all, of which a twelfth counts
        ([], (40, 50), 2000),
    ],
)
def test_every_frame_of_a_gif_counts(sizes, canvas, pixels, palette):
    data = encoded_images.gif_of_frames(*sizes, canvas=canvas, palette=palette)
    assert pixels_of(data) == pixels


def test_a_gif_of_too_many_blocks_is_not_counted_to_its_end(monkeypatch):
    monkeypatch.setattr("export.servable.gif.MAX_BLOCKS", 50)
    frame = encoded_images.gif_of_frames((10, 10))[:-2]
    assert claimed_pixels(tf.constant(frame + b"\x01\x00" * 20 + b"\x00;")) == 100
    assert claimed_pixels(tf.constant(frame + b"\x01\x00" * 60 + b"\x00;")) == UNKNOWN_FORMAT


def test_a_gif_that_ends_early_still_counts_what_it_claims():
    data = encoded_images.gif_of_frames((10, 10), (6000, 6000))
    for length in range(6, len(data)):
        assert pixels_of(data[:length]) >= 0
    assert pixels_of(data[:-6]) == 6000**2


def test_pixels_are_prepared_like_the_same_image_encoded():
    pixels = encoded_images.picture().astype(np.float32) / 255
    prepared, valid = prepare_batch(tf.constant(pixels[np.newaxis]), 48)
    encoded, _ = decoder(48)([WHOLE["png"]])
    assert valid.numpy().all()
    np.testing.assert_allclose(prepared, encoded, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 255.0, -1.0])
def test_pixels_of_another_range_are_flagged(value):
    pixels = np.full((3, 4, 5, 3), 0.5, np.float32)
    pixels[1, 2, 3, 0] = value
    prepared, valid = prepare_batch(tf.constant(pixels), 16)
    assert valid.numpy().tolist() == [True, False, True]
    assert np.isfinite(prepared).all() and not prepared.numpy()[1].any()


def test_overshoot_of_somebodys_resizing_is_valid():
    assert prepare_batch(tf.constant([[[[1.1, -0.1, 0.0]]]]), 8)[1].numpy().tolist() == [True]
