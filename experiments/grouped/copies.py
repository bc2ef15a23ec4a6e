"""Write pictures of CIFAR-10, each in several near-copies that are one group.

    python experiments/grouped/copies.py CIFAR10 runs/copies

CIFAR10 is a folder with `train.parquet` and `test.parquet`. The first pictures of each class become
`copies/CLASS/PICTURE_COPY.png`: as they are, and moved by up to 3 pixels, lighter or darker, as
frames of a film of one thing differ. `new/CLASS` holds other pictures, one of each, which stand for
those that will come later.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pyarrow import parquet

MOVED = 3  # pixels
LIGHTER = 0.2  # of the brightness


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, default=40, help="of each class")
    parser.add_argument("--copies", type=int, default=8, help="of each picture")
    parser.add_argument("--new", type=int, default=200, help="new pictures of each class")
    asked = parser.parse_args(words)
    random = np.random.default_rng(0)
    for label, number, pixels in pictures(asked.source / "train.parquet", asked.pictures):
        for copy in range(asked.copies):
            save(
                asked.folder / "copies" / str(label) / f"{number:03}_{copy}.png",
                near(pixels, random) if copy else pixels,
            )
    for label, number, pixels in pictures(asked.source / "test.parquet", asked.new):
        save(asked.folder / "new" / str(label) / f"{number:03}.png", pixels)


def pictures(file: Path, most: int) -> list[tuple[int, int, NDArray[np.uint8]]]:
    """Label, number and pixels of the first pictures of each class."""
    table = parquet.read_table(file)
    name = next(n for n in ("label", "labels", "fine_label") if n in table.column_names)
    image = next(n for n in ("image", "img") if n in table.column_names)
    found: dict[int, list[NDArray[np.uint8]]] = {}
    for label, picture in zip(table[name].to_pylist(), table[image], strict=True):
        own = found.setdefault(label, [])
        if len(own) < most:
            content = picture["bytes"].as_py()
            own.append(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))
    return [(label, i, one) for label in sorted(found) for i, one in enumerate(found[label])]


def near(pixels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """A picture as a later frame has it."""
    right, down = random.integers(-MOVED, MOVED + 1, 2)
    padded = np.pad(pixels, ((MOVED, MOVED), (MOVED, MOVED), (0, 0)), mode="edge")
    top, left = MOVED + down, MOVED + right
    height, width = pixels.shape[:2]
    cut = padded[top : top + height, left : left + width].astype(float)
    light = 1 + random.uniform(-LIGHTER, LIGHTER)
    return np.clip(cut * light, 0, 255).astype(np.uint8)


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


if __name__ == "__main__":
    main()
