"""Which images can be used, and that the check never disagrees with the decoding."""

from __future__ import annotations

import io
import os
import time

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests import odd_images
from tf_simclr.data import check
from tf_simclr.data.decode import decode_image, reads_webp

USABLE, BROKEN = odd_images.usable(), odd_images.broken()
PIXELS = odd_images.PIXELS


@pytest.mark.parametrize("name", USABLE)
def test_odd_but_readable_images_are_used_with_the_pixels_they_show(name):
    found = check.check_encoded(USABLE[name])
    assert (found.reason, found.height, found.width) == (None, 40, 36)
    pixels = decode_image(tf.constant(USABLE[name])).numpy().astype(int)
    if "16_bit" in name:
        shown = np.repeat(PIXELS[..., :1], 3, axis=-1)
    else:
        shown = np.array(Image.open(io.BytesIO(USABLE[name])).convert("RGB"))
    tolerance = (
        2.0 if USABLE[name].startswith(b"\xff\xd8\xff") else 0.0
    )  # mean; JPEG decoders differ a little
    assert np.abs(pixels - shown).mean() <= tolerance


@pytest.mark.parametrize("name", BROKEN)
def test_broken_images_are_told_why(name):
    content, reason = BROKEN[name]
    found = check.check_encoded(content)
    assert reason in found.reason and "\n" not in found.reason and "{{" not in found.reason


@pytest.mark.parametrize(("name", "content"), odd_images.webp().items())
def test_webp_is_used_where_tensorflow_reads_it(name, content):
    reason = check.check_encoded(content).reason
    assert reason is None if reads_webp() else "does not read; convert it to PNG or JPEG" in reason


def test_a_bomb_costs_neither_time_nor_memory():
    begun = time.monotonic()
    for _ in range(20):
        assert check.check_encoded(odd_images.huge_png(60_000, 60_000)).reason
    assert time.monotonic() - begun < 2


def test_an_animation_of_many_large_frames_is_refused_before_it_is_unpacked():
    frames = [Image.new("P", (2000, 1500), number % 200) for number in range(100)]
    content = odd_images.encoded("GIF", frames[0], save_all=True, append_images=frames[1:])
    begun = time.monotonic()
    assert "animation of 100 frames of 2000 x 1500 pixels" in check.check_encoded(content).reason
    assert time.monotonic() - begun < 5


def test_files_that_cannot_be_opened_are_findings_too(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")  # opening it would wait for ever
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nothing.jpg")
    assert check.check_file(str(tmp_path / "pipe.jpg")).reason == "not a regular file"
    assert check.check_file(str(tmp_path / "link.jpg")).reason == "cannot be read (No such file or directory)"
    assert check.check_file(f"{tmp_path}/\udcff.jpg").reason == "its name is not valid UTF-8"
    with open(tmp_path / "sparse.jpg", "wb") as file:
        file.truncate(3_000_000_000)
    assert "more than the 268,435,455 allowed" in check.check_file(str(tmp_path / "sparse.jpg")).reason


def test_findings_come_in_order_and_equal_content_has_equal_digests():
    items = [bytes([number % 7]) * 10 for number in range(300)]
    found = check.in_parallel(check.check_encoded, iter(items), len(items), "test")
    assert [one.reason for one in found] == [check.check_encoded(item).reason for item in items]
    assert len({one.digest for one in found}) == 7
    pixels = check.check_pixels(PIXELS)
    assert (pixels.height, pixels.width, pixels.reason) == (40, 36, None)
    assert pixels.digest != check.check_pixels(PIXELS.reshape(36, 40, 3)).digest


def damaged(content, edits, length):
    changed = bytearray(content)
    for position, value in edits:
        changed[position % len(changed)] = value
    return bytes(changed[: max(1, len(changed) * length // 100)])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(USABLE | odd_images.webp())),
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    length=st.integers(1, 100),
)
@example(name="plain.jpg", edits=[], length=99)
@example(name="animated.gif", edits=[(277212, 1)], length=66)
def test_what_passes_the_check_decodes_to_the_size_it_says(name, edits, length):
    content = damaged((USABLE | odd_images.webp())[name], edits, length)
    found = check.check_encoded(content)
    if found.reason is None:
        assert decode_image(tf.constant(content)).shape == (found.height, found.width, 3)


@settings(max_examples=80, deadline=None)
@given(content=st.binary(max_size=200))
def test_arbitrary_bytes_are_findings_and_never_errors(content):
    assert check.check_encoded(content).reason
