"""Inherited against scratch at equal processor time, short and long, at four sizes.

    OMP_NUM_THREADS=1 python experiments/transfer/equal.py DATA WEIGHTS OUT.csv

DATA and WEIGHTS are those of methods.py. Cells that OUT.csv has are not trained again, so the
script may be stopped at any time and given again; `--sizes`, `--lengths`, `--seeds` and `--starts`
pick some. A fresh start trains one epoch more than an inherited one, which is at least what
inheriting takes; both times are noted.
"""

import argparse
import csv
import time
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from methods import LITE0, PREPARATION, note, ridge, started, trained

from autoscale.datasets.data import load
from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.rounding import ROUNDINGS, scale
from autoscale.runs.weights import read_weights
from autoscale.training.recipe import RECIPES

#: Width and resolution of a scaled EfficientNet-Lite0, by its multiply-adds.
SIZES = {"5M": (0.35, 64), "10M": (0.5, 64), "22M": (0.5, 96), "60M": (0.7, 112)}
LENGTHS = {"short": 3, "long": 25}
#: The recipe's peak rate, as methods.py found it best for three epochs, and epochs on top.
STARTS = {"scratch": ("scratch", 0.012, 1), "inherited": ("rebuild+refit", 0.003, 0)}


@dataclass(frozen=True)
class Cell:
    """One training."""

    size: str
    length: str
    start: str
    seed: int

    @property
    def key(self) -> tuple[str, ...]:
        return (self.size, self.length, self.start, str(self.seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("weights")
    parser.add_argument("out", type=Path)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--lengths", nargs="+", default=list(LENGTHS), choices=LENGTHS)
    parser.add_argument("--starts", nargs="+", default=list(STARTS), choices=STARTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked = parser.parse_args()
    state = read_weights(asked.weights).state
    for length, size, seed, start in product(asked.lengths, asked.sizes, asked.seeds, asked.starts):
        cell = Cell(size, length, start, seed)
        if cell.key not in done(asked.out):
            note(asked.out, {**vars(cell), **result(cell, asked.data, state)})


def done(out: Path) -> set[tuple[str, ...]]:
    if not out.exists():
        return set()
    with out.open(newline="", encoding="utf-8") as opened:
        return {(r["size"], r["length"], r["start"], r["seed"]) for r in csv.DictReader(opened)}


def result(cell: Cell, folder: str, state: dict) -> dict[str, object]:
    way, rate, more = STARTS[cell.start]
    width, resolution = SIZES[cell.size]
    data = load(folder, size=round(resolution * 1.15), test=True, preparation=PREPARATION)
    design = scaled(width, resolution, len(data.classes))
    recipe = replace(RECIPES["proxy"], epochs=LENGTHS[cell.length] + more, learning_rate=rate)
    begun = time.process_time()
    network = started(way, design, state, data, recipe, seed=cell.seed)
    seconds = time.process_time() - begun
    linear = ridge(network, data, resolution)
    return {
        "macs": cost(design).macs, "rate": rate, "epochs": recipe.epochs,
        "linear_validation": f"{linear:.3f}", "seconds_to_begin": f"{seconds:.1f}",
        **trained(network, data, recipe, resolution, seed=cell.seed),
    }  # fmt: skip


def scaled(width: float, resolution: int, classes: int) -> Architecture:
    base = replace(LITE0, num_classes=classes)
    return scale(base, width=width, resolution=resolution, rounding=ROUNDINGS["tf"])


if __name__ == "__main__":
    main()
