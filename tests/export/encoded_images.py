"""Small images in every encoding, whole and broken."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 40, 50


def picture(seed=0, height=HEIGHT, width=WIDTH):
    """Smooth random colours, uint8 [height, width, 3]: JPEG keeps them, noise it would not."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encode(pixels, kind, mode="RGB", **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def png(seed=0, **size):
    return encode(picture(seed, **size), "PNG")


def whole():
    """By name, what every TensorFlow reads."""
    pixels, other = picture(), Image.fromarray(picture(1)).convert("P")
    return {
        "jpeg": encode(pixels, "JPEG"),
        "progressive_jpeg": encode(pixels, "JPEG", progressive=True),
        "grey_jpeg": encode(pixels, "JPEG", "L"),
        "cmyk_jpeg": encode(pixels, "JPEG", "CMYK"),
        "png": encode(pixels, "PNG"),
        "palette_png": encode(pixels, "PNG", "P"),
        "rgba_png": encode(pixels, "PNG", "RGBA"),
        "grey_png": encode(pixels, "PNG", "L"),
        "gif": encode(pixels, "GIF"),
        "animated_gif": encode(pixels, "GIF", "P", save_all=True, append_images=[other]),
        "bmp": encode(pixels, "BMP"),
    }


def webp():
    """By name, the three layouts of WebP."""
    pixels, other = picture(), Image.fromarray(picture(1))
    return {
        "lossy_webp": encode(pixels, "WEBP"),
        "lossless_webp": encode(pixels, "WEBP", lossless=True),
        "animated_webp": encode(pixels, "WEBP", save_all=True, append_images=[other]),
    }


def broken():
    """By name, bytes of which no image can be made."""
    random = np.random.default_rng(0)
    images = whole()
    found = {
        "empty": b"",
        "one_byte": b"\xff",
        "text": b"<html>404 Not Found</html>",
        "zeros": bytes(1000),
        "random": random.bytes(1000),
        "tiff": encode(picture(), "TIFF"),
        "jpeg_magic_then_random": b"\xff\xd8\xff" + random.bytes(500),
        "png_magic_then_random": b"\x89PNG\r\n\x1a\n" + random.bytes(500),
        "riff_that_is_sound": b"RIFF" + random.bytes(4) + b"WAVEfmt " + random.bytes(500),
    }
    for kind in ("jpeg", "png", "gif", "bmp"):
        for length in (4, 20, len(images[kind]) // 2):
            found[f"{kind}_cut_at_{length}"] = images[kind][:length]
    return found | bombs()


def gif_of_frames(*sizes, canvas=(1, 1), palette=True):
    """A GIF whose frames have those sizes (width, height), each with as little data as there can be."""
    flags = 0x80 if palette else 0
    found = b"GIF89a" + struct.pack("<HHBBB", *canvas, flags, 0, 0) + bytes(6 if palette else 0)
    found += b"!\xfe\x05hello\x03you\x00"  # a comment in two blocks of data
    for i, size in enumerate(sizes):
        local = i % 2  # Every second frame has a palette of its own.
        found += b"," + struct.pack("<HHHHB", 0, 0, *size, 0x81 if local else 0) + bytes(12 if local else 0)
        found += b"\x02\x02\x44\x01\x00"
    return found + b";"


def bombs():
    """By name, a few bytes that claim 60,000 x 60,000 pixels or more."""
    side = 60_000
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    checksum = struct.pack(">I", zlib.crc32(chunk))
    gif, bmp, jpeg = (bytearray(whole()[kind]) for kind in ("gif", "bmp", "jpeg"))
    gif[6:10] = struct.pack("<HH", side, side)
    bmp[18:26] = struct.pack("<ii", side, -side)
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    return {
        "png_bomb": b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + checksum,
        "gif_bomb": bytes(gif),
        "gif_frame_bomb": gif_of_frames((10, 10), (side, side)),
        "bmp_bomb": bytes(bmp),
        "jpeg_bomb": bytes(jpeg),
    }
