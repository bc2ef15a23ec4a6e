"""The three questions of the benchmark and how an answer is judged.

    single  the network of highest accuracy; regret in points of accuracy
    reward  the network of highest accuracy * (macs / T) ** -0.07, T the median multiply-adds;
            regret in points of that reward
    front   accuracy against multiply-adds; share of the true front's area above the lowest
            accuracy and left of the highest cost of the whole table; for the made-up landscapes, of
            the best front known, above the accuracy that 5 in 100 random networks miss and left of
            the highest cost of 2,000. "strict" measures from higher up: above the accuracy that a
            quarter of the true front's networks miss.
    timed   the same against milliseconds of a made-up device, which nobody knows before a network
            is trained and timed, each time to within 3 %

Judged is what is recommended: the mean accuracy over all seeds of the recommended network, or the
area under the mean accuracies of the recommended networks. Only networks that were trained are
recommended.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from landscapes import Landscape

from autoscale.design.architecture import Architecture
from autoscale.design.cost import part_costs
from autoscale.design.measures.macs import MACS
from autoscale.search.designs import Designs, neighbours
from autoscale.search.knowledge import KnownCosts
from autoscale.search.model.design_facts import ExactCost
from autoscale.search.model.recommend import recommend
from autoscale.search.pareto import Direction, front, hypervolume

W = -0.07
FRONT: tuple[Direction, Direction] = ("maximize", "minimize")
REFERENCES = Path(__file__).parent / "references.json"


macs = ExactCost(MACS)
#: How much two timings of one network differ, as a share.
TIMING = 0.03


def milliseconds(architecture: Architecture) -> float:
    """Of a made-up device on which every block takes its time, wide ones are well used, and large
    kernels are dear: multiply-adds and this rank networks only roughly alike."""
    total = 0.3
    for (_, counts), stage in zip(part_costs(architecture)[1:-1], architecture.stages, strict=True):
        used = min(1.0, stage.width / 64) ** 0.7 * (1 if stage.kernel == 3 else 0.6)
        total += 0.08 * stage.depth + counts.macs / (4e6 * used) + counts.activations / 6e5
    return total


@dataclass(frozen=True)
class Task:
    """One question about one landscape."""

    kind: str
    landscape: Landscape

    @property
    def directions(self) -> list[Direction]:
        return list(FRONT) if self.is_front else ["maximize"]

    @property
    def is_front(self) -> bool:
        return self.kind in ("front", "timed")

    def cost(self, architecture: Architecture) -> float:
        """What a front is against."""
        return milliseconds(architecture) if self.kind == "timed" else macs(architecture)

    @cached_property
    def known(self) -> KnownCosts:
        if self.kind == "reward":
            return KnownCosts(reward=self.reward, cost=macs)
        return KnownCosts(values={1: macs}) if self.kind == "front" else KnownCosts()

    def reward(self, accuracy: Any, cost: Any) -> Any:
        return accuracy * (cost / self.landscape.median_macs) ** W

    def values(self, architecture: Architecture, luck: np.random.Generator) -> list[float]:
        """What the study is told of one training."""
        accuracy = self.landscape.show(architecture, luck)
        if self.kind == "timed":
            return [accuracy, self.cost(architecture) * float(np.exp(luck.normal(0, TIMING)))]
        if self.kind == "front":
            return [accuracy, macs(architecture)]
        return [self.worth(architecture, accuracy)]

    def worth(self, architecture: Architecture, accuracy: float) -> float:
        return self.reward(accuracy, macs(architecture)) if self.kind == "reward" else accuracy

    # Judging

    @cached_property
    def reference(self) -> dict[str, Any]:
        """The best there is (of the table), or the best known (of a landscape)."""
        name = f"{self.landscape.name} {self.kind}"
        known = json.loads(REFERENCES.read_text()) if REFERENCES.exists() else {}
        if name not in known:
            known[name] = self._find_reference()
            REFERENCES.write_text(json.dumps(known, indent=1) + "\n")
        return dict(known[name])

    def _find_reference(self) -> dict[str, Any]:
        space, mean = self.landscape.space, self.landscape.mean
        if space.size <= 10_000:
            points = [(mean(a), self.cost(a), self.worth(a, mean(a))) for a in space.enumerate()]
        else:
            points = self._climb()
        if not self.is_front:
            return {"best": max(worth for _, _, worth in points)}
        pairs = [(accuracy, cost) for accuracy, cost, _ in points]
        best = [pairs[i] for i in front(pairs, FRONT)]
        if space.size <= 10_000:
            corner = (min(a for a, _ in pairs), max(m for _, m in pairs))
        else:
            rng = random.Random(2)
            drawn = [space.sample(rng) for _ in range(2000)]
            low = float(np.quantile([mean(a) for a in drawn], 0.05))
            corner = (low, max(self.cost(a) for a in drawn))
        area = hypervolume(best, corner, FRONT)
        strict = (float(np.quantile([a for a, _ in best], 0.25)), corner[1])
        return {
            "corner": corner,
            "area": area,
            "strict corner": strict,
            "strict area": hypervolume(best, strict, FRONT),
        }

    def _climb(self) -> list[tuple[float, float, float]]:
        """Ascents over single changes from random starts, in the mean; for a front, of accuracy
        minus many different prices of cost."""
        designs = Designs.of_space(self.landscape.space)
        rng = np.random.default_rng(1)
        seen: dict[Any, tuple[float, float, float]] = {}

        def look(point: Any) -> tuple[float, float, float]:
            if point not in seen:
                architecture = designs.describe(point).design
                accuracy = self.landscape.mean(architecture)
                worth = self.worth(architecture, accuracy)
                seen[point] = (accuracy, self.cost(architecture), worth)
            return seen[point]

        starts = 24
        for start in range(starts):
            price = 10 ** (5 * start / starts - 2.5) if self.is_front else 0.0

            def merit(point: Any, price: float = price) -> float:
                _, cost, worth = look(point)
                return worth - price * float(np.log(cost))

            point = designs.random(rng)
            while True:
                near = max(neighbours(designs, point), key=merit)
                if merit(near) <= merit(point):
                    jumps = [designs.mutated(point, rng, 2) for _ in range(300)]
                    near = max(jumps, key=merit)
                    if merit(near) <= merit(point):
                        break
                point = near
        return list(seen.values())

    def judge(self, chosen: Sequence[Architecture]) -> dict[str, float]:
        """How far the recommended networks are from the best."""
        means = [self.landscape.mean(a) for a in chosen]
        if not self.is_front:
            return {"regret": self.reference["best"] - self.worth(chosen[0], means[0])}
        points = [(mean, self.cost(a)) for a, mean in zip(chosen, means, strict=True)]
        shares = {}
        for name in ("", "strict "):
            corner, area = self.reference[f"{name}corner"], self.reference[f"{name}area"]
            shares[f"{name}share"] = hypervolume(points, corner, FRONT) / area
        return shares

    def recommended(self, study: optuna.Study, how: str) -> list[Architecture]:
        """By the posterior of our model ("model"), or by the observed scores ("observed")."""
        space = self.landscape.space
        if how == "model":
            trials = study.get_trials(deepcopy=False)
            found = recommend(trials, study.directions, space=space, known=self.known)
            return [space.from_params(one.params) for one in found]
        if self.is_front:
            trials = study.get_trials(deepcopy=False)
            best = [trials[i] for i in front([t.values for t in trials], FRONT)]
        else:
            best = [study.best_trial]
        return [space.from_params(trial.params) for trial in best]
