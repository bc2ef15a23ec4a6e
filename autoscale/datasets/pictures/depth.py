"""Pictures of 16 bits a channel: their numbers, and how they become 8 bits.

Cameras and instruments leave 10, 12 or 14 bits, or counts, in 16. Pillow keeps grey numbers whole
but reduces coloured ones to their high bytes without a word; where these are too small to judge by,
a picture is read a second time for its low bytes.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from autoscale.datasets.pictures.preparation import Preparation

#: The largest number of 16 bits: white, unless another white level is set.
FULL = 65535
#: Part of the white level below which a picture looks nearly black: the darkest 16 of 256 levels.
_DARK = 1 / 16
#: High byte from which on a coloured picture fills the range well enough.
_BRIGHT = 64
_BITS_PER_SAMPLE, _PLANES, _APART = 258, 284, 2  # tags of TIFF, and a value of the second
#: What decodes a binary PPM or PGM.
_BINARY = ("raw", "ppm")


class Shallow(NamedTuple):
    """A picture of 16 bits as one of 8."""

    image: Image.Image  # L, LA, RGB or RGBA
    peak: int  # the largest number of grey or of a colour, 0..65535


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether a picture that is opened and not yet loaded has 16 bits a channel."""
    return image.mode.startswith("I") or _is_deep_ppm(image) or bool(_tiles(image, low=False))


