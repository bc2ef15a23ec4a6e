"""Is a family that is trained in one set of weights as good as its members trained apart, for less?

    OMP_NUM_THREADS=1 python experiments/elastic/elastic.py DATA TABLE.csv --runs runs/elastic

A family of `base.yaml` (or --base) is written; for each seed its members are trained by
`autoscale train` one by one and by `autoscale train-family` together, on the same images and by the
same recipe. A row a member and a way goes to TABLE.csv; those that are there are not trained again,
and a training that was broken off goes on. CPU-seconds are those of the trainings, with their
evaluations; images are decoded before. `--tell` trains nothing: it prints for each member the mean
of together less apart over the seeds, and the share of CPU-seconds.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from pathlib import Path
from statistics import mean

import torch

import autoscale
from autoscale.jobs.nested.settings import SHARE
from autoscale.jobs.workers.source import ImageSource
from autoscale.listener import Progress, Silent
from autoscale.scaling.family import Member

sys.path[:0] = [str(Path(__file__).parents[2])]

from experiments.rows import keep, mean_and_error, read  # noqa: E402

BASE = Path(__file__).with_name("base.yaml")
#: Ways: a member alone, one of a family that is trained together, and a design cut out of that one
#: between two members, whose cost is as near as may be to the geometric mean of theirs.
APART, TOGETHER, BETWEEN = "apart", "together", "between"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One member of one seed, trained in one way."""

    data: str  # the name of the folder
    limit: int
    recipe: str
    apart: int  # epochs of a member alone
    epochs: int  # of this training
    each_step: str  # of a training together, else ""
    seed: int
    way: str
    member: str
    pixels: int
    macs: int
    validation_accuracy: float
    test_accuracy: float
    cpu_seconds: float  # of its training; of the whole family's, if it was trained together

    @property
    def case(self) -> tuple[str, int, str, int]:
        """What is compared with each other."""
        return self.data, self.limit, self.recipe, self.apart

    @property
    def training(self) -> tuple[str, int]:
        """What members together have in common, over seeds."""
        return self.each_step, self.epochs


