"""What the benchmark searches: one measured table and two made-up landscapes.

All three give an accuracy in points for an architecture and a seed. The landscapes are formulas, so
that spaces of 1e13 and 1e18 points have a known mean for every network. Neither formula is the
model that `guided` fits: both saturate, mix stages through products and minima, and one is not even
smooth in its costs.
"""

import json
import math
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
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
    """

    name: str
    space: SearchSpace
    mean: Callable[[Architecture], float]
    show: Callable[[Architecture, np.random.Generator], float]

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

    return Landscape("chain", space, mean, _shown(mean))


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

    return Landscape("mnasnet", space, mean, _shown(mean))


def _shown(
    mean: Callable[[Architecture], float],
) -> Callable[[Architecture, np.random.Generator], float]:
    def show(architecture: Architecture, rng: np.random.Generator) -> float:
        """One network has the same three scores whenever it is trained."""
        name = zlib.crc32(repr(network_of(architecture)).encode())
        luck = np.random.default_rng(name).normal(0, NOISE, SEEDS)
        return mean(architecture) + float(luck[int(rng.integers(SEEDS))])

    return show


LANDSCAPES: dict[str, Callable[[], Landscape]] = {
    "macro": macro,
    "chain": chain,
    "mnasnet": mnasnet,
}
