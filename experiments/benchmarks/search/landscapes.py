"""What the benchmark searches: one measured table and made-up landscapes.

All give an accuracy in points for an architecture and a seed. The landscapes are formulas, so that
spaces of 1e13 and 1e18 points have a known mean for every network. No formula is the model that
`guided` fits: they saturate, mix stages through products and minima, and one is not even smooth in
its costs.
"""

import json
import math
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from score_table import Table

from autoscale.design.architecture import Architecture
from autoscale.design.cost import cost, part_costs
from autoscale.design.space import SearchSpace
from autoscale.search.identity import network_of
from autoscale.search.model.design_facts import FactReader

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
TABLE = ROOT.parent / "shared" / "benchmarks" / "nas-bench-macro_cifar10.json"
SEEDS = 3
NOISE = 0.2  # points; NAS-Bench-Macro's seeds scatter by 0.21


@dataclass(frozen=True)
class Landscape:
    """A space and what its networks score.

    Attributes:
        mean: accuracy in points of a network, which nobody who searches may see.
        show: accuracy of one of three seeds, at random.
        noise: standard deviation of seeds in points where they are drawn; None of a table.
    """

    name: str
    space: SearchSpace
    mean: Callable[[Architecture], float]
    show: Callable[[Architecture, np.random.Generator], float]
    noise: float | None = None

    def with_fresh_noise(self) -> "Landscape":
        """The same where every training has a seed of its own, so that repeats bring out a mean; a
        table keeps its three seeds."""
        if self.noise is None:
            return self
        mean, noise = self.mean, self.noise
        return replace(self, show=lambda a, rng: mean(a) + float(rng.normal(0, noise)))

    @cached_property
    def median_macs(self) -> float:
        """Of every network of the table, or of 2,000 random ones."""
        if self.space.size <= 10_000:
            return float(np.median([cost(a).macs for a in self.space.enumerate()]))
        rng = random.Random(0)
        return float(np.median([cost(self.space.sample(rng)).macs for _ in range(2000)]))


def macro() -> Landscape:
    """NAS-Bench-Macro: 6,561 points trained on CIFAR-10, three seeds each (Su et al. 2021)."""
    space = SearchSpace.from_yaml((ROOT / "search_spaces/nas-bench-macro.yaml").read_text())
    table = Table.of_nas_bench_macro(space, json.loads(TABLE.read_text()))
    return Landscape("macro", space, table.mean, table.score)


def chain() -> Landscape:
    """28 choices; the weakest stage decides, and neighbouring stages should fit each other."""
    space = SearchSpace.from_yaml((HERE / "chain-28.yaml").read_text())
    rng = np.random.default_rng(28)
    likes = rng.normal(0, 0.12, (7, 3, 3))  # of a kernel and an expansion together, by stage
    hunger = rng.normal(0, 0.25, 7)

    def mean(architecture: Architecture) -> float:
        stages = architecture.stages
        strength = np.array([math.log(c.macs) for _, c in part_costs(architecture)[1:-1]])
        strength = (strength - 13.5) / 2 + hunger
        for number, stage in enumerate(stages):
            kernel, expand = (stage.kernel - 3) // 2, int(stage.expand_ratio) // 2 - 1
            strength[number] += likes[number, kernel, expand]
            strength[number] -= 0.08 * (stage.depth - 2) * (kernel - 1)
        weakest = -math.log(np.mean(np.exp(-3 * strength))) / 3
        steps = np.diff([math.log2(stage.width) for stage in stages])
        misfit = float(np.sum((steps - 0.55) ** 2))
        error = 5.0 + 9.0 * math.exp(-0.9 * weakest) + 0.6 * misfit
        return 100 - error

    return _drawn("chain", space, mean, NOISE)


def mnasnet() -> Landscape:
    """42 choices of MnasNet's own space; each choice helps or hurts, and pairs across stages do."""
    space = SearchSpace.from_yaml((ROOT / "search_spaces/mnasnet.yaml").read_text())
    rng = np.random.default_rng(42)
    offsets = np.cumsum([0] + [len(p.options) for p in space.parameters])
    alone = rng.normal(0, 0.07, offsets[-1])
    count = len(space.parameters)
    pairs = [tuple(sorted(rng.choice(count, 2, replace=False))) for _ in range(60)]
    tables = [
        rng.normal(0, 0.07, (len(space.parameters[a].options), len(space.parameters[b].options)))
        for a, b in pairs
    ]

    reader = FactReader(space)

    def mean(architecture: Architecture) -> float:
        found = space.point_of(architecture)
        assert found is not None
        point = reader.read(found).normal  # one and the same for all points of one network
        total = sum(float(alone[o + i]) for o, i in zip(offsets, point, strict=False))
        total += sum(float(t[point[a], point[b]]) for t, (a, b) in zip(tables, pairs, strict=True))
        total += 0.35 * math.log(cost(architecture).macs / 3e8)
        return 96 - 22 / (1 + math.exp(1.3 * total))

    return _drawn("mnasnet", space, mean, NOISE)


def saturating() -> Landscape:
    """28 choices: capacity helps less and less, each choice has its own worth and many pairs of
    choices too; seeds scatter by 0.43."""
    space = _chain_space()
    worth = Worth(space, seed=7, alone=0.06, pairs=40, together=0.04)

    def mean(architecture: Architecture) -> float:
        counts = cost(architecture)
        size = 0.35 * math.log(counts.macs / 8e6) + 0.15 * math.log(counts.params / 3e5)
        return 79 - 6.5 * math.exp(-0.8 * (size + worth.of(architecture)))

    return _drawn("saturating", space, mean, 0.43)


