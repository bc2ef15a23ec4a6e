"""Do 90 % intervals from small training sets hold what larger ones, networks and epochs come to?

    OMP_NUM_THREADS=1 python experiments/advice/foretelling.py CIFAR10 OUT.csv [--cases 20]

A case is a network of the space `mbconv-small` at 32 pixels, drawn by its number, and a number of
epochs. It is trained as `autoscale advise` trains: around its largest small count of images
(`--counts`, 500 to 4,000), with halves of it, other epochs and other sizes beside it; a law is
fitted to the validation images. Then it is trained on `--targets` images (8,000, 16,000, 32,000),
and on the largest small count with twice the images, twice the multiply-adds and twice the epochs,
each with `--seeds` seeds and judged on the test images. Rows that are in OUT.csv are not trained
again; they hold which images were answered right, some 2 MB. `--tell` trains nothing: it prints how
many intervals hold what came out, the mean distance, and how often the effort that was named best
was; `--told FILE.csv` writes that case by case.
"""

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from math import sqrt
from pathlib import Path

import numpy as np
import torch

from autoscale.advice.design import Point, points
from autoscale.advice.efforts import LEVEL
from autoscale.advice.posterior import LawPosterior, Measured, fit_law, interval
from autoscale.design.amounts import several
from autoscale.design.cost import cost
from autoscale.design.rounding import rounding_policy
from autoscale.jobs.advise.around import FACTOR, Around, sizes_beside
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.search.spaces import load_space
from autoscale.jobs.workers.answers import unpacked
from autoscale.jobs.workers.kernels import choose_kernels
from autoscale.jobs.workers.measurement import Measurement
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.scoring import train_and_score
from autoscale.jobs.workers.source import ImageSource
from autoscale.listener import Silent
from autoscale.scaling.scalable import Design

sys.path[:0] = [str(Path(__file__).parents[2])]

from experiments.rows import append, read, write  # noqa: E402

#: The three efforts of which the best is to be named.
EFFORTS = ("images", "macs", "epochs")
#: Of a training: case, images, epochs, size, seed, and on which images it was judged.
Key = tuple[int, int, int, str, int, str]


@dataclass(frozen=True, kw_only=True)
class Foretold:
    """A gain in accuracy over the base of a case, as it was foretold and as it came out."""

    case: int
    epochs: int
    seeds: int
    what: str  # so many images, or an effort
    named: bool  # whether it is the effort that is likeliest the best
    gain: float
    low: float
    high: float
    came: float

    @property
    def held(self) -> bool:
        """Whether the interval holds what came out."""
        return self.low <= self.came <= self.high


@dataclass(frozen=True, kw_only=True)
class Row:
    """One training."""

    case: int
    images: int
    epochs: int
    size: str
    seed: int
    judged_on: str  # "validation" by the law's trainings, "test" by those that it foretells
    asked: str  # with what all rows of a table were made
    accuracy: float
    right: str  # which images were answered right, packed; nothing of test images

    @property
    def key(self) -> Key:
        """What tells it from all others."""
        return self.case, self.images, self.epochs, self.size, self.seed, self.judged_on


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("csv", type=Path)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--counts", default="500,1000,2000,4000", help="each twice the one before")
    parser.add_argument("--targets", default="8000,16000,32000")
    parser.add_argument("--epochs", default="4,8,12", help="of the cases, by turns")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--most-macs", type=int, default=3_000_000)
    parser.add_argument("--tell", action="store_true")
    parser.add_argument("--told", type=Path, help="a table of what was foretold and what came out")
    asked = parser.parse_args(words)
    asked.counts, asked.targets, asked.epochs = (
        [int(text) for text in value.split(",")]
        for value in (asked.counts, asked.targets, asked.epochs)
    )
    if any(more != 2 * less for less, more in pairwise(asked.counts)):
        raise SystemExit(f"--counts {asked.counts}: let each be twice the one before")
    torch.set_num_threads(1)
    rows = {row.key: row for row in read(asked.csv, Row)}
    if rows and {row.asked for row in rows.values()} != {told(asked)}:
        raise SystemExit(f"{asked.csv} holds rows of other images or settings; name another file")
    proxy = judge(asked)
    cases = [case(asked, proxy, number) for number in range(asked.cases)]
    if not asked.tell:
        for seed in range(asked.seeds):  # all cases with one before any with the next
            for number, around in enumerate(cases):
                fill(asked, number, around, rows, seed)
    tell(asked, cases, rows)


