"""A data set looked through without being kept: what it holds, and what of it cannot be read."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from autoscale.training.decoding import FORMATS, decode
from autoscale.training.listing import Pictures, list_source

_THREADS = 2  # Pillow decodes outside the interpreter lock
_SIZE = 32  # pixels; enough to decode every picture, cheap for JPEG


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a data set holds."""

    # Of each split, the readable images of each class. A source without splits is one, "train".
    counts: Mapping[str, Mapping[str, int]]
    unreadable: tuple[str, ...]  # one line for each file: its name and the reason
    sides: tuple[int, ...]  # pixels of the shorter side of every readable image, rising

    @property
    def images(self) -> int:
        """Readable ones, of all splits."""
        return len(self.sides)


def survey(source: str) -> Survey:
    """Read every image of a folder or of Parquet files once; nothing of it is kept.

    Raises:
        DataProblem: if `source` is no data set.
    """
    listing = list_source(Path(source).expanduser(), test=True)
    parts = {"train": listing.train, "validation": listing.validation, "test": listing.test}
    unreadable = list(listing.skipped)
    counts: dict[str, dict[str, int]] = {}
    sides: list[int] = []
    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as pool:
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for part, pictures in parts.items():
            if pictures is None:
                continue
            found = list(pool.map(partial(_look, pictures), range(len(pictures))))
            readable = np.array([isinstance(one, int) for one in found], dtype=bool)
            unreadable += [one for one in found if isinstance(one, str)]
            sides += [one for one in found if isinstance(one, int)]
            counts[part] = {
                name: int(np.sum(readable & (pictures.labels == label)))
                for label, name in enumerate(listing.classes)
            }
    return Survey(counts=counts, unreadable=tuple(unreadable), sides=tuple(sorted(sides)))


def _look(pictures: Pictures, place: int) -> int | str:
    """The shorter side of a picture in pixels, or its name and why it cannot be read."""
    try:
        content = pictures.read(place)
        decode(content, _SIZE)
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return min(image.size)
    except Exception as problem:  # damaged files make Pillow raise nearly anything
        return f"{pictures.names[place]}: {problem or type(problem).__name__}".splitlines()[0]
