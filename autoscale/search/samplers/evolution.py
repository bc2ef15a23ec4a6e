"""Regularised evolution."""

import numpy as np

from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting
from autoscale.search.designs import Point
from autoscale.search.history import History
from autoscale.search.knowledge import NOTHING, KnownCosts
from autoscale.search.pareto import front
from autoscale.search.samplers.base import DesignSampler


class RegularizedEvolutionSampler(DesignSampler):
    """Mutate the fittest of a random sample of the youngest trials.

    Source: Real et al. 2019, Algorithm 1, with `population` and `sample` as there (they use 100 and
    25; here smaller, for searches of a hundred trials). Fittest on a front means one of the sample
    that no other of it dominates, at random; those that break constraints least come first (Deb
    2000). A child is a network not tried before.
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        space: SearchSpace | None = None,
        known: KnownCosts = NOTHING,
        population: int = 25,
        sample: int = 5,
    ) -> None:
        if not 1 <= sample <= population:
            raise InvalidSetting(
                f"sample must lie between 1 and the population, got {sample} of {population}"
            )
        super().__init__(seed=seed, space=space, known=known)
        self._population = population
        self._sample = sample

    def choose(self, history: History, rng: np.random.Generator, number: int) -> Point:
        designs = history.designs
        if len(history) + len(history.running) < self._population or not len(history):
            return self.unseen(history, lambda _: designs.random(rng), rng)
        youngest = np.arange(len(history))[-self._population :]
        rivals = rng.choice(youngest, self._sample)
        directions = ["maximize"] * len(history.signs)
        least = history.violations[rivals].min()  # of constraints; 0 where one rival keeps them
        rivals = rivals[history.violations[rivals] == least]
        fittest = rivals[front(history.gains[rivals], directions)]  # type: ignore[arg-type]
        parent = history.points[int(rng.choice(fittest))]
        # Near a parent whose neighbours are all known, children move further away.
        return self.unseen(
            history, lambda tries: designs.mutated(parent, rng, 1 + tries // 50), rng
        )