def told(asked: argparse.Namespace) -> str:
    return json.dumps([asked.counts, asked.targets, asked.epochs, asked.resolution,
                       asked.most_macs])  # fmt: skip


def judge(asked: argparse.Namespace) -> Proxy:
    """How networks are trained, with all images; each training takes a subset."""
    size = 2 * asked.resolution  # of the networks with more pixels, and some room
    return Proxy(
        source=ImageSource(data=asked.data),
        recipe=recipe_named("proxy"),
        kernels=choose_kernels("auto", device="cpu", listener=Silent()),
    ).load(size=size, test=True)


def case(asked: argparse.Namespace, proxy: Proxy, number: int) -> Around:
    """The network of a case with the sizes beside it, and its epochs."""
    space = load_space("mbconv-small").for_task(
        resolution=asked.resolution, num_classes=len(proxy.images.classes)
    )
    source = random.Random(number)
    epochs = asked.epochs[number % len(asked.epochs)]
    for _ in range(10_000):
        base = Design(space.sample(source), rounding_policy("nearest"))
        sizes = sizes_beside(base)
        if "larger" in sizes and cost(base.base).macs <= asked.most_macs:
            return Around(
                name=f"case {number}",
                base=base,
                sizes=sizes,
                proxy=proxy.within(epochs=epochs),
            )
    raise SystemExit(f"no design costs at most {asked.most_macs:,}; raise --most-macs")


def small(asked: argparse.Namespace, around: Around) -> tuple[Point, ...]:
    """The trainings that the law is fitted to."""
    return points(
        asked.counts[-1],
        around.proxy.recipe.epochs,
        classes=len(around.proxy.images.classes),
        halvings=len(asked.counts) - 1,
        sizes=around.sizes,
    )


def foretold(asked: argparse.Namespace, around: Around) -> dict[str, Point]:
    """What is foretold: the base, larger numbers of images, and the three efforts."""
    images, epochs = asked.counts[-1], around.proxy.recipe.epochs
    base = Point(images=images, epochs=epochs)
    return {
        "base": base,
        **{str(count): replace(base, images=count) for count in asked.targets},
        "images": replace(base, images=2 * images),
        "macs": replace(base, size="larger"),
        "epochs": replace(base, epochs=2 * epochs),
    }


def fill(
    asked: argparse.Namespace, number: int, around: Around, rows: dict[Key, Row], seed: int
) -> None:
    """Train what is not there yet, and keep each row as soon as it is known."""
    wanted = [(point, "validation") for point in small(asked, around)]
    wanted += [(point, "test") for point in dict.fromkeys(foretold(asked, around).values())]
    for point, part in wanted:
        key = (number, point.images, point.epochs, point.size, seed, part)
        if key in rows:
            continue
        score = train_and_score(
            around.proxy.within(images=point.images, epochs=point.epochs),
            around.sizes[point.size],
            seed=seed,
            measurement=Measurement(held_out=part == "test", answers=True),
        )
        row = Row(
            case=number,
            images=point.images,
            epochs=point.epochs,
            size=point.size,
            seed=seed,
            judged_on=part,
            asked=told(asked),
            accuracy=round(score.accuracy, 6),
            right=(score.right or "") if part == "validation" else "",
        )
        rows[key] = row
        append(asked.csv, row)


def whole_seeds(
    asked: argparse.Namespace, number: int, around: Around, rows: dict[Key, Row]
) -> int:
    """The first seeds of a case with which everything is trained."""
    wanted = [(point, "validation") for point in small(asked, around)]
    wanted += [(point, "test") for point in foretold(asked, around).values()]
    whole = (
        all((number, p.images, p.epochs, p.size, seed, part) in rows for p, part in wanted)
        for seed in range(asked.seeds)
    )
    return sum(1 for _ in takewhile(bool, whole))


