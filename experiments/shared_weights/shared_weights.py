"""Do shared weights rank NAS-Bench-Macro's networks as their own trainings do?

    OMP_NUM_THREADS=1 python experiments/shared_weights/shared_weights.py CIFAR10 rows.csv \\
        --runs runs/shared --ways fair --images 8000 --epochs 20 --designs 300 --alone 4
    python experiments/shared_weights/shared_weights.py CIFAR10 rows.csv --tell

CIFAR10 is a folder with `train.parquet` and `test.parquet`. One set of weights for the 6,561
networks of `search_spaces/nas-bench-macro.yaml` is trained, in one of several ways, and random
networks are scored by it; beside it one network of median cost is trained by itself, for what that
takes. A row a network and a way goes to the table; what is there is not made again, and a training
that was broken off goes on. `--tell` prints Kendall's tau with the benchmark's accuracies (Su et
al. 2021), read from `shared/benchmarks/` beside the repository, with the deviation of 1,000
bootstrap samples of the networks; and that of multiply-adds and parameters alone.

An epoch of `round` shows each image three times, to three networks; the others show it once. All
ways are given the same number of passes.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "benchmarks" / "search"), str(HERE.parents[1])]

from score_table import Table  # noqa: E402

from autoscale.design.cost import cost  # noqa: E402
from autoscale.design.space import SearchSpace  # noqa: E402
from autoscale.jobs.groups.recipe import recipe_named  # noqa: E402
from autoscale.jobs.search.agreement import kendall  # noqa: E402
from autoscale.jobs.shared.paths import FairPaths, drawn_round  # noqa: E402
from autoscale.jobs.shared.scores import SharedScores  # noqa: E402
from autoscale.jobs.shared.training import SharedTraining  # noqa: E402
from autoscale.jobs.workers.kernels import choose_kernels  # noqa: E402
from autoscale.jobs.workers.proxy import Proxy  # noqa: E402
from autoscale.jobs.workers.scoring import train_and_score  # noqa: E402
from autoscale.jobs.workers.source import ImageSource  # noqa: E402
from autoscale.listener import Progress, Silent  # noqa: E402
from autoscale.training.nested.inner import Inner  # noqa: E402
from experiments.rows import append, read  # noqa: E402

SPACE = HERE.parents[1] / "search_spaces" / "nas-bench-macro.yaml"
TABLE = HERE.parents[2] / "shared" / "benchmarks" / "nas-bench-macro_cifar10.json"
VALIDATION, BOOTSTRAP = 500, 1000


class Uniform(FairPaths):
    """One design a step, each choice by itself (Guo et al. 2020)."""

    def __call__(self) -> Sequence[Inner]:
        counts = (len(one.options) for one in self._weights.space.parameters)
        return [self.inner(tuple(int(torch.randint(count, ())) for count in counts))]


class Round(FairPaths):
    """All designs of a round in each step, their gradients together (Chu et al. 2021)."""

    def __call__(self) -> Sequence[Inner]:
        # One at a time: modules of a space's networks are kept, and some are in several.
        return _Lazily(self.inner, drawn_round(self._weights.space))


class _Lazily(Sequence[Inner]):
    def __init__(self, make: Callable[[tuple[int, ...]], Inner], points: list[tuple[int, ...]]):
        self._make, self._points = make, points

    def __getitem__(self, place: Any) -> Any:
        return self._make(self._points[place])

    def __len__(self) -> int:
        return len(self._points)


#: Of each way what draws its designs, and passes of an image in one epoch.
WAYS = {"fair": (FairPaths, 1), "uniform": (Uniform, 1), "round": (Round, 3)}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network, scored by shared weights."""

    way: str
    images: int
    epochs: int  # passes of each image
    seed: int
    network: str  # the benchmark's digits
    score: float  # share of 500 validation images
    macs: int
    params: int


@dataclass(frozen=True, kw_only=True)
class Spent:
    """CPU-seconds of one set of weights, and of one training by itself."""

    way: str
    images: int
    epochs: int
    seed: int
    training: float
    scoring: float
    designs: int
    alone: float
    alone_epochs: int
    alone_macs: int


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/shared"))
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=["fair"])
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=20, help="passes of each image")
    parser.add_argument("--alone", type=int, default=4, help="epochs of a training by itself")
    parser.add_argument("--designs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument(
        "--price", action="store_true", help="only train one by itself, for its cost"
    )
    parser.add_argument("--tell", action="store_true")
    asked = parser.parse_args(words)
    torch.set_num_threads(1)
    if asked.price:
        proxy = loaded(asked)
        seconds, macs = alone(asked, proxy, space_of(asked, proxy))
        print(f"{asked.alone} epochs of {macs:,} multiply-adds: {seconds:.0f} CPU-s")
        return
    if not asked.tell:
        for way in asked.ways:
            make(asked, way)
    tell(asked.table)


