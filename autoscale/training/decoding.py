"""One picture: the bytes of a file to square pixels."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

# Formats that Pillow reads without running another program; the content decides, not the extension.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


def decode(content: bytes, size: int) -> NDArray[np.uint8]:
    """The centre square of a picture, upright, on white and shrunk to `size` pixels per side.

    Shape: (size, size, 3). Damaged files make Pillow raise nearly anything.
    """
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        image.draft("RGB", (size, size))  # JPEG: decode at 1/2, 1/4 or 1/8 where that is enough
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("F"):
            raise ValueError(f"its pixels have more than 8 bits (mode {image.mode})")
        if image.mode.startswith("I"):
            upright = _eight_bits(image).convert("RGB")
        elif image.has_transparency_data:
            seen = image.convert("RGBA")
            upright = Image.new("RGB", seen.size, "white")
            upright.paste(seen, mask=seen)
        else:
            upright = image.convert("RGB")
    width, height = upright.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    square = (left, top, left + side, top + side)
    shrunk = upright.resize((size, size), Image.Resampling.BILINEAR, box=square)
    return np.asarray(shrunk)


def _eight_bits(image: Image.Image) -> Image.Image:
    """A grey image of 16 bits, or of more if its numbers fit in 16, with black and white kept."""
    values = np.asarray(image).astype(np.int64)
    least, most = values.min(), values.max()
    if least < 0 or most > 65535:
        raise ValueError(f"its pixels have more than 16 bits ({least} to {most})")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
