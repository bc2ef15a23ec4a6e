"""By how much does a random cut overstate accuracy where pictures have near-copies?

    OMP_NUM_THREADS=1 python experiments/grouped/grouped.py runs/copies TABLE.csv

The folder is one that `copies.py` wrote. For each seed one network is trained on a cut of single
pictures and on a cut by groups. A row a training goes to TABLE.csv: the accuracy on the test images
that the cut put aside, and on new pictures. Rows that are there are not trained again; `--tell`
only prints the means over seeds with their standard errors.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import autoscale
from autoscale.jobs.workers.source import ImageSource
from autoscale.listener import Silent

sys.path[:0] = [str(Path(__file__).parents[2])]

from experiments.rows import append, mean_and_error, read  # noqa: E402

NETWORK = Path(__file__).parents[1] / "elastic" / "base.yaml"
#: How pictures are cut -> --group-by.
CUTS = {"random": None, "grouped": "path:^(.*)_[0-9]+"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One training."""

    cut: str
    seed: int
    epochs: int
    training_images: int
    test_images: int
    validation: float  # accuracy on the validation images, of the best epoch
    test: float  # accuracy on the test images that the cut put aside
    new: float  # accuracy on new pictures


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/grouped"))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--tell", action="store_true")
    asked = parser.parse_args(words)
    rows = read(asked.table, Row)
    if not asked.tell:
        for seed in range(asked.seeds):
            for cut in CUTS:
                rows = fill(asked, rows, cut, seed)
    tell(rows)


def fill(asked: argparse.Namespace, rows: list[Row], cut: str, seed: int) -> list[Row]:
    """Train one network, unless it is there, and keep its row."""
    if any((row.cut, row.seed, row.epochs) == (cut, seed, asked.epochs) for row in rows):
        return rows
    trained = autoscale.train(
        str(NETWORK),
        asked.runs / f"{cut}-{seed}-{asked.epochs}",
        data=str(asked.folder / "copies"),
        resolution=asked.resolution,
        recipe="small-images",
        epochs=asked.epochs,
        seed=seed,
        group_by=CUTS[cut],
    )
    images = ImageSource(data=str(asked.folder / "copies"), seed=seed, group_by=CUTS[cut]).load(
        size=asked.resolution, test=True, listener=Silent()
    )
    assert images.test is not None, "the cut puts some aside"
    new = autoscale.evaluate(str(trained.weights), str(asked.folder / "new"), split="all")
    row = Row(
        cut=cut,
        seed=seed,
        epochs=asked.epochs,
        training_images=len(images.train),
        test_images=len(images.test),
        validation=trained.result.validation_accuracy,
        test=trained.test_accuracy or 0.0,
        new=new.accuracy,
    )
    append(asked.table, row)
    return [*rows, row]


def tell(rows: Sequence[Row]) -> None:
    """Print means over seeds and their standard errors."""
    for cut in CUTS:
        own = [row for row in rows if row.cut == cut]
        if own:
            print(
                f"{cut}: test {told([r.test for r in own])}, new {told([r.new for r in own])}, "
                f"overstated by {told([r.test - r.new for r in own])}; {len(own)} seeds, "
                f"{own[0].training_images:,} training and {own[0].test_images:,} test images"
            )


def told(values: Sequence[float]) -> str:
    """Mean and standard error."""
    return "{:.3f} ({:.3f})".format(*mean_and_error(values))


if __name__ == "__main__":
    main()
