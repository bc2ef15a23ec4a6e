"""What do mixup and RandAugment buy a small network on a few thousand photographs?

    OMP_NUM_THREADS=1 python experiments/recipes/augmented.py DATA TABLE.csv --runs runs/augmented

DATA is a folder of images with a test split. For each seed one network is trained from scratch by
`autoscale train` in each way, for the same epochs of the same recipe. A row a training goes to
TABLE.csv; those that are there are not trained again, and a training that was broken off goes on.
`--tell` trains nothing: it prints for each way the means over the seeds with their standard errors,
and how far it is from the recipe as it is, from the same seeds.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch

import autoscale
from autoscale.jobs.workers.source import ImageSource
from autoscale.listener import Silent

sys.path[:0] = [str(Path(__file__).parents[2])]

from experiments.rows import keep, read, told  # noqa: E402

NETWORK = Path(__file__).parents[1] / "elastic" / "base.yaml"
USUAL = "as it is"
#: What each way sets in the recipe.
WAYS: dict[str, tuple[str, ...]] = {
    USUAL: (),
    "mixup": ("mixup=0.2",),
    "RandAugment": ("augment=rand:2:9",),
    "both": ("mixup=0.2", "augment=rand:2:9"),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One training."""

    data: str  # the name of the folder
    limit: int  # training images at most; 0: all
    network: str
    resolution: int
    recipe: str
    epochs: int
    way: str
    seed: int
    best_epoch: int
    loss: float  # of the last epoch, on training images as the way alters them
    validation: float  # accuracy of the best epoch
    test: float  # its accuracy
    cpu_seconds: float  # of the training with its evaluations; too few if it was broken off

    @property
    def case(self) -> tuple[str, int, str, int, str, int]:
        """What is compared with each other."""
        return self.data, self.limit, self.network, self.resolution, self.recipe, self.epochs


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/augmented"))
    parser.add_argument("--network", type=Path, default=NETWORK)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--recipe", default="full")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--limit", type=int, default=0, help="training images at most; 0: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
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
    size, network = asked.resolution, asked.network.name
    case = (asked.data.name, asked.limit, network, size, asked.recipe, asked.epochs)
    if any((row.case, row.way, row.seed) == (case, way, seed) for row in rows):
        return rows
    data, limit = str(asked.data), asked.limit or None
    # Images are decoded before, so that no training is charged for it.
    ImageSource(data=data, seed=seed, limit=limit).load(size=size, test=True, listener=Silent())
    begun = time.process_time()
    trained = autoscale.train(
        str(asked.network),
        asked.runs / "-".join(map(str, case)) / way.replace(" ", "-") / str(seed),
        data=data,
        resolution=size,
        recipe=asked.recipe,
        set=WAYS[way],
        epochs=asked.epochs,
        limit=limit,
        seed=seed,
    )
    spent = time.process_time() - begun
    assert trained.best.accuracy is not None
    assert trained.test_accuracy is not None, "name images with a test split"
    row = Row(
        data=asked.data.name,
        limit=asked.limit,
        network=network,
        resolution=size,
        recipe=asked.recipe,
        epochs=asked.epochs,
        way=way,
        seed=seed,
        best_epoch=trained.best.number,
        loss=round(trained.epochs[-1].loss, 4),
        validation=round(trained.best.accuracy, 4),
        test=round(trained.test_accuracy, 4),
        cpu_seconds=round(spent, 1),
    )
    return keep(asked.table, rows, row)


def tell(rows: Sequence[Row]) -> None:
    """Each way beside the recipe as it is, over all seeds."""
    for case in dict.fromkeys(row.case for row in rows):
        own = [row for row in rows if row.case == case]
        data, limit, network, size, recipe, epochs = case
        images = f"{limit} images" if limit else "all images"
        print(f"{data}, {images}, {network} at {size}, recipe {recipe}, {epochs} epochs:")
        for way in dict.fromkeys(row.way for row in own):
            print(f"  {way}: {of_way(own, way)}")


def of_way(rows: Sequence[Row], way: str) -> str:
    """One way in a line."""
    found = [row for row in rows if row.way == way]

    def all_of(value: Callable[[Row], float]) -> str:
        return told([value(row) for row in found])

    line = (
        f"test {all_of(lambda row: row.test)}, validation {all_of(lambda row: row.validation)}, "
        f"last loss {all_of(lambda row: row.loss)}"
    )
    usual = {row.seed: row.test for row in rows if row.way == USUAL}
    ahead = [row.test - usual[row.seed] for row in found if row.seed in usual]
    if way != USUAL and ahead:
        line += f", on test images {told(ahead, '+')} against {USUAL!r}"
    seconds = mean(row.cpu_seconds for row in found)
    return f"{line} ({len(found)} seeds, {seconds:.0f} CPU-seconds each)"


if __name__ == "__main__":
    main()
