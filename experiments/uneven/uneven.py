"""Which way of training on uneven classes gives the best balanced accuracy in the same time?

    OMP_NUM_THREADS=1 python experiments/uneven/uneven.py DATA TABLE.csv --runs runs/uneven

DATA is a folder as `long_tail.py` writes it. For each seed one network is trained by `autoscale
train` in each way, for the same epochs, of which each has the same steps. The best epoch is chosen
by balanced accuracy on validation images. A row a training goes to TABLE.csv; those that are there
are not trained again, and a training that was broken off goes on. `--tell` trains nothing: it
prints for each way the mean over the seeds and its standard error, and the mean difference to the
usual training from the same seeds.
"""

import argparse
import sys
import time
from collections.abc import Sequence
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
USUAL = "cross-entropy"
WAYS: dict[str, dict[str, str]] = {
    USUAL: {},
    "class weights": {"class_weights": "balanced"},
    "balanced sampling": {"sampling": "balanced"},
    "focal": {"loss": "focal:2"},
    "logit-adjusted": {"loss": "logit-adjusted:1"},
}
#: The smallest classes, whose recall is told apart.
RARE = ("7", "8", "9")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One training."""

    data: str  # the name of the folder
    limit: int  # training images at most; 0: all
    network: str
    recipe: str
    epochs: int
    way: str
    seed: int
    best_epoch: int
    validation: float  # balanced accuracy of the best epoch
    test: float  # balanced accuracy
    rare: float  # mean recall of the smallest classes, on test images
    cpu_seconds: float  # of the training with its evaluations; too few if it was broken off

    @property
    def case(self) -> tuple[str, int, str, str, int]:
        """What is compared with each other."""
        return self.data, self.limit, self.network, self.recipe, self.epochs


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/uneven"))
    parser.add_argument("--network", type=Path, default=NETWORK)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--recipe", default="small-images", help="without label smoothing")
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
    case = (asked.data.name, asked.limit, asked.network.name, asked.recipe, asked.epochs)
    if any((r.case, r.way, r.seed) == (case, way, seed) for r in rows):
        return rows
    size, limit = asked.resolution, asked.limit or None
    # Images are decoded before, so that no training is charged for it.
    ImageSource(data=str(asked.data), seed=seed, limit=limit).load(
        size=size, test=True, listener=Silent()
    )
    begun = time.process_time()
    trained = autoscale.train(
        str(asked.network),
        asked.runs / "-".join(map(str, case)) / way.replace(" ", "-") / str(seed),
        data=str(asked.data),
        resolution=size,
        recipe=asked.recipe,
        epochs=asked.epochs,
        limit=limit,
        seed=seed,
        metric="balanced-accuracy",
        **WAYS[way],
    )
    spent = time.process_time() - begun
    recalls = autoscale.evaluate(
        trained.weights,
        data=str(asked.data),
        split="test",
        metrics=[f"recall:{name}" for name in RARE],
    )
    assert trained.best.score is not None
    assert trained.test_score is not None, "name images with a test split"
    row = Row(
        data=asked.data.name,
        limit=asked.limit,
        network=asked.network.name,
        recipe=asked.recipe,
        epochs=asked.epochs,
        way=way,
        seed=seed,
        best_epoch=trained.best.number,
        validation=round(trained.best.score, 4),
        test=round(trained.test_score, 4),
        rare=round(mean(found.value for found in recalls.metrics), 4),
        cpu_seconds=round(spent, 1),
    )
    return keep(asked.table, rows, row)


def tell(rows: Sequence[Row]) -> None:
    """Each way beside the usual one, over all seeds."""
    for case in dict.fromkeys(row.case for row in rows):
        own = [row for row in rows if row.case == case]
        usual = {row.seed: row.test for row in own if row.way == USUAL}
        data, limit, network, recipe, epochs = case
        images = f"{limit} images" if limit else "all images"
        print(f"{data}, {images}, {network}, recipe {recipe}, {epochs} epochs:")
        for way in dict.fromkeys(row.way for row in own):
            found = [row for row in own if row.way == way]
            ahead = [row.test - usual[row.seed] for row in found if row.seed in usual]
            beside = f", {told(ahead, '+')} ahead of {USUAL}" if way != USUAL and ahead else ""
            print(
                f"  {way}: balanced accuracy {told([row.test for row in found])}, rare classes "
                f"{told([row.rare for row in found])}{beside} ({len(found)} seeds, "
                f"{mean(row.cpu_seconds for row in found):.0f} CPU-seconds each)"
            )


if __name__ == "__main__":
    main()
