"""What our samplers have in common.

They think in `Designs`, read everything they know from the study's trials and draw every random
number from their seed and the trial's number. So a study that is rebuilt from its finished trials
goes on exactly as the unbroken one would have.
"""

import zlib
from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study
from optuna.trial import FrozenTrial

from autoscale.design.space import SearchSpace
from autoscale.errors import BudgetUnreachable, InvalidSetting, SpaceExhausted
from autoscale.search.designs import Design, Designs, Point
from autoscale.search.history import History
from autoscale.search.knowledge import NOTHING, Known

ENUMERABLE = 4096  # points up to which a space may be walked through in full
_TRIES = 1000


class DesignSampler(BaseSampler):
    """A sampler of whole designs.

    Args:
        seed: of all random numbers.
        space: the search space whose parameters the trials suggest; without it the parameters are
            those common to the finished trials of the study, and are taken at their word.
        known: what needs no training; see `Known`.
        identify: what two equal designs share, from an architecture, or from parameters without
            `space`; by default the built network.
    """

    #: Whether a network that is proposed again is meant to be trained again.
    asks_for_repeats = False

    def __init__(
        self,
        *,
        seed: int,
        space: SearchSpace | None = None,
        known: Known = NOTHING,
        identify: Callable[[Design], Hashable] | None = None,
    ) -> None:
        self._seed = seed
        self._known = known
        self._identify = identify
        self._designs = Designs.of_space(space, identify) if space is not None else None

    @abstractmethod
    def choose(self, history: History, rng: np.random.Generator, number: int) -> Point:
        """The design of trial `number`."""

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        if self._designs is not None and self._designs.space is not None:
            return self._designs.distributions
        return intersection_search_space(study.get_trials(deepcopy=False))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        designs = self._designs_of(search_space)
        trials = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        history = History.of(trials, study.directions, designs)
        rng = np.random.default_rng([self._seed, trial.number])
        return designs.params_of(self.choose(history, rng, trial.number))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        name = zlib.crc32(param_name.encode())
        rng = np.random.default_rng([self._seed, trial.number, name])
        axis = Designs.of_distributions({param_name: param_distribution}).axes[0]
        return axis.levels[int(rng.integers(len(axis.levels)))]

    def _designs_of(self, search_space: Mapping[str, BaseDistribution]) -> Designs:
        if self._designs is None or (
            self._designs.space is None and self._designs.distributions != search_space
        ):
            self._designs = Designs.of_distributions(search_space, self._identify)
        return self._designs

    def keeps_limits(self, designs: Designs, point: Point) -> bool:
        """Whether `point` is within every known limit."""
        return designs.violation(point, self._known.limits) == 0

    def unseen(
        self,
        history: History,
        draw: Callable[[int], Point],
        rng: np.random.Generator,
    ) -> Point:
        """The first of `draw(0)`, `draw(1)`, ... that is new and within the limits.

        Raises:
            SpaceExhausted: if every network that keeps the limits has been tried.
            BudgetUnreachable: if no design was found that keeps the limits.
        """
        designs = history.designs
        for attempt in range(_TRIES):
            point = draw(attempt)
            if designs.identity(point) not in history.tried and self.keeps_limits(designs, point):
                return point
        if designs.size <= ENUMERABLE:
            left = [p for p in every_network(designs) if self.keeps_limits(designs, p)]
            if not left:
                raise BudgetUnreachable("no design of the space keeps the limits; widen them")
            new = [p for p in left if designs.identity(p) not in history.tried]
            if new:
                return new[int(rng.integers(len(new)))]
            raise SpaceExhausted(
                f"all {len(left)} networks of the space within the limits have been tried; "
                "widen the space or the limits, or stop here"
            )
        point = self.within_limits(designs, rng)
        if designs.identity(point) not in history.tried:
            return point
        raise SpaceExhausted(
            f"no new network in {_TRIES} tries after {len(history.tried)}; "
            "widen the space or the limits, or stop here"
        )

    def within_limits(self, designs: Designs, rng: np.random.Generator) -> Point:
        """A random design within the limits, walked to from outside them where necessary.

        Raises:
            BudgetUnreachable: if the walk did not arrive.
        """
        point = designs.random(rng)
        if not self._known.limits:
            return point
        worst = designs.violation(point, self._known.limits)
        least = worst
        for _ in range(_TRIES):
            if worst == 0:
                return point
            step = designs.mutated(point, rng)
            violation = designs.violation(step, self._known.limits)
            if violation <= worst:
                point, worst = step, violation
            least = min(least, worst)
        raise BudgetUnreachable(
            f"no design within the limits in {_TRIES} steps; the nearest exceeds them by "
            f"{least:.4g}; widen them"
        )


def every_network(designs: Designs) -> Iterator[Point]:
    """The first point of each different network; for small spaces."""
    seen = set()
    for point in product(*(range(size) for size in designs.sizes)):
        identity = designs.identity(point)
        if identity not in seen:
            seen.add(identity)
            yield point


def require_one_objective(history: History, sampler: str) -> None:
    if len(history.signs) != 1:
        raise InvalidSetting(
            f"the {sampler} sampler needs one objective, the study has {len(history.signs)}; "
            "combine them into a reward, or use guided, evolution or nsga2"
        )
