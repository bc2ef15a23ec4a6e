"""Scripts that use an exported file without autoscale, from a picture to the name of its class."""

from __future__ import annotations

from typing import Literal, NamedTuple

from autoscale.answering.answering import NONE
from autoscale.aspect import ImageSize
from autoscale.datasets.pictures.framing import BESIDE
from autoscale.datasets.pictures.preparation import Preparation, in_bands
from autoscale.models.input_spec import LABELS, row
from autoscale.models.load import Model


class Use(NamedTuple):
    """How a file of some format is used in Python.

    In its source `here` is the folder of the files. `images` are normalised, float32,
    (1, C, H, W), and `pixels` bytes of (H, W, C).
    """

    needs: str  # packages besides Pillow and numpy
    imports: str  # source, a line for each
    opened: str  # source that makes `network`
    answered: str  # source that makes `logits`, (1, classes)
    takes: Literal["images", "pixels"] = "images"
    # Source that makes numbers of `logits` that are steps of int8, for probabilities of each.
    scaled: str = ""


_NORMALISED = """
    numbers = (pixels / 255 - mean) / deviation
    images = np.ascontiguousarray(numbers.transpose(2, 0, 1)[None], np.float32)"""


def script_name(format: str) -> str:
    """The file name of a format's script."""
    return f"use_{format.replace('-', '_')}.py"


def script(format: str, use: Use, model: Model) -> str:
    """The text of a script that names what each picture shows, for the network as exported."""
    preparation = model.preparation
    size = preparation.image_size(model.resolution)
    answered = "\n".join(f"    {line}" for line in use.answered.splitlines())
    images = _NORMALISED if use.takes == "images" else ""
    means = ""
    if use.takes == "images":
        mean, deviation = row(preparation.mean), row(preparation.deviation)
        means = f"mean, deviation = np.array({mean}), np.array({deviation})\n"
    names, shown = "", "class {answer}"
    if model.header.classes is not None:
        names = f'names = (here / "{LABELS}").read_text("utf-8").splitlines()\n'
        shown = "{names[answer]}"
    bands = in_bands(preparation.channels)
    example, pillow = ("array.npy", "Image") if bands else ("photo.jpg", "Image, ImageOps")
    wanted = f".npy files of {preparation.channels} bands" if bands else "pictures"
    prepared = _of_array(preparation, size) if bands else _of_picture(preparation, size)
    answer = [
        "answer = int(np.argmax(logits))",
        f'print(f"{{path}}: {shown}")',
    ]
    answering = model.header.answering
    if answering is not None and answering.none_below is not None:
        answer = [
            f"numbers = np.asarray(logits, np.float64).ravel() / {answering.temperature!r}",
            "chances = np.exp(numbers - numbers.max())",
            "answer = int(np.argmax(chances))",
            f"none = chances[answer] / chances.sum() < {answering.none_below!r}",
            f'print(f"{{path}}: {NONE}" if none else f"{{path}}: {shown}")',
        ]
    if answering is not None and answering.several:
        assert model.header.classes is not None, "networks of several labels name them"
        limits = answering.thresholds_of(len(model.header.classes)).tolist()
        names += f"thresholds = np.array({row(limits)})\n"
        answer = [
            *use.scaled.splitlines(),
            "chances = 1 / (1 + np.exp(-np.asarray(logits, np.float64).ravel()))",
            "told = zip(names, chances, thresholds)",
            "labels = [name for name, own, least in told if own >= least]",
            "print(f\"{path}: {', '.join(labels) or 'none of the labels'}\")",
        ]
    ending = "\n".join(f"    {line}" for line in answer)
    return f'''\
"""Names what pictures show: python {script_name(format)} {example} ...

Needs {use.needs}, Pillow and numpy. A picture is prepared as preparation.json says.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import {pillow}
{use.imports}

here = Path(__file__).parent
{names}{means}{use.opened}


{prepared}

for path in sys.argv[1:]:
    try:
        pixels = prepared(path)
    except (OSError, SyntaxError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        sys.exit(f"{{path}}: {{reason}}; give {wanted}"){images}
{answered}
{ending}
'''


