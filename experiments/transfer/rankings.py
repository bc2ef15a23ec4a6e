"""Do short trainings rank designs as long ones do, from scratch and with inherited weights?

    OMP_NUM_THREADS=1 python experiments/transfer/rankings.py DATA WEIGHTS OUT

DATA, WEIGHTS and OUT are those of equal.py; the table is `rankings.csv`, and rows that it has are
not trained again. The designs are drawn from the space that `autoscale make` searches around
EfficientNet-Lite0 at 5 million multiply-adds. `--tell` trains nothing: it prints Kendall's tau of
the accuracies so far, on validation and test images together, with the standard error of a
bootstrap over designs.
"""

import argparse
import csv
import random
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from equal import RATES, SIZES, scaled
from methods import note
from numpy.typing import NDArray

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.jobs.train.job import train
from autoscale.pipeline.around import space_around

DESIGNS, SEED = 20, 0
#: Epochs and seeds of a length.
LENGTHS = {"short": (3, (0, 1)), "long": (15, (0,))}
STARTS = ("inherited", "scratch")
Key = tuple[str, str, str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("weights")
    parser.add_argument("out", type=Path)
    parser.add_argument("--tell", action="store_true")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    table = asked.out / "rankings.csv"
    if not asked.tell:
        fill(table, asked.data, asked.weights)
    tell(read(table))


def fill(table: Path, data: str, weights: str) -> None:
    there = read(table)
    for length, (epochs, seeds) in LENGTHS.items():
        for seed, (number, design), start in product(seeds, enumerate(drawn()), STARTS):
            key = (str(number), length, start, str(seed))
            if key in there:
                continue
            file = table.parent / f"design-{number}.yaml"
            file.write_text(design.to_yaml(), encoding="utf-8")
            found = train(
                file,
                table.parent / "-".join(("ranked", *key)),
                data=data,
                recipe="proxy",
                epochs=epochs,
                learning_rate=RATES[start],
                seed=seed,
                device="cpu",
                **({"weights": weights} if start == "inherited" else {}),
            )
            note(table, row(key, design, found))


def drawn() -> list[Architecture]:
    """Different designs."""
    middle = scaled(*SIZES["5M"], classes=10)
    space = SearchSpace.from_yaml(space_around(middle, name="around-lite0"))
    source, found = random.Random(SEED), dict[str, Architecture]()
    while len(found) < DESIGNS:
        design = space.sample(source)
        found[design.to_yaml()] = design
    return [*found.values()]


def row(key: Key, design: Architecture, found: Any) -> dict[str, object]:
    number, length, start, seed = key
    return {
        "design": number, "length": length, "start": start, "seed": seed,
        "macs": cost(design).macs, "resolution": design.resolution,
        "validation": f"{found.epochs[-1].accuracy:.4f}", "test": f"{found.test_accuracy:.4f}",
    }  # fmt: skip


def read(table: Path) -> dict[Key, float]:
    """The mean of validation and test accuracy, by row."""
    if not table.exists():
        return {}
    with table.open(newline="", encoding="utf-8") as opened:
        return {
            (r["design"], r["length"], r["start"], r["seed"]): (
                float(r["validation"]) + float(r["test"])
            )
            / 2
            for r in csv.DictReader(opened)
        }


def tell(rows: dict[Key, float]) -> None:
    pairs = (("short", "0", "long", "0"), ("short", "1", "long", "0"), ("short", "0", "short", "1"))
    for start, (one, seed, other, twin) in product(STARTS, pairs):
        both = [
            (first, second)
            for number in map(str, range(DESIGNS))
            if (first := rows.get((number, one, start, seed))) is not None
            and (second := rows.get((number, other, start, twin))) is not None
        ]
        if len(both) > 2:
            found, error = with_error(np.array(both))
            print(
                f"{start}: {one}, seed {seed}, against {other}, seed {twin}: tau {found:.2f} +- "
                f"{error:.2f} over {len(both)} designs"
            )


def with_error(pairs: NDArray[np.float64]) -> tuple[float, float]:
    draw = np.random.default_rng(0)
    again = [tau(pairs[draw.integers(len(pairs), size=len(pairs))]) for _ in range(1000)]
    return tau(pairs), float(np.std(again))


def tau(pairs: NDArray[np.float64]) -> float:
    """Kendall's tau-b, which allows for ties."""
    first, second = (np.sign(column[:, None] - column[None, :]) for column in pairs.T)
    agreed = float((first * second).sum())
    return agreed / float(np.sqrt((first**2).sum() * (second**2).sum()) or 1.0)


if __name__ == "__main__":
    main()
