"""What do other channels and other parts of pictures give the same small network?

    OMP_NUM_THREADS=1 python experiments/channels/channels.py DATA TABLE.csv --ways WAY ...

For each seed one network is trained by `autoscale train` on DATA in each way: its images in
colour, in grey, as six or three bands, their centre squares, padded or squashed, or as rectangles
with as many pixels as the squares. The network is the same but for the channels of its first
convolution. A row a training goes to TABLE.csv; those that
are there are not trained again, and a training that was broken off goes on. `--tell` trains
nothing: it prints for each way the mean over the seeds with its standard error, and how far it is
ahead of the first way in the table from the same seeds.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from statistics import mean
from typing import Any

import torch

import autoscale
from autoscale.aspect import aspect_of
from autoscale.design.architecture import Architecture

sys.path[:0] = [str(Path(__file__).parents[2])]

from experiments.rows import keep, read, told  # noqa: E402

NETWORK = Path(__file__).parents[1] / "elastic" / "base.yaml"
#: Of each way, the channels of the network's images, and what is asked of `train`.
WAYS: dict[str, tuple[int, dict[str, Any]]] = {
    "centre-square": (3, {}),
    "padded": (3, {"area": "padded"}),
    "squashed": (3, {"area": "squashed"}),
    "aspect 3/4": (3, {"aspect": "3/4"}),
    "aspect 4/3": (3, {"aspect": "4/3"}),
    "grey": (1, {}),
    "six bands": (6, {"white_level": 4095}),
    "three bands": (3, {"white_level": 4095, "mean": "measured"}),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One training."""

    data: str  # the name of the folder
    way: str
    resolution: int  # of squares; rectangles have about as many pixels
    recipe: str
    epochs: int
    seed: int
    validation: float  # accuracy of the best epoch
    test: float  # accuracy
    params: int
    cpu_seconds: float  # of the training with decoding; too few if it was broken off


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["centre-square"])
    parser.add_argument("--runs", type=Path, default=Path("runs/channels"))
    parser.add_argument("--resolution", type=int, default=48)
    parser.add_argument("--recipe", default="full")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--tell", action="store_true")
    asked = parser.parse_args(words)
    rows = read(asked.table, Row)
    if not asked.tell:
        torch.set_num_threads(1)
        for seed in range(asked.seeds):
            for way in asked.ways:
                rows = fill(asked, rows, way, seed)
    tell(rows)


def fill(asked: argparse.Namespace, rows: list[Row], way: str, seed: int) -> list[Row]:
    """Train one network, unless it is there, and keep its row."""
    case = (asked.data.name, way, asked.resolution, asked.recipe, asked.epochs, seed)
    if any((r.data, r.way, r.resolution, r.recipe, r.epochs, r.seed) == case for r in rows):
        return rows
    run = asked.runs / "-".join(map(str, case)).replace(" ", "-").replace("/", "-")
    channels, options = WAYS[way]
    begun = time.process_time()
    trained = autoscale.train(
        network_for(channels, asked.runs),
        run,
        data=str(asked.data),
        resolution=height_for(asked.resolution, options.get("aspect", "1")),
        recipe=asked.recipe,
        epochs=asked.epochs,
        seed=seed,
        **options,
    )
    spent = time.process_time() - begun
    assert trained.best.accuracy is not None
    assert trained.test_accuracy is not None, "name images with a test split, or without any"
    row = Row(
        data=asked.data.name,
        way=way,
        resolution=asked.resolution,
        recipe=asked.recipe,
        epochs=asked.epochs,
        seed=seed,
        validation=round(trained.best.accuracy, 4),
        test=round(trained.test_accuracy, 4),
        params=trained.params,
        cpu_seconds=round(spent, 1),
    )
    return keep(asked.table, rows, row)


def height_for(side: int, aspect: str) -> int:
    """Pixels in height of rectangles with about as many pixels as squares of that side.

    It is a multiple of 8, the network's strides, so that maps are as full as those of squares.
    """
    return 8 * round(side / sqrt(aspect_of(aspect)) / 8)


def network_for(channels: int, folder: Path) -> str:
    """The file of the network for images of so many channels."""
    design = Architecture.from_yaml(NETWORK.read_text(encoding="utf-8"), source=NETWORK.name)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{NETWORK.stem}-{channels}.yaml"
    file.write_text(replace(design, channels=channels).to_yaml(), encoding="utf-8")
    return str(file)


def tell(rows: Sequence[Row]) -> None:
    """Each way beside the first one of the same images, over all seeds."""
    for case in dict.fromkeys((r.data, r.resolution, r.recipe, r.epochs) for r in rows):
        own = [r for r in rows if (r.data, r.resolution, r.recipe, r.epochs) == case]
        first = own[0].way
        usual = {row.seed: row.test for row in own if row.way == first}
        data, resolution, recipe, epochs = case
        print(f"{data}, {resolution} pixels, recipe {recipe}, {epochs} epochs:")
        for way in dict.fromkeys(row.way for row in own):
            found = [row for row in own if row.way == way]
            ahead = [row.test - usual[row.seed] for row in found if row.seed in usual]
            beside = f", {told(ahead, '+')} ahead of {first}" if way != first and ahead else ""
            print(
                f"  {way}: accuracy on test images {told([row.test for row in found])}, on "
                f"validation images {told([row.validation for row in found])}{beside} "
                f"({len(found)} seeds, {mean(row.cpu_seconds for row in found):.0f} CPU-seconds "
                "each)"
            )


if __name__ == "__main__":
    main()