def _of_picture(preparation: Preparation, size: ImageSize) -> str:
    """Source of `prepared`, for files of pictures."""
    channels = preparation.channels
    mode = "RGB" if channels == 3 else "L"
    return f'''\
def prepared(path):
    """Bytes of shape ({size.height}, {size.width}, {channels})."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode.startswith("I"):  # grey of 16 bits
        levels = np.minimum(np.asarray(image) * 255.0 / {preparation.white_level} + 0.5, 255)
        image = Image.fromarray(levels.astype(np.uint8))
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        image = Image.new("RGB", image.size, "white")
        image.paste(seen, mask=seen)
    image = image.convert("RGB").convert("{mode}")
{_framed(preparation, size)}
    return np.asarray({_made(size)}).reshape({size.height}, {size.width}, {channels})
'''


def _of_array(preparation: Preparation, size: ImageSize) -> str:
    """The same for arrays of bands."""
    channels, shape = preparation.channels, f"{size.height}, {size.width}, {preparation.channels}"
    return f'''\
def framed(image):
    """One band of {size.height} x {size.width} pixels."""
{_framed(preparation, size)}
    return np.asarray({_made(size)})


def prepared(path):
    """Bytes of shape ({shape}) of a .npy file of uint8 or uint16."""
    with open(path, "rb") as file:
        values = np.lib.format.read_array(file)
    if values.ndim != 3 or {channels} not in (values.shape[0], values.shape[-1]):
        raise ValueError(f"it has the shape {{values.shape}}")
    if values.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"its numbers are {{values.dtype}}, not uint8 or uint16")
    if values.shape[-1] != {channels}:
        values = np.moveaxis(values, 0, -1)
    if values.dtype == np.uint16:
        values = np.minimum(values * 255.0 / {preparation.white_level} + 0.5, 255).astype(np.uint8)
    bands = (np.ascontiguousarray(values[..., band]) for band in range({channels}))
    return np.stack([framed(Image.fromarray(band)) for band in bands], axis=-1)
'''


def _made(size: ImageSize) -> str:
    """What the source of `_framed` makes is called there."""
    return "square" if size.height == size.width else "fitted"


def _framed(preparation: Preparation, size: ImageSize) -> str:
    """Source that makes `_made(size)` of `image`."""
    filter = f"Image.Resampling.{preparation.interpolation.upper()}"
    made, square, whole = _made(size), size.height == size.width, f"({size.width}, {size.height})"
    match preparation.area:
        case "centre-square" if not square:
            lines = [
                f"aspect = {size.width} / {size.height}",
                "wide = min(image.width, image.height * aspect)",
                "high = min(image.height, image.width / aspect)",
                "left, top = (image.width - wide) / 2, (image.height - high) / 2",
                "box = (left, top, left + wide, top + high)",
                f"{made} = image.resize({whole}, {filter}, box)",
            ]
        case "centre-square":
            lines = [
                "side = min(image.size)",
                "left, top = ((length - side) / 2 for length in image.size)",
                "box = (left, top, left + side, top + side)",
                f"square = image.resize({whole}, {filter}, box)",
            ]
        case "padded":
            colour = (BESIDE,) * (3 if preparation.channels == 3 else 1)
            lines = [
                "longer = max(image.size)",
                f"size = [max(1, int({size.height} * one / longer + 0.5)) for one in image.size]",
                f"square = Image.new(image.mode, {whole}, {colour})",
                f"corner = tuple(({size.height} - one) // 2 for one in size)",
                f"square.paste(image.resize(size, {filter}), corner)",
            ]
            if not square:
                lines = [
                    f"across, down = {whole}",
                    "wide = min(across, down * image.width / image.height)",
                    "high = min(down, across * image.height / image.width)",
                    "wide, high = (max(1, int(one + 0.5)) for one in (wide, high))",
                    f"{made} = Image.new(image.mode, {whole}, {colour})",
                    "corner = ((across - wide) // 2, (down - high) // 2)",
                    f"{made}.paste(image.resize((wide, high), {filter}), corner)",
                ]
        case "squashed":
            lines = [f"{made} = image.resize({whole}, {filter})"]
    return "\n".join(f"    {line}" for line in lines)
