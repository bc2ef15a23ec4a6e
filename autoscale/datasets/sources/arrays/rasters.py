"""Pictures that lie in arrays of pixels: as the bytes of a format that every decoder reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscale.datasets.sources.tables import Table


def as_file(pixels: NDArray[np.uint8]) -> bytes:
    """The bytes of a PGM (H, W) or PPM file (H, W, 3): a line of text, then the pixels."""
    kind = 5 if pixels.ndim == 2 else 6
    return b"P%d %d %d 255\n" % (kind, pixels.shape[1], pixels.shape[0]) + pixels.tobytes()


def raster_table(
    path: Path,
    part: str,
    labels: Sequence[Any],
    pixels: Callable[[int], NDArray[np.uint8]],
    *,
    size: int,
    classes: tuple[str, ...] | None = None,
) -> Table:
    """A table of pictures that are arrays.

    Args:
        part: what their names have behind the file's, such as "train".
        pixels: the picture of a row, (H, W) or (H, W, 3).
        size: bytes of a picture's pixels.
    """
    beginning = f"{path.name} {part}".rstrip()
    names = [f"{beginning} {row}" for row in range(len(labels))]
    return Table(
        path=path,
        labels=labels,
        read=lambda i: as_file(pixels(i)),
        sizes=lambda: [size] * len(labels),
        classes=classes,
        names=names,
        places=names,
    )
