"""Small sources of images: red ones and blue ones."""

from __future__ import annotations

import io
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from autoscale.datasets.data import ImageData, Images, load
from autoscale.datasets.pictures.selection import Selection

RED, BLUE = (220, 20, 20), (20, 20, 220)


def picture(colour: tuple[int, ...], *, size: tuple[int, int] = (24, 16), mode: str = "RGB") -> Any:
    return Image.new(mode, size, colour)


def jpeg(colour: tuple[int, int, int], size: tuple[int, int] = (24, 16)) -> bytes:
    buffer = io.BytesIO()
    picture(colour, size=size).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def write_class(folder: Path, colour: tuple[int, int, int], count: int = 10) -> Path:
    folder.mkdir(parents=True)
    for i in range(count):
        (folder / f"{i:03}.jpg").write_bytes(jpeg(colour))
    return folder


def write_classes(folder: Path, count: int = 10) -> Path:
    write_class(folder / "red", RED, count)
    write_class(folder / "blue", BLUE, count)
    return folder


def read(source: Path | str, **options: Any) -> ImageData:
    """`load` at 8 pixels; options of a `Selection` are taken for it."""
    chosen = {f.name: options.pop(f.name) for f in fields(Selection) if f.name in options}
    return load(str(source), selection=Selection(**chosen), **{"size": 8, **options})


def is_blue(images: Images) -> np.ndarray:
    means = images.pixels.mean(axis=(1, 2))
    return means[:, 2] > means[:, 0]
