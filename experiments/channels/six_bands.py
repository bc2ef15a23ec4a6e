"""Draw arrays of six bands of which the last three alone tell the classes.

    python experiments/channels/six_bands.py FOLDER

FOLDER/six holds them as .npy files of uint16, 12 bits used, in a folder for each class;
FOLDER/three the same with the first three bands alone. Every array is a patch in noise. In the
first three bands its brightness is random; in the last three it is that of its class, give or take
noise.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Of each class, how bright the patch is in bands 4, 5 and 6, of 0..1.
CLASSES = {
    "bare": (0.6, 0.6, 0.4),
    "crop": (0.4, 0.6, 0.6),
    "roof": (0.6, 0.4, 0.6),
    "wood": (0.5, 0.5, 0.5),
}
SIDE = 40
WHITE = 4095


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=200, help="arrays of each class")
    asked = parser.parse_args(words)
    random = np.random.default_rng(0)
    for name, signature in CLASSES.items():
        for part in ("six", "three"):
            (asked.folder / part / name).mkdir(parents=True, exist_ok=True)
        for number in range(asked.count):
            values = draw(random, signature)
            file = f"{name}/{number:04}.npy"
            np.save(asked.folder / "six" / file, values)
            np.save(asked.folder / "three" / file, values[..., :3])


def draw(random: np.random.Generator, signature: Sequence[float]) -> NDArray[np.uint16]:
    """An array (S, S, 6) of one class."""
    bands = random.normal(0.5, 0.1, (SIDE, SIDE, 6))
    height, width = random.integers(SIDE // 3, SIDE // 2, 2)
    top, left = random.integers(0, SIDE - height), random.integers(0, SIDE - width)
    brightness = [*random.uniform(0.3, 0.7, 3), *(np.array(signature) + random.normal(0, 0.05, 3))]
    patch = random.normal(0, 0.1, (height, width, 6)) + brightness
    bands[top : top + height, left : left + width] = patch
    return (bands.clip(0, 1) * WHITE).round().astype(np.uint16)


if __name__ == "__main__":
    main()