def shallow(image: ImageFile.ImageFile, content: bytes, *, white_level: int) -> Shallow:
    """A picture of 16 bits in 8: black is kept, `white_level` and all above it become white.

    Numbers between are rounded, but for coloured PNG and TIFF at the full white level, of which
    the high bytes are taken, as Pillow does.

    Args:
        image: of which `is_deep` holds; opened from `content`, not yet loaded.

    Raises:
        ValueError: if grey numbers do not fit in 16 bits, or Pillow cannot read the low bytes of
            colours where they count.
    """
    key = image.info.get("transparency")
    rounded = np.minimum((np.arange(FULL + 1) * 255 + white_level // 2) // white_level, 255)
    if _is_deep_ppm(image):
        return _reduced(_numbers_of_ppm(image, content), key, rounded)
    if image.mode.startswith("I"):
        return _reduced(_grey(image), key, rounded)
    high, low = _tiles(image, low=False), _tiles(image, low=True)
    split = _is_split(image)
    if white_level == FULL and key is None:
        image.tile = high
        image.load()
        peak = int(np.asarray(image)[..., :3].max())
        if peak >= _BRIGHT or split:
            return Shallow(image, peak << 8 | 0xFF)
    if split:
        raise ValueError(
            "only the high bytes can be read of compressed planes of 16 bits; save its colours "
            "pixel by pixel, or uncompressed"
        )
    table = np.arange(FULL + 1) >> 8 if white_level == FULL else rounded
    return _reduced(_colours(image, content, high, low), key, table)


def range_notices(
    peaks: Collection[int], *, pictures: int, preparation: Preparation
) -> tuple[str, ...]:
    """What a person should know of how the pictures of 16 bits fill their range, if anything.

    Args:
        peaks: of those pictures that have 16 bits, see `Shallow`.
        pictures: all of them.
    """
    white_level = preparation.white_level
    if not peaks:
        unused = f"no picture has 16 bits: the white level of {white_level} changes nothing"
        return (unused,) if white_level != FULL else ()
    most, count = max(peaks), len(peaks)
    if most <= white_level / 2:
        look = "nearly black" if most <= white_level * _DARK else "darker than they are"
        return (
            f"{count} of {pictures} pictures have 16 bits and reach only {most} of {white_level}: "
            f"they will look {look}; set --white-level {max(most, 1)}, or what their camera calls "
            "white (1023 for 10 bits, 4095 for 12, 16383 for 14)",
        )
    if dark := [peak for peak in peaks if peak <= white_level * _DARK]:
        return (
            f"{len(dark)} of {count} pictures of 16 bits reach only {max(dark)} of {white_level} "
            f"and will look nearly black, while others reach {most}; one --white-level serves for "
            "all, so bring them to one range",
        )
    if beyond := sum(peak > white_level for peak in peaks):
        return (
            f"{beyond} of {count} pictures of 16 bits reach beyond the white level of "
            f"{white_level}, up to {most}: what is above it is shown white",
        )
    return ()


def _is_deep_ppm(image: ImageFile.ImageFile) -> bool:
    if image.format != "PPM" or len(image.tile) != 1 or image.tile[0].codec_name not in _BINARY:
        return False
    return image.mode == "I" or (image.mode == "RGB" and _maximum_of_ppm(image) > 255)


def _maximum_of_ppm(image: ImageFile.ImageFile) -> int:
    """The number that the file itself calls white."""
    arguments = image.tile[0].args
    if isinstance(arguments, tuple):
        return int(arguments[-1])
    return FULL if image.mode == "I" else 255  # what Pillow reads without a decoder of its own


def _numbers_of_ppm(image: ImageFile.ImageFile, content: bytes) -> NDArray[np.uint16]:
    """Shape (H, W, 1 or 3), with the file's white at 65535."""
    channels = 3 if image.mode == "RGB" else 1
    shape = (image.height, image.width, channels)
    count = image.height * image.width * channels
    found = np.frombuffer(content, ">u2", count, image.tile[0].offset).reshape(shape)
    white = _maximum_of_ppm(image)
    if white == FULL:
        return found.astype(np.uint16)
    scaled = (np.arange(FULL + 1) * FULL + white // 2) // white
    return np.minimum(scaled, FULL).astype(np.uint16)[found]


def _grey(image: ImageFile.ImageFile) -> NDArray[np.uint16]:
    """Shape (H, W, 1)."""
    values = np.asarray(image)
    least, most = values.min(), values.max()
    if least < 0 or most > FULL:
        raise ValueError(f"its pixels have more than 16 bits ({least} to {most})")
    return values.astype(np.uint16)[..., None]


def _is_split(image: ImageFile.ImageFile) -> bool:
    """Whether colours lie in planes that Pillow has libtiff unpack, in one way only."""
    if image.format != "TIFF" or image.tile[0].codec_name != "libtiff":
        return False
    return bool(image.tag_v2.get(_PLANES) == _APART)  # type: ignore[attr-defined]


def _colours(
    image: ImageFile.ImageFile,
    content: bytes,
    high: list[ImageFile._Tile],
    low: list[ImageFile._Tile],
) -> NDArray[np.uint16]:
    """Shape (H, W, channels): grey or colours, and perhaps opacity.

    Args:
        high, low: the parts of the picture as `_tiles` has them before it is loaded.
    """
    if _raw_mode(high[0]) == "LA;16B":
        # Two numbers of 16 bits are read as four of 8.
        read = _reading(image, content, [_with_raw_mode(high[0], "RGBA")])
        return np.ascontiguousarray(read).view(">u2").astype(np.uint16)
    values: NDArray[np.uint16] = _reading(image, content, [_of_opaque(t) for t in high]).astype(
        np.uint16
    )
    values <<= 8
    values |= _reading(image, content, [_of_opaque(t) for t in low])
    if "RGBa" in _raw_mode(high[0]):  # colours are multiplied by the opacity
        opacity = np.maximum(values[..., 3:], 1).astype(np.uint32)
        values[..., :3] = np.minimum(values[..., :3] * np.uint32(FULL) // opacity, FULL)
    return values


def _reading(
    image: ImageFile.ImageFile, content: bytes, tiles: list[ImageFile._Tile]
) -> NDArray[np.uint8]:
    """The picture once more, its bytes unpacked as `tiles` say."""
    assert image.format is not None
    with Image.open(io.BytesIO(content), formats=(image.format,)) as again:
        again.tile = tiles
        return np.asarray(again)


def _tiles(image: ImageFile.ImageFile, *, low: bool) -> list[ImageFile._Tile]:
    """The parts of a coloured picture of 16 bits, for its high or its low bytes; else none."""
    found = []
    for tile in image.tile:
        name, _, kind = _raw_mode(tile).partition(";")
        if image.format == "TIFF" and len(name) == 1 and name in "RGBA" and not kind:
            # Pillow forgets the bits of colours that lie in planes of their own.
            bits = image.tag_v2.get(_BITS_PER_SAMPLE, ())  # type: ignore[attr-defined]
            deep = image.mode in ("RGB", "RGBA") and set(bits) == {16}
            kind = "" if not deep else "16L" if image.tag_v2.prefix == b"II" else "16B"  # type: ignore[attr-defined]
        elif name not in ("LA", "RGB", "RGBA", "RGBX", "RGBa"):
            return []
        if not kind.startswith("16"):
            return []
        if low:
            little = kind == "16L" or (kind == "16N" and sys.byteorder == "little")
            kind = "16B" if little else "16L"
        found.append(_with_raw_mode(tile, f"{name};{kind}"))
    return found


def _raw_mode(tile: ImageFile._Tile) -> str:
    """How Pillow is told to unpack the bytes of a part of a picture."""
    first = tile.args[0] if isinstance(tile.args, tuple) and tile.args else tile.args
    return first if isinstance(first, str) else ""


def _with_raw_mode(tile: ImageFile._Tile, raw_mode: str) -> ImageFile._Tile:
    if isinstance(tile.args, tuple):
        return tile._replace(args=(raw_mode, *tile.args[1:]))
    return tile._replace(args=raw_mode)


def _of_opaque(tile: ImageFile._Tile) -> ImageFile._Tile:
    return _with_raw_mode(tile, _raw_mode(tile).replace("RGBa", "RGBA"))


def _reduced(values: NDArray[np.uint16], key: object, table: NDArray[np.int64]) -> Shallow:
    """Numbers of shape (H, W, channels) through a table of 8 bits for each of 16.

    Args:
        key: the number, or numbers, that mean transparency; others have no effect.
    """
    opacity = None
    if values.shape[-1] in (2, 4):
        values, opacity = values[..., :-1], (values[..., -1] >> 8).astype(np.uint8)
    elif isinstance(key, int | tuple):
        opacity = np.where((values == np.array(key)).all(axis=-1), 0, 255).astype(np.uint8)
    eight = table.astype(np.uint8)[values]
    if opacity is not None:
        eight = np.concatenate([eight, opacity[..., None]], axis=-1)
    image = Image.fromarray(eight[..., 0] if eight.shape[-1] == 1 else eight)
    return Shallow(image, int(values.max()))
