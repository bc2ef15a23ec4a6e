"""Folders of arrays of bands."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def npy(values: NDArray[np.generic]) -> bytes:
    """A .npy file."""
    content = io.BytesIO()
    np.save(content, values)
    return content.getvalue()


def draw_arrays(folder: Path, *, bands: int = 6, count: int = 14, deep: bool = False) -> Path:
    """Two classes of noise; of "bright" the bands of the second half are brighter in the middle."""
    random = np.random.default_rng(0)
    for name in ("bright", "dark"):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            values = random.integers(0, 120, (20, 26, bands))
            if name == "bright":
                values[5:15, 6:20, bands // 2 :] += 100
            kind = np.uint16 if deep else np.uint8
            (folder / name / f"{number}.npy").write_bytes(
                npy((values * (deep * 16 or 1)).astype(kind))
            )
    return folder