class Clock(Silent):
    """Adds the CPU-seconds of a training up, also over calls that were broken off."""

    def __init__(self, file: Path) -> None:
        self._file, self._begun = file, time.process_time()
        self._before: float = json.loads(file.read_text()) if file.exists() else 0.0

    def progress(self, progress: Progress) -> None:
        self.keep()

    def keep(self) -> float:
        """The sum so far, kept in the file."""
        total = self._before + time.process_time() - self._begun
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(total))
        return total


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="a folder of images, as autoscale train takes it")
    parser.add_argument("table", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/elastic"))
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--phi", default="0..3")
    parser.add_argument("--coefficients", default="1.2,1.1,1.15")
    parser.add_argument("--rounding", default="nearest,divisor=4")
    parser.add_argument("--limit", type=int, default=8000, help="training images at most")
    parser.add_argument("--recipe", default="proxy")
    parser.add_argument("--epochs", type=int, default=30, help="of a member apart")
    parser.add_argument(
        "--together", type=int, help="epochs of the family [default: 0.35 of its members' apart]"
    )
    parser.add_argument("--each-step", default="one", help="of the family, as for train-family")
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
    name = asked.data.name
    run = asked.runs / f"{name}-{asked.limit}-{asked.recipe}-{asked.epochs}" / str(seed)
    members = family(asked, run)
    options = {"data": str(asked.data), "limit": asked.limit, "recipe": asked.recipe, "seed": seed}
    common = {**options, "data": name, "apart": asked.epochs}
    case = (name, asked.limit, asked.recipe, asked.epochs)
    known = {(r.way, *r.training, r.member) for r in rows if (r.case, r.seed) == (case, seed)}
    decode(asked, members, seed)
    for member in members:
        design = member.architecture
        if (APART, "", asked.epochs, member.name) in known:
            continue
        folder = run / member.name
        clock = Clock(folder / "cpu.json")
        trained = autoscale.train(
            run / "family" / f"{member.name}.yaml",
            folder,
            **options,
            epochs=asked.epochs,
            listener=clock,
        )
        rows = keep(
            asked.table,
            rows,
            Row(
                **common,
                epochs=asked.epochs,
                each_step="",
                way=APART,
                member=member.name,
                pixels=design.resolution,
                macs=trained.macs,
                validation_accuracy=rounded(trained.best.accuracy),
                test_accuracy=rounded(trained.test_accuracy),
                cpu_seconds=round(clock.keep(), 1),
            ),
        )
    step, epochs = asked.each_step, asked.together or round(SHARE * asked.epochs * len(members))
    if any((BETWEEN, step, epochs) == (way, *training) for way, *training, _ in known):
        return rows  # these come last
    together = run / f"{step}-{epochs}"
    family(asked, together)
    clock = Clock(together / "cpu.json")
    found = autoscale.train_family(
        together, **options, epochs=epochs, each_step=step, listener=clock
    )
    seconds = round(clock.keep(), 1)
    for result in found.members:
        if (TOGETHER, step, epochs, result.name) in known:
            continue
        row = Row(
            **common,
            epochs=epochs,
            each_step=step,
            way=TOGETHER,
            member=result.name,
            pixels=result.pixels,
            macs=result.macs,
            validation_accuracy=rounded(result.validation_accuracy),
            test_accuracy=rounded(result.test_accuracy),
            cpu_seconds=seconds,
        )
        rows = keep(asked.table, rows, row)
    for smaller, larger in pairwise(found.members):
        cut = autoscale.cut(together, max_cost=[f"macs={round(sqrt(smaller.macs * larger.macs))}"])
        split = {
            part: autoscale.evaluate(cut.weights, data=str(asked.data), split=part).accuracy
            for part in ("validation", "test")
        }
        row = Row(
            **common,
            epochs=epochs,
            each_step=step,
            way=BETWEEN,
            member=cut.name,
            pixels=cut.pixels,
            macs=cut.macs,
            validation_accuracy=rounded(split["validation"]),
            test_accuracy=rounded(split["test"]),
            cpu_seconds=seconds,
        )
        rows = keep(asked.table, rows, row)
    return rows


def family(asked: argparse.Namespace, run: Path) -> list[Member]:
    """The members, smallest first, written into a run."""
    found = autoscale.write_family(
        run,
        baseline=str(asked.base),
        coefficients=asked.coefficients,
        rounding=asked.rounding,
        phi=asked.phi,
    )
    return [member for member in found.members if isinstance(member, Member)]


def decode(asked: argparse.Namespace, members: Sequence[Member], seed: int) -> None:
    """Have the images in the cache at all sizes, so that no training is charged for it."""
    source = ImageSource(data=str(asked.data), seed=seed, limit=asked.limit)
    for size in {member.architecture.resolution for member in members}:
        source.load(size=size, test=True, listener=Silent())


def rounded(share: float | None) -> float:
    assert share is not None, "name images with a test split"
    return round(share, 4)


def tell(rows: Sequence[Row]) -> None:
    """Each family that was trained together beside its members apart, over all seeds."""
    for case, training in dict.fromkeys((r.case, r.training) for r in rows if r.way == TOGETHER):
        own = [r for r in rows if (r.case, r.training) == (case, training) and r.way != APART]
        apart = {(r.seed, r.member): r for r in rows if r.case == case and r.way == APART}
        (data, limit, recipe, alone), (step, epochs) = case, training
        print(
            f"{data}, {limit} images, recipe {recipe}, {epochs} epochs together, each step {step}, "
            f"{alone} apart:"
        )
        for member in dict.fromkeys(r.member for r in own):
            both = [
                (r.test_accuracy, apart[r.seed, member].test_accuracy)
                for r in own
                if r.member == member and (r.seed, member) in apart
            ]
            if both:
                together, twin = (mean(values) for values in zip(*both, strict=True))
                apart_by = [one - other for one, other in both]
                _, error = mean_and_error(apart_by)
                print(
                    f"  {member}: {together:.4f} together, {twin:.4f} apart, "
                    f"{together - twin:+.4f} ({error:.4f}, {len(both)} seeds)"
                )
            else:
                cut = [r.test_accuracy for r in own if r.member == member]
                print(f"  {member}, cut between: {mean(cut):.4f} ({len(cut)} seeds)")
        spent = {r.seed: r.cpu_seconds for r in own}
        shares = [
            seconds / sum(r.cpu_seconds for (own_seed, _), r in apart.items() if own_seed == seed)
            for seed, seconds in spent.items()
        ]
        print(f"  CPU-seconds: {mean(shares):.3f} of the members' apart")


if __name__ == "__main__":
    main()