def costless() -> Landscape:
    """28 choices whose worth has nothing to do with what they cost."""
    space = _chain_space()
    worth = Worth(space, seed=11, alone=0.2, pairs=60, together=0.12)

    def mean(architecture: Architecture) -> float:
        return 90 - 12 / (1 + math.exp(0.6 * worth.of(architecture)))

    return _drawn("costless", space, mean, NOISE)


def rugged() -> Landscape:
    """28 choices; what each is worth depends on three others (Kauffman's NK model), and a little on
    the cost."""
    space = _chain_space()
    rng = np.random.default_rng(13)
    sizes = [len(p.options) for p in space.parameters]
    count = len(sizes)
    groups = [
        (k, *rng.choice([o for o in range(count) if o != k], 3, replace=False))
        for k in range(count)
    ]
    tables = [rng.normal(0, 1, [sizes[k] for k in group]) for group in groups]
    reader = FactReader(space)

    def mean(architecture: Architecture) -> float:
        point = _normal(space, reader, architecture)
        total = sum(
            float(t[tuple(point[k] for k in g)]) for t, g in zip(tables, groups, strict=True)
        )
        total = total / math.sqrt(count) + 0.15 * math.log(cost(architecture).macs / 2e7)
        return 85 + 2.0 * total

    return _drawn("rugged", space, mean, 0.3)


def noisy() -> Landscape:
    """28 choices in noise five times as large as what one changed choice of the best network costs
    in the median."""
    space = _chain_space()
    worth = Worth(space, seed=17, alone=0.07, pairs=30, together=0.03)

    def mean(architecture: Architecture) -> float:
        total = worth.of(architecture) + 0.3 * math.log(cost(architecture).macs / 2e7)
        return 80 - 8 * math.exp(-0.7 * total)

    return _drawn("noisy", space, mean, 1.0)


def alike() -> Landscape:
    """28 choices; a kind of choice helps in every stage, in some more than in others, and each
    choice and pairs of choices have a worth of their own; capacity counts most.

    Its constants are such that Optuna's TPE is about as far off as on accuracies of ImageNet.
    """
    space = SearchSpace.from_yaml((HERE / "alike-28.yaml").read_text())
    worth = Worth(space, seed=23, alone=0.05, pairs=60, together=0.06)
    rng = np.random.default_rng(23)
    expansion, kernel, depth, squeeze = (abs(rng.normal(0, 0.12)) for _ in range(4))
    weights = rng.uniform(0.3, 1.7, (7, 4))  # of the four kinds, by stage

    def mean(architecture: Architecture) -> float:
        total = worth.of(architecture)
        for weight, stage in zip(weights, architecture.stages, strict=True):
            kinds = (
                expansion * math.log(stage.expand_ratio + 1),
                kernel * (stage.kernel - 3) / 2,
                depth * math.log(stage.depth),
                squeeze * bool(stage.se_ratio),
            )
            total += float(weight @ kinds)
        total += 1.2 * math.log(cost(architecture).macs / 3e8)
        return 78 - 12 * math.exp(-0.4 * total)

    return _drawn("alike", space, mean, 0.43)


def _chain_space() -> SearchSpace:
    return SearchSpace.from_yaml((HERE / "chain-28.yaml").read_text())


def _normal(space: SearchSpace, reader: FactReader, architecture: Architecture) -> tuple[int, ...]:
    """One and the same point for all points of one network."""
    found = space.point_of(architecture)
    assert found is not None
    return reader.read(found).normal


class Worth:
    """A worth of each choice and of some pairs of choices, drawn once."""

    def __init__(
        self, space: SearchSpace, *, seed: int, alone: float, pairs: int, together: float
    ) -> None:
        rng = np.random.default_rng(seed)
        sizes = [len(p.options) for p in space.parameters]
        self._space, self._reader = space, FactReader(space)
        self._alone = [rng.normal(0, alone, size) for size in sizes]
        self._pairs = [tuple(rng.choice(len(sizes), 2, replace=False)) for _ in range(pairs)]
        self._together = [rng.normal(0, together, (sizes[a], sizes[b])) for a, b in self._pairs]

    def of(self, architecture: Architecture) -> float:
        point = _normal(self._space, self._reader, architecture)
        total = sum(float(one[k]) for one, k in zip(self._alone, point, strict=True))
        return total + sum(
            float(t[point[a], point[b]])
            for t, (a, b) in zip(self._together, self._pairs, strict=True)
        )


def _drawn(
    name: str, space: SearchSpace, mean: Callable[[Architecture], float], noise: float
) -> Landscape:
    """A landscape where each network has three scores, the same whenever it is trained."""

    def show(architecture: Architecture, rng: np.random.Generator) -> float:
        mark = zlib.crc32(repr(network_of(architecture)).encode())
        luck = np.random.default_rng(mark).normal(0, noise, SEEDS)
        return mean(architecture) + float(luck[int(rng.integers(SEEDS))])

    return Landscape(name, space, mean, show, noise)


LANDSCAPES: dict[str, Callable[[], Landscape]] = {
    "macro": macro,
    "chain": chain,
    "mnasnet": mnasnet,
    "saturating": saturating,
    "costless": costless,
    "rugged": rugged,
    "noisy": noisy,
    "alike": alike,
}