def make(asked: argparse.Namespace, way: str) -> None:
    """Train one set of weights and score random networks by it, but for what is there."""
    paths, passes = WAYS[way]
    here = {"way": way, "images": asked.images, "epochs": asked.epochs, "seed": asked.seed}
    done = [
        row for row in read(asked.table, Row) if all(getattr(row, n) == v for n, v in here.items())
    ]
    if len(done) >= asked.designs:
        return
    proxy = loaded(asked)
    space = space_of(asked, proxy)
    folder = asked.runs / "-".join(map(str, here.values()))
    folder.mkdir(parents=True, exist_ok=True)
    training = SharedTraining(
        space=space,
        proxy=proxy,
        epochs=-(-asked.epochs // passes),
        seed=asked.seed,
        file=folder / "last.safetensors",
        listener=Told(),
        paths=paths,
    )
    began = time.process_time()
    weights = training.run()
    trained = time.process_time()
    scores = SharedScores(weights=weights, proxy=proxy, task=training.task)
    for point in drawn(space, asked.designs, seed=1)[len(done) :]:
        counted = cost(space.architecture_at(point))
        digits = "".join(map(str, point))
        append(
            asked.table,
            Row(**here, network=digits, score=scores.of(point), macs=counted.macs,
                params=counted.params),
        )  # fmt: skip
    scored = time.process_time()
    seconds, macs = alone(asked, proxy, space)
    spent = Spent(
        **here,
        training=trained - began,
        scoring=scored - trained,
        designs=asked.designs - len(done),
        alone=seconds,
        alone_epochs=asked.alone,
        alone_macs=macs,
    )
    append(costs_of(asked.table), spent)


def alone(asked: argparse.Namespace, proxy: Proxy, space: SearchSpace) -> tuple[float, int]:
    """CPU-seconds of training the median of 101 random networks alone, and its multiply-adds."""
    designs = [space.architecture_at(point) for point in drawn(space, 101, seed=2)]
    median = sorted(designs, key=lambda design: cost(design).macs)[50]
    began = time.process_time()
    train_and_score(proxy.within(epochs=asked.alone), median, seed=0)
    return time.process_time() - began, cost(median).macs


def space_of(asked: argparse.Namespace, proxy: Proxy) -> SearchSpace:
    space = SearchSpace.from_yaml(SPACE.read_text(), source=SPACE.name)
    return space.for_task(resolution=asked.resolution, num_classes=len(proxy.images.classes))


def loaded(asked: argparse.Namespace) -> Proxy:
    """The images, of which 500 judge: as few as scoring by shared weights uses."""
    kernels = choose_kernels("auto", device="cpu", listener=Silent())
    source = ImageSource(data=str(asked.data), seed=0, limit=asked.images)
    proxy = Proxy(source=source, recipe=recipe_named("proxy"), kernels=kernels)
    proxy = proxy.load(size=asked.resolution)
    found = proxy.images
    few = found.validation.subset(
        np.sort(np.random.default_rng(0).permutation(len(found.validation))[:VALIDATION])
    )
    return proxy.having(replace(found, validation=few), size=asked.resolution)


def drawn(space: SearchSpace, count: int, *, seed: int) -> list[tuple[int, ...]]:
    """Different points, by chance."""
    rng = random.Random(seed)
    points: dict[tuple[int, ...], None] = {}
    while len(points) < count:
        points[space.draw(rng)] = None
    return list(points)


class Told(Silent):
    """Prints each epoch."""

    def progress(self, progress: Progress) -> None:
        print(progress.note, f"{time.process_time():.0f} CPU-s", flush=True)


# Telling


def tell(table: Path) -> None:
    rows = read(table, Row)
    truth = accuracies()
    if truth is not None:
        tell_costs(truth)
    for case in dict.fromkeys((row.way, row.images, row.epochs, row.seed) for row in rows):
        own = [row for row in rows if (row.way, row.images, row.epochs, row.seed) == case]
        print("{}, {} images, {} passes, seed {}: {} networks".format(*case, len(own)))
        if truth is None:
            print(f"  no table of accuracies: {TABLE} is missing")
            continue
        right = np.array([truth(row.network) for row in own])
        for name, values in {
            "shared weights": [row.score for row in own],
            "multiply-adds": [row.macs for row in own],
            "parameters": [row.params for row in own],
        }.items():
            value, error = with_error(np.array(values, dtype=float), right)
            print(f"  {name}: tau {value:.3f} +- {error:.3f}")
    for one in read(costs_of(table), Spent):
        whole = one.training + one.scoring
        print(
            f"{one.way}, {one.images} images, {one.epochs} passes, seed {one.seed}: training "
            f"{one.training:.0f} CPU-s, scoring {one.designs} networks {one.scoring:.0f}; one "
            f"network by itself ({one.alone_epochs} epochs, {one.alone_macs:,} multiply-adds) "
            f"{one.alone:.0f}: {one.training / one.alone:.1f} and {whole / one.alone:.1f} trainings"
        )


def tell_costs(truth: Callable[[str], float]) -> None:
    """What the costs of 300 random networks say, for comparison."""
    space = SearchSpace.from_yaml(SPACE.read_text())
    points = drawn(space, 300, seed=1)
    right = np.array([truth("".join(map(str, point))) for point in points])
    counted = [cost(space.architecture_at(point)) for point in points]
    for name, values in {
        "multiply-adds": [one.macs for one in counted],
        "parameters": [one.params for one in counted],
    }.items():
        value, error = with_error(np.array(values, dtype=float), right)
        print(f"{name} alone, 300 networks: tau {value:.3f} +- {error:.3f}")


def accuracies() -> Callable[[str], float] | None:
    """The benchmark's mean accuracy of a network by its digits; None without the table."""
    if not TABLE.exists():
        return None
    space = SearchSpace.from_yaml(SPACE.read_text())
    table = Table.of_nas_bench_macro(space, json.loads(TABLE.read_text()))
    return lambda digits: table.mean(space.architecture_at([int(digit) for digit in digits]))


def with_error(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Tau, and its standard deviation over bootstrap samples of the networks."""
    rng = np.random.default_rng(0)
    samples = [rng.integers(0, len(one), len(one)) for _ in range(BOOTSTRAP)]
    return kendall(one, other), float(np.std([kendall(one[s], other[s]) for s in samples]))


def costs_of(table: Path) -> Path:
    return table.with_name(f"{table.stem}-costs.csv")


if __name__ == "__main__":
    main()
