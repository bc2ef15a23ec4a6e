"""Do short trainings rank designs as long ones do, from scratch and with inherited weights?

    OMP_NUM_THREADS=1 python experiments/transfer/rankings.py DATA WEIGHTS OUT

DATA, WEIGHTS and OUT are those of equal.py; the table is `rankings.csv`, and rows that it has are
not trained again. The designs are drawn from the space that `autoscale make` searches around
EfficientNet-Lite0 at 5 million multiply-adds. `--tell` trains nothing: it prints Kendall's tau of
the accuracies so far, on validation and test images together, with the standard error of a
bootstrap over designs, by how much it differs between the two starts, and the tau of the long
trainings with multiply-adds and between the starts.
"""

import argparse
import csv
import random
from collections.abc import Callable
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
#: Length and seed of the training that stands for the truth.
LONG = ("long", "0")
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
    tell_of_long(read(table))


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
    first, second = ("short", "0"), ("short", "1")
    for one, other in ((first, LONG), (second, LONG), (first, second)):
        found = [of_design(rows, str(number), one, other) for number in range(DESIGNS)]
        whole = np.array([scores for scores in found if scores])
        if len(whole) > 2:
            taus = [with_error(tau, whole[:, place]) for place in range(len(STARTS))]
            apart = with_error(lambda scores: tau(scores[:, 0]) - tau(scores[:, 1]), whole)
            print(
                f"{one[0]}, seed {one[1]}, against {other[0]}, seed {other[1]}, {len(whole)} "
                f"designs: tau {shown(taus[0])} {STARTS[0]}, {shown(taus[1])} {STARTS[1]}"
                f"; difference {shown(apart)}"
            )


def tell_of_long(rows: dict[Key, float]) -> None:
    """How the long trainings go with multiply-adds, and those of one start with the other's."""
    found = [of_design(rows, str(number), LONG, LONG) for number in range(DESIGNS)]
    scores = np.array([[first for first, _ in scores] for scores in found if scores])
    if len(scores) < 3:
        return
    macs = np.array([cost(d).macs for d, scores in zip(drawn(), found, strict=True) if scores])
    for place, start in enumerate(STARTS):
        both = np.stack([scores[:, place], macs], axis=1)
        print(f"{start}: long trainings and multiply-adds: tau {shown(with_error(tau, both))}")
    print(f"long trainings of both starts: tau {shown(with_error(tau, scores))}")


def of_design(
    rows: dict[Key, float], number: str, one: tuple[str, str], other: tuple[str, str]
) -> list[list[float]]:
    """Accuracies of a design's two trainings, a row for each start; empty if one is missing.

    Args:
        one, other: length and seed of the trainings.
    """
    keys = [[(number, length, start, seed) for length, seed in (one, other)] for start in STARTS]
    if not all(key in rows for pair in keys for key in pair):
        return []
    return [[rows[key] for key in pair] for pair in keys]


def with_error(
    statistic: Callable[[NDArray[np.float64]], float], designs: NDArray[np.float64]
) -> tuple[float, float]:
    """A statistic of designs (the rows) and its standard error, by a bootstrap over them."""
    draw, count = np.random.default_rng(0), len(designs)
    again = [statistic(designs[draw.integers(count, size=count)]) for _ in range(1000)]
    return statistic(designs), float(np.std(again))


def shown(found: tuple[float, float]) -> str:
    return f"{found[0]:.2f} +- {found[1]:.2f}"


def tau(pairs: NDArray[np.float64]) -> float:
    """Kendall's tau-b, which allows for ties."""
    first, second = (np.sign(column[:, None] - column[None, :]) for column in pairs.T)
    agreed = float((first * second).sum())
    return agreed / float(np.sqrt((first**2).sum() * (second**2).sum()) or 1.0)


if __name__ == "__main__":
    main()
