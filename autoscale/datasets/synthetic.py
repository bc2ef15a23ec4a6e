"""A synthetic image set, drawn in memory from a seed: something to try a search on.

Each picture shows one mark of a few strokes four times before coloured waves; its class is the
mark. Place, size, tilt and every colour are nuisances. Strokes are thin, so that more pixels tell
more, and marks differ only in how their strokes meet, so that wider and deeper networks tell more.
The numbers reached here say nothing about photographs.

Scenes are described in fractions of the shorter side and drawn at the size asked for, with the part
of each pixel that a stroke covers, so that one seed gives the same scenes at every size.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autoscale.aspect import SQUARE, Aspect, ImageSize, image_size
from autoscale.errors import InvalidSetting

Floats = NDArray[np.float32]
Part = Literal["train", "validation", "test"]

# Counts in the fingerprint of the data: raise it whenever the same seed gives other pixels.
VERSION = 1
COUNTS: dict[Part, int] = {"train": 2400, "validation": 600, "test": 1000}

# Strokes (x0, y0, x1, y1) in a square from -1 to 1, y downwards.
MARKS: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "bar": ((0, -1, 0, 1),),
    "bars": ((-0.5, -1, -0.5, 1), (0.5, -1, 0.5, 1)),
    "chevron": ((-0.9, 0.7, 0, -0.8), (0, -0.8, 0.9, 0.7)),
    "corner": ((-0.8, -0.9, -0.8, 0.8), (-0.8, 0.8, 0.9, 0.8)),
    "cross": ((-0.8, -0.8, 0.8, 0.8), (-0.8, 0.8, 0.8, -0.8)),
    "fork": ((0, 1, 0, 0), (0, 0, -0.8, -0.9), (0, 0, 0.8, -0.9)),
    "gate": ((-0.8, 0.9, -0.8, -0.8), (-0.8, -0.8, 0.8, -0.8), (0.8, -0.8, 0.8, 0.9)),
    "ladder": ((-0.6, -1, -0.6, 1), (0.6, -1, 0.6, 1), (-0.6, 0, 0.6, 0)),
    "tee": ((-0.9, -0.8, 0.9, -0.8), (0, -0.8, 0, 1)),
    "triangle": ((-0.9, 0.8, 0.9, 0.8), (-0.9, 0.8, 0, -0.9), (0, -0.9, 0.9, 0.8)),
}
CLASSES = tuple(MARKS)

CELLS = 2  # along each side, the mark in each
MARK_RADIUS = (0.08, 0.24)  # of the shorter side; nearly the same for all marks of a picture
STROKE_WIDTH = (0.022, 0.032)  # of the shorter side: a pixel or less up to 31 pixels
TILT = 0.35  # radians, either way
CONTRAST = (0.3, 0.75)  # of the strokes of a picture, in units of black to white
WAVES = 6
WAVE_CONTRAST = 0.04

_CHUNK = 64  # pictures painted together: what fits in a core's cache


def draw(
    part: Part, *, size: int, seed: int, count: int | None = None, aspect: Aspect = SQUARE
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels (N, H, W, 3) and labels (N,), positions in `CLASSES`, of one part of the set.

    Every call gives the same pictures; the parts of one seed share no scene. `count` pictures
    instead of `COUNTS[part]` are another draw, not the first ones.

    Args:
        size: pixels of the height, H.
        aspect: gives the width, W, of all pictures; other scenes fill another one.

    Raises:
        InvalidSetting: if `size` or `count` is below 1, or `part` is none of `COUNTS`.
    """
    if part not in COUNTS:
        raise InvalidSetting(f"part must be one of {', '.join(COUNTS)}; got {part!r}")
    if size < 1:
        raise InvalidSetting(f"size must be at least 1 pixel; got {size}")
    count = COUNTS[part] if count is None else count
    if count < 1:
        raise InvalidSetting(f"count must be at least 1 image; got {count}")
    random = np.random.default_rng([seed, list(COUNTS).index(part)])

    labels = random.permutation(np.arange(count) % len(CLASSES))
    images = image_size(size, aspect)
    # Width and height by the shorter side, in which scenes are measured.
    extent = np.array([images.width, images.height]) / min(images)
    canvas = _waves(count, images, random)
    ground = canvas.mean(axis=(1, 2))
    # A picture is easy or hard as a whole: the easy ones start the learning, the hard ones rank.
    largest = random.uniform(*MARK_RADIUS, count)
    contrast = random.uniform(*CONTRAST, count)
    for cell in range(CELLS**2):
        radius = largest * random.uniform(0.8, 1, count)
        row, column = divmod(cell, CELLS)
        room = 0.5 / CELLS * extent - radius[:, None]
        centre = (np.array([column, row]) + 0.5) / CELLS * extent
        centre = centre + room * random.uniform(-1, 1, (count, 2))
        strokes = _placed(labels, centre, radius, random.uniform(-TILT, TILT, count))
        width = random.uniform(*STROKE_WIDTH, count)
        _paint(canvas, strokes, width, ground + contrast[:, None] * _tints(count, random))
    return np.rint(255 * np.clip(canvas, 0, 1)).astype(np.uint8), labels.astype(np.int64)


