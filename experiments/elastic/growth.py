"""How many epochs a member of a family needs that begins with what the smaller one learned.

    python experiments/elastic/subset.py CIFAR10 cifar10-8000 --train 8000 --validation 2000
    OMP_NUM_THREADS=1 python experiments/elastic/growth.py cifar10-8000 growth.csv --epochs 30

Every member is trained alone with random weights (`scratch`), and grown (`grown`) with shares of
these epochs: as `train-family --grow` does, the smallest as from scratch, the next one out of it,
and so on, each with a whole schedule. Rows that the table has are not trained again, a training
that was broken off goes on, and `--tell` trains nothing and prints the comparison.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from elastic import BASE, Clock, decode, family, rounded

import autoscale
from autoscale.jobs.grown.result import first_as_good
from autoscale.scaling.family import Member

sys.path[:0] = [str(Path(__file__).parents[2])]

from experiments.rows import keep, read  # noqa: E402

SCRATCH, GROWN = "scratch", "grown"
#: What the question asks for: the share of the epochs in which a grown member is as good.
AIM = 0.6
#: By which accuracies in a table may be rounded up.
ROUNDING = 5e-5


@dataclass(frozen=True, kw_only=True)
class Row:
    """One member of one seed, trained in one way."""

    data: str  # the name of the folder
    limit: int
    recipe: str
    scratch: int  # epochs of a training from scratch
    rate: float  # peak rate of grown members; 0 for the one that train chooses
    start_size: float  # of the images of all trainings; 0 for the recipe's
    seed: int
    way: str
    member: str
    epochs: int  # of this training
    pixels: int
    macs: int
    validation_accuracy: float
    test_accuracy: float
    reached: int  # first epoch with the scratch training's best accuracy on validation images, or 0
    cpu_seconds: float  # of this training, evaluations included

    @property
    def case(self) -> tuple[str, int, str, int, float]:
        """What is compared with each other."""
        return self.data, self.limit, self.recipe, self.scratch, self.start_size


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="a folder of images, as autoscale train takes it")
    parser.add_argument("table", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/growth"))
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--phi", default="0..3")
    parser.add_argument("--coefficients", default="1.2,1.1,1.15")
    parser.add_argument("--rounding", default="nearest,divisor=4")
    parser.add_argument("--limit", type=int, default=8000, help="training images at most")
    parser.add_argument("--recipe", default="proxy")
    parser.add_argument("--epochs", type=int, default=30, help="of a training from scratch")
    parser.add_argument("--shares", default="0.3,0.45,0.6,1", help="of them, for grown members")
    parser.add_argument("--rate", type=float, default=0.0, help="of grown members, at the peak")
    parser.add_argument("--start-size", type=float, default=0.0, help="of the images of all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tell", action="store_true")
    asked = parser.parse_args(words)
    rows = read(asked.table, Row)
    if not asked.tell:
        torch.set_num_threads(1)
        for seed in range(asked.seeds):
            rows = fill(asked, rows, seed)
    tell(rows)


def fill(asked: argparse.Namespace, rows: list[Row], seed: int) -> list[Row]:
    """Train what is not there yet of a seed, and keep its rows as soon as they are known."""
    name = f"{asked.data.name}-{asked.limit}-{asked.recipe}-{asked.epochs}-{asked.start_size:g}"
    run = asked.runs / name / str(seed)
    members = family(asked, run)
    decode(asked, members, seed)
    for member in members:
        case = Case(asked, SCRATCH, member, asked.epochs, seed)
        rows = case.filled(rows, run, run / SCRATCH / member.name)
    for epochs in sorted({max(1, round(float(s) * asked.epochs)) for s in asked.shares.split(",")}):
        before = run / SCRATCH / members[0].name
        for member in members[1:]:
            case = Case(asked, GROWN, member, epochs, seed)
            folder = run / f"{GROWN}-{epochs}-{asked.rate:g}" / member.name
            weights = before / "train" / "best.safetensors"
            more = {"weights": str(weights), "learning_rate": asked.rate or None}
            rows = case.filled(rows, run, folder, **more)
            before = folder
    return rows


@dataclass(frozen=True)
class Case:
    """One training that makes a row."""

    asked: argparse.Namespace
    way: str
    member: Member
    epochs: int
    seed: int

    def filled(self, rows: list[Row], run: Path, folder: Path, **more: Any) -> list[Row]:
        """The rows with this one, which is trained if it is not there."""
        asked, member, own = self.asked, self.member, self._common
        if any(own.items() <= asdict(row).items() for row in rows):
            return rows
        clock = Clock(folder / "cpu.json")
        trained = autoscale.train(
            run / "family" / f"{member.name}.yaml",
            folder,
            **{name: own[name] for name in ("limit", "recipe", "seed", "epochs")},
            data=str(asked.data),
            start_size=asked.start_size or None,
            listener=clock,
            **more,
        )
        best = rounded(trained.best.accuracy)
        twin = {**own, "way": SCRATCH, "epochs": asked.epochs}
        aim = [r.validation_accuracy for r in rows if twin.items() <= asdict(r).items()] or [best]
        row = Row(
            **own,
            pixels=member.architecture.resolution,
            macs=trained.macs,
            validation_accuracy=best,
            test_accuracy=rounded(trained.test_accuracy),
            reached=first_as_good(trained.epochs, aim[0] - ROUNDING) or 0,
            cpu_seconds=round(clock.keep(), 1),
        )
        return keep(asked.table, rows, row)

    @property
    def _common(self) -> dict[str, Any]:
        """What tells a row from the others."""
        return {
            "data": self.asked.data.name,
            "limit": self.asked.limit,
            "recipe": self.asked.recipe,
            "scratch": self.asked.epochs,
            "rate": 0.0 if self.way == SCRATCH else self.asked.rate,
            "start_size": self.asked.start_size,
            "seed": self.seed,
            "way": self.way,
            "member": self.member.name,
            "epochs": self.epochs,
        }


def tell(rows: Sequence[Row]) -> None:
    """Of each member the accuracy on test images from scratch, and grown in fewer epochs."""
    for case, rate in dict.fromkeys((row.case, row.rate) for row in rows if row.way == GROWN):
        data, limit, recipe, scratch, start_size = case
        print(
            f"{data}, {limit} images, recipe {recipe}, {scratch} epochs from scratch"
            + (f", grown at a rate of {rate:g}" if rate else "")
            + (f", images from {start_size:g} of their side" if start_size else "")
        )
        alone = {(r.seed, r.member): r for r in rows if (r.case, r.way) == (case, SCRATCH)}
        grown = [r for r in rows if (r.case, r.way, r.rate) == (case, GROWN, rate)]
        for member in dict.fromkeys(row.member for row in grown):
            tell_member(member, [row for row in grown if row.member == member], alone)


def tell_member(member: str, grown: Sequence[Row], alone: Mapping[tuple[int, str], Row]) -> None:
    """One member with each number of epochs, beside its twins from scratch."""
    enough = 0
    for epochs in sorted({row.epochs for row in grown}):
        own = [row for row in grown if row.epochs == epochs]
        pairs = [(row, alone[row.seed, member]) for row in own if (row.seed, member) in alone]
        lead = mean(one.test_accuracy - twin.test_accuracy for one, twin in pairs)
        cost = mean(one.cpu_seconds / twin.cpu_seconds for one, twin in pairs)
        after = ", ".join(str(one.reached or "none") for one, _ in pairs)
        print(
            f"  {member}, {epochs} epochs: {mean(one.test_accuracy for one, _ in pairs):.4f}, "
            f"{lead:+.4f} to scratch, {cost:.2f} of its CPU-seconds; as good on validation images "
            f"after epoch {after}"
        )
        enough = enough or (epochs if lead >= 0 else 0)
    if enough:
        share = enough / grown[0].scratch
        word = "within" if share <= AIM else "above"
        print(f"  {member}: as good in {share:.2f} of the epochs, {word} {AIM}")
    else:
        print(f"  {member}: in no number of epochs as good as from scratch")


if __name__ == "__main__":
    main()