def law_of(
    asked: argparse.Namespace, number: int, around: Around, rows: dict[Key, Row], seeds: int
) -> LawPosterior:
    """The law of a case that is trained with these seeds."""
    count = len(around.proxy.images.validation)
    weights = np.full(count, 1 / count)
    measured = []
    for point in small(asked, around):
        for row in trained(number, point, "validation", seeds, rows):
            wrong = ~unpacked(row.right, count)
            amounts = around.amounts(point.images, point.epochs, point.size)
            measured.append(Measured(amounts=amounts, error=float(wrong.mean()), wrong=wrong))
    base = around.amounts(asked.counts[-1], around.proxy.recipe.epochs)
    return fit_law(measured, base, weights=weights, ceiling=around.ceiling)


def trained(
    number: int, point: Point, part: str, seeds: int, rows: dict[Key, Row]
) -> Iterator[Row]:
    for seed in range(seeds):
        row = rows.get((number, point.images, point.epochs, point.size, seed, part))
        if row is not None:
            yield row


def told_of(
    asked: argparse.Namespace, number: int, around: Around, rows: dict[Key, Row]
) -> list[Foretold]:
    """What was foretold of a case; nothing as long as it is not trained."""
    seeds = whole_seeds(asked, number, around, rows)
    if not seeds:
        return []
    law = law_of(asked, number, around, rows, seeds)
    wanted = foretold(asked, around)
    found = {
        name: np.mean([row.accuracy for row in trained(number, point, "test", seeds, rows)])
        for name, point in wanted.items()
    }
    base = found.pop("base")
    # What came out has a noise of its own, of two means over seeds.
    noise = law.law.noise(law.parameters) * sqrt(2 / seeds)
    noise = noise * np.random.default_rng(0).standard_normal(len(noise))
    gains = {
        name: law.gains(around.amounts(wanted[name].images, wanted[name].epochs, wanted[name].size))
        for name in found
    }
    best = np.argmax([gains[name] for name in EFFORTS], axis=0)
    named = EFFORTS[int(np.bincount(best, minlength=len(EFFORTS)).argmax())]
    told = []
    for name, gain in gains.items():
        bounds = interval(gain + noise, LEVEL)
        told.append(
            Foretold(
                case=number,
                epochs=around.proxy.recipe.epochs,
                seeds=seeds,
                what=name,
                named=name == named,
                gain=round(float(gain.mean()), 5),
                low=round(bounds.low, 5),
                high=round(bounds.high, 5),
                came=round(float(found[name] - base), 5),
            )
        )
    return told


def tell(asked: argparse.Namespace, cases: Sequence[Around], rows: dict[Key, Row]) -> None:
    """What the rows say; cases that are not trained to their end are left out."""
    told = [told_of(asked, number, around, rows) for number, around in enumerate(cases)]
    told = [case for case in told if case]
    counts = Counter(case[0].seeds for case in told)
    seeds = ", ".join(f"{n} with {several(s, 'seed')}" for s, n in sorted(counts.items()))
    print(f"{len(told)} cases ({seeds}), x{FACTOR:g} for each effort")
    every = [one for case in told for one in case]
    for what in dict.fromkeys(one.what for one in every):
        own = [one for one in every if one.what == what]
        apart = [one.gain - one.came for one in own]
        print(
            f"{f'{int(what):,} images' if what.isdigit() else f'effort {what}'}: "
            f"{sum(one.held for one in own)} of {len(own)} intervals hold what came out, mean "
            f"distance {100 * np.mean(np.abs(apart)):.2f} points, {100 * np.mean(apart):+.2f} with "
            "its sign"
        )
    if told:
        lost = [
            max(one.came for one in case if one.what in EFFORTS)
            - next(one.came for one in case if one.named)
            for case in told
        ]
        print(
            f"the best of {', '.join(EFFORTS)} named rightly: {sum(each <= 0 for each in lost)} of "
            f"{len(told)}; the one that was named is within a point of it in "
            f"{sum(each <= 0.01 for each in lost)}, and {100 * np.mean(lost):.2f} points behind it "
            "on average"
        )
    if asked.told is not None and every:
        write(asked.told, every)


if __name__ == "__main__":
    main()
