"""Pictures of every kind, and a reader of them by `preparation.json` alone."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tests.datasets.deep import deep_png

# A reader of its own: Pillow opens files and resizes, numpy does the rest by preparation.json.

#: By EXIF orientation, what turns a picture upright: mirrored, then quarters against the clock.
TURNS = {1: (0, 0), 2: (1, 0), 3: (0, 2), 4: (1, 2), 5: (1, 1), 6: (0, 3), 7: (1, 3), 8: (0, 1)}


def read(path: Path, told: Mapping[str, Any], *, without: str = "") -> NDArray[np.float32]:
    """The picture as the network wants it, (1, 3, H, W).

    Args:
        without: a step to leave out.
    """
    with Image.open(path) as image:
        turn = image.getexif().get(0x0112, 1)
        pixels = _rgb(image, told, background=without != "background")
    if without != "upright":
        mirrored, quarters = TURNS[turn]
        pixels = np.rot90(pixels[:, ::-1] if mirrored else pixels, quarters)
    height, width = pixels.shape[:2]
    down, across = told["size"] if isinstance(told["size"], list) else [told["size"]] * 2
    taken = min(width, height * across / down), min(height, width * down / across)
    left, top = (width - taken[0]) / 2, (height - taken[1]) / 2
    box = (left, top, left + taken[0], top + taken[1])
    if told["area"] != "centre-square" or without == "square":
        box = (0, 0, width, height)
    wide, high = across, down
    if told["area"] == "padded":
        share = min(across / width, down / height)
        wide, high = (max(1, int(share * own + 0.5)) for own in (width, height))
    flat = Image.fromarray(np.ascontiguousarray(pixels))
    assert told["antialias"]
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    kind = filters[told["interpolation"]] if without != "antialias" else Image.Resampling.NEAREST
    square = np.asarray(flat.resize((wide, high), kind, box)).astype(np.float64)
    if told["area"] == "padded":
        whole = np.ones((down, across, 3)) * told["beside"]
        y, x = (down - high) // 2, (across - wide) // 2
        whole[y : y + high, x : x + wide] = square
        square = whole
    if without == "channel order":
        square = square[..., ::-1]
    scaled = (square * told["scale"] - told["mean"]) / told["deviation"]
    return scaled.transpose(2, 0, 1)[None].astype(np.float32)


def _rgb(image: Image.Image, told: Mapping[str, Any], *, background: bool) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):
        white = told["white_level"]
        values = np.minimum(np.asarray(image).astype(np.float64), white) * 255 / white
        return np.repeat(np.floor(values + 0.5)[..., None], 3, axis=2).astype(np.uint8)
    if image.has_transparency_data and background:
        seen = np.asarray(image.convert("RGBA")).astype(np.float64)
        share = seen[..., 3:] / 255
        laid = seen[..., :3] * share + np.array(told["background"]) * (1 - share)
        return np.floor(laid + 0.5).astype(np.uint8)
    return np.asarray(image.convert("RGB"))


# Pictures of every kind


def scene(width: int = 90, height: int = 61, seed: int = 0) -> Image.Image:
    """Something to see, other in every corner, with fine detail."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / rng.uniform(2, 25) + y / rng.uniform(2, 25)) for _ in range(3)]
    pixels = 128 + 90 * np.stack(waves, axis=-1) + rng.normal(0, 12, (height, width, 3))
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        at = rng.integers(0, (width, height))
        draw.ellipse((*(at - height // 6), *(at + height // 6)), tuple(rng.integers(0, 255, 3)))
    return image


def with_a_hole(image: Image.Image) -> Image.Image:
    """Transparent in the middle, half so around it."""
    width, height = image.size
    alpha = Image.new("L", image.size, 255)
    draw = ImageDraw.Draw(alpha)
    draw.rectangle((width // 4, height // 4, width * 3 // 4, height * 3 // 4), 128)
    draw.rectangle((width // 3, height // 3, width * 2 // 3, height * 2 // 3), 0)
    image.putalpha(alpha)
    return image


def sixteen_bits(image: Image.Image) -> Image.Image:
    grey = np.asarray(image.convert("L")).astype(np.uint16)
    return Image.fromarray(grey * 251 + 7)


def sixteen_bit_colours(to: Path) -> None:
    to.write_bytes(deep_png(np.asarray(scene()).astype(np.uint16) * 251 + 7))


def turned(orientation: int) -> dict[str, Any]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif.tobytes()}


KINDS: dict[str, Callable[[Path], None]] = {
    "wide.png": lambda to: scene().save(to),
    "tall.png": lambda to: scene(53, 120).save(to),
    "photo.jpg": lambda to: scene(400, 302).save(to, quality=92),
    "turned.jpg": lambda to: scene().save(to, quality=95, **turned(6)),
    "mirrored.png": lambda to: scene().save(to, **turned(5)),
    "upside-down.webp": lambda to: scene().save(to, lossless=True, **turned(3)),
    "hole.png": lambda to: with_a_hole(scene()).save(to),
    "turned-hole.png": lambda to: with_a_hole(scene()).save(to, **turned(8)),
    "palette.gif": lambda to: scene().quantize(40).save(to),
    "palette-hole.png": lambda to: scene().quantize(20).save(to, transparency=3),
    "grey.png": lambda to: scene().convert("L").save(to),
    "grey-hole.png": lambda to: with_a_hole(scene()).convert("LA").save(to),
    "sixteen.png": lambda to: sixteen_bits(scene()).save(to),
    "sixteen-colours.png": sixteen_bit_colours,
    "print.jpg": lambda to: scene().convert("CMYK").save(to, quality=95),
    "bits.png": lambda to: scene().convert("1").save(to),
    "animation.gif": lambda to: scene().save(to, save_all=True, append_images=[scene(seed=1)]),
    "scan.tiff": lambda to: scene(161, 240).save(to),
}
