"""Image files of every odd and broken kind, by name."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

ROWS = np.linspace(0, 220, 40)[:, None, None]
PIXELS = np.clip(ROWS + np.random.default_rng(5).integers(0, 30, (40, 36, 3)), 0, 255).astype(np.uint8)
RGB = Image.fromarray(PIXELS)
WEBP_KINDS = ("photo.webp", "lossless.webp")  # usable where TensorFlow reads the format


def encoded(fmt, image=RGB, **options):
    stream = io.BytesIO()
    image.save(stream, fmt, **options)
    return stream.getvalue()


def huge_png(width, height):
    """A few hundred bytes whose header promises width x height pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def usable():
    """File name -> bytes that every TensorFlow here reads: 36 x 40 pixels each."""
    mirrored = Image.fromarray(PIXELS[::-1])
    return {
        "plain.jpg": encoded("JPEG"),
        "progressive.jpg": encoded("JPEG", progressive=True),
        "grey.jpg": encoded("JPEG", RGB.convert("L")),
        "cmyk.jpg": encoded("JPEG", RGB.convert("CMYK")),
        "rotated_by_exif.jpg": encoded("JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00"),
        "plain.png": encoded("PNG"),
        "grey_16_bit.png": encoded("PNG", Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257)),
        "palette.png": encoded("PNG", RGB.convert("P")),
        "transparent.png": encoded("PNG", RGB.convert("RGBA")),
        "grey_transparent.png": encoded("PNG", RGB.convert("LA")),
        "one_bit.png": encoded("PNG", RGB.convert("1")),
        "animated.png": encoded("PNG", save_all=True, append_images=[mirrored]),
        "plain.gif": encoded("GIF"),
        "animated.gif": encoded("GIF", save_all=True, append_images=[mirrored]),
        "plain.bmp": encoded("BMP"),
        "grey.bmp": encoded("BMP", RGB.convert("L")),
        "png_in_disguise.jpg": encoded("PNG"),
        "jpeg_in_disguise.gif": encoded("JPEG"),
        "UPPER.JPEG": encoded("JPEG"),
    }


def webp():
    """File name -> bytes that only newer TensorFlows read."""
    return {"photo.webp": encoded("WEBP"), "lossless.webp": encoded("WEBP", lossless=True)}


def broken():
    """File name -> (bytes, what the reason says)."""
    whole = usable()
    cut = {
        f"cut_{name}": (whole[name][: len(whole[name]) * 9 // 10], reason)
        for name, reason in {
            "plain.jpg": "Invalid JPEG data",
            "progressive.jpg": "Invalid JPEG data",
            "plain.png": "Invalid PNG",
            "grey_16_bit.png": "Invalid PNG",
            "plain.gif": "Invalid GIF",
            "plain.bmp": "Input size should match",
        }.items()
    }
    heads = {
        f"head_{name}": (whole[name][:30], "header")
        for name in ("plain.jpg", "plain.png", "plain.gif", "plain.bmp")
    }
    flipped = bytearray(whole["plain.png"])
    flipped[len(flipped) // 2] ^= 0xFF
    return {
        **cut,
        **heads,
        "empty.jpg": (b"", "empty file"),
        "empty.png": (b"", "empty file"),
        "text.jpg": (b"This is no image.", "no header of a JPEG"),
        "web_page.png": (b"<!DOCTYPE html><html></html>", "begins with b'<!DOCTYP'"),
        "zeros.jpg": (bytes(2000), "no header of a JPEG"),
        "tiff_in_disguise.jpg": (encoded("TIFF"), "no header of a JPEG"),
        "damaged.png": (bytes(flipped), "Invalid PNG"),
        "bomb.png": (huge_png(60_000, 60_000), "pixels"),
        "large.png": (huge_png(10_000, 9_000), "10000 x 9000 pixels, more than the 89,478,485"),
        "palette.bmp": (encoded("BMP", RGB.convert("P")), "BMP with a palette"),
        "one_bit.bmp": (encoded("BMP", RGB.convert("1")), "Number of channels"),
        "animated.webp": (
            encoded("WEBP", save_all=True, append_images=[Image.fromarray(PIXELS[::-1])]),
            "WebP",
        ),
        "cut.webp": (encoded("WEBP")[:100], "header"),
    }