def in_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures (N, H, W, 3) as grey ones (N, H, W, 1), by the luma of `Preparation`."""
    luma = pixels.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32)
    return ((luma + 32768) >> 16).astype(np.uint8)[..., None]


def _waves(count: int, images: ImageSize, random: np.random.Generator) -> Floats:
    """A plain colour under coloured plane waves, each averaged exactly over every pixel."""
    height, width = images
    unit = min(images)
    # Cycles per shorter side, along x and y: from slow shades to patterns finer than a small pixel.
    cycles = random.normal(size=(count, WAVES, 2)) * random.choice([1, 3, 8], (count, WAVES, 1))
    phase = random.uniform(0, 2 * np.pi, (count, WAVES, 1))
    tint = WAVE_CONTRAST * random.normal(size=(count, WAVES, 3))
    tint *= np.sinc(cycles / unit).prod(axis=-1, keepdims=True)
    across = 2 * np.pi * cycles[..., :1] * ((np.arange(width) + 0.5) / unit) + phase
    down = 2 * np.pi * cycles[..., 1:] * ((np.arange(height) + 0.5) / unit)
    # cos(down + across) = cos(down) cos(across) - sin(down) sin(across): one matrix product.
    rows = np.concatenate([np.cos(down), -np.sin(down)], axis=1).astype(np.float32)
    columns = np.concatenate([np.cos(across), np.sin(across)], axis=1)[..., None]
    columns = (columns * np.concatenate([tint, tint], axis=1)[:, :, None]).astype(np.float32)
    waves = rows.transpose(0, 2, 1) @ columns.reshape(count, 2 * WAVES, width * 3)
    ground = random.uniform(0.3, 0.7, (count, 1, 1, 3))
    canvas: Floats = waves.reshape(count, height, width, 3) + ground.astype(np.float32)
    return canvas


def _tints(count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Random colour differences of the length of black to white, half lighter and half darker."""
    tint = random.normal(size=(count, 3))
    tint /= np.linalg.norm(tint, axis=1, keepdims=True)
    tint = np.abs(tint.sum(axis=1, keepdims=True)) / 3 + tint
    tint *= np.sqrt(3) / np.linalg.norm(tint, axis=1, keepdims=True)
    signed: NDArray[np.float64] = tint * random.choice([-1, 1], (count, 1))
    return signed


def _placed(
    labels: NDArray[np.int64],
    centre: NDArray[np.float64],
    radius: NDArray[np.float64],
    tilt: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The strokes (N, K, 4) of each picture's mark, short marks padded by repeating a stroke."""
    longest = max(len(strokes) for strokes in MARKS.values())
    table = np.array([[*s, *s[:1] * (longest - len(s))] for s in MARKS.values()], dtype=float)
    points = table[labels].reshape(len(labels), -1, 2)
    cos, sin = np.cos(tilt), np.sin(tilt)
    turn = np.stack([cos, -sin, sin, cos], axis=1).reshape(-1, 2, 2)
    points = radius[:, None, None] * (points @ turn) + centre[:, None]
    return points.reshape(len(labels), longest, 4)


def _paint(
    canvas: Floats,
    strokes: NDArray[np.float64],
    width: NDArray[np.float64],
    colour: NDArray[np.float64],
) -> None:
    """Lay on each picture its strokes (N, K, 4), round-ended and all of one width and colour."""
    count, *sides = canvas.shape[:3]
    unit = min(sides)
    pixel = np.float32(1 / unit)
    points = strokes.reshape(count, -1, 2)
    half = width / 2
    # Only a window around the strokes is computed, as large as the largest picture needs.
    first = np.floor((points.min(axis=1) - half[:, None]) * unit - 0.5).astype(int)
    last = np.ceil((points.max(axis=1) + half[:, None]) * unit + 0.5).astype(int)
    longest = int((last - first).max())
    high, wide = (min(side, longest) for side in sides)
    first = np.clip(first, 0, [sides[1] - wide, sides[0] - high])
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        at_x, at_y = (
            ((first[part, axis, None] + np.arange(length) + 0.5) / unit).astype(np.float32)
            for axis, length in enumerate((wide, high))
        )
        x, y = at_x[:, None, :], at_y[:, :, None]
        nearest = np.full(np.broadcast_shapes(x.shape, y.shape), np.inf, dtype=np.float32)
        for stroke in strokes[part].astype(np.float32).transpose(1, 2, 0):
            x0, y0, x1, y1 = (end[:, None, None] for end in stroke)
            run, rise = x1 - x0, y1 - y0
            along = ((x - x0) * run + (y - y0) * rise) / (run * run + rise * rise + 1e-9)
            along = np.clip(along, 0, 1)
            squared = (x - x0 - along * run) ** 2 + (y - y0 - along * rise) ** 2
            np.minimum(nearest, squared, out=nearest)
        distance = np.sqrt(nearest)
        edge = half[part, None, None].astype(np.float32)
        # How much of the pixel's width, measured across the stroke, lies inside it.
        inside = np.minimum(distance + pixel / 2, edge) - np.maximum(distance - pixel / 2, -edge)
        cover = np.maximum(inside, 0)[..., None] / pixel
        paint = cover * colour[part, None, None].astype(np.float32)
        for i, (left, top) in enumerate(first[part]):
            under = canvas[start + i, top : top + high, left : left + wide]
            under *= 1 - cover[i]
            under += paint[i]
