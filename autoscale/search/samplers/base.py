"""What our samplers have in common.

They think in `Designs`, read everything they know from the study's trials and draw every random
number from their seed and the trial's number. So a study that is rebuilt from its finished trials
goes on exactly as the unbroken one would have.
"""

import copy
import threading
import warnings
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import product
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from autoscale.design.space import SearchSpace
from autoscale.errors import BudgetUnreachable, InvalidSetting, SpaceExhausted
from autoscale.search.designs import Designs, Point
from autoscale.search.history import History
from autoscale.search.knowledge import NOTHING, KnownCosts

ENUMERABLE = 4096  # points up to which a space may be walked through in full
_TRIES = 1000
#: What samplers remember is changed by one thread at a time: `study.optimize` may have several. It
#: belongs to no sampler, so that these can be copied and pickled.
_ALONE = threading.RLock()


class DesignSampler(BaseSampler):
    """A sampler of whole designs.

    Constraints that trials tell (`trial.set_constraint`) are kept as far as they can be foreseen. A
    loop of `study.optimize` ends when every design has been tried.

    Args:
        seed: of all random numbers; None for another one each time.
        space: the search space whose parameters the trials suggest; without it the parameters are
            those of the complete trials of the study, and are taken at their word. Not every trial
            needs to have all of them; see `conditions`.
        known: what needs no training; see `KnownCosts`.
    """

    #: Whether a network that is proposed again is meant to be trained again.
    asks_for_repeats = False

    def __init__(
        self,
        *,
        seed: int | None = None,
        space: SearchSpace | None = None,
        known: KnownCosts = NOTHING,
    ) -> None:
        self._seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        self._warned: set[str] = set()
        self._known = known
        self._space = space
        self._designs = Designs.of_space(space) if space is not None else None
        self._networks: tuple[Designs, frozenset[int]] | None = None  # within the limits

    @abstractmethod
    def choose(self, history: History, rng: np.random.Generator, number: int) -> Point:
        """The design of trial `number`."""

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._designs_of(study.get_trials(deepcopy=False), study).distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        trials = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        designs = self._designs_of(trials, study)
        if designs.loose:
            self.warn_once(
                f"the range of {', '.join(designs.loose)} differs from trial to trial: drawn at "
                "random, and not modelled; suggest a share of the range instead"
            )
        history = History.of(trials, study.directions, designs)
        rng = np.random.default_rng([self._seed, trial.number])
        try:
            with _ALONE:
                chosen = designs.params_of(self.choose(history, rng, trial.number))
        except SpaceExhausted:
            if self._space is not None:
                raise
            if not designs.thinned:
                _stop(study)
            return {}  # all at random, also between the levels
        return {name: value for name, value in chosen.items() if name in search_space}

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
        if axis.thinned:
            drawn = RandomSampler(seed=int(rng.integers(2**32)))
            return drawn.sample_independent(study, trial, param_name, param_distribution)
        return axis.levels[int(rng.integers(len(axis.levels)))]

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        done = copy.copy(trial)  # the storage does not know yet that it is
        done.state, done.values = state, values
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        if not self.asks_for_repeats and self._exhausted([*others, done], study):
            _stop(study)

    def _exhausted(self, trials: Sequence[FrozenTrial], study: Study) -> bool:
        """Whether there are designs and every one of them has been tried."""
        designs = self._designs_of(trials, study)
        few = designs.axes and designs.size <= ENUMERABLE and len(trials) >= max(designs.sizes)
        if not few or designs.thinned or not designs.whole:
            return False
        if self._networks is None or self._networks[0] is not designs:
            left = self.keeping_limits(designs, list(every_network(designs)))
            self._networks = (designs, frozenset(map(designs.identity, left)))
        return self._networks[1] <= History.of(trials, study.directions, designs).tried.keys()

    def _designs_of(self, trials: Sequence[FrozenTrial], study: Study) -> Designs:
        known = self._designs
        if self._space is not None and known is not None:
            return known
        found = Designs.of_trials(trials, study.directions)
        if known is None or not known.like(found):
            self._designs = known = found
        return known

    def warn_once(self, message: str) -> None:
        """Warn of what is not modelled, each time of something else."""
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, UserWarning, stacklevel=2)

    def keeps_limits(self, designs: Designs, point: Point) -> bool:
        """Whether `point` is within every known limit."""
        return designs.violation(point, self._known.limits) == 0

    def keeping_limits(self, designs: Designs, points: Sequence[Point]) -> list[Point]:
        """Those of `points` that are within every known limit."""
        if not self._known.limits:
            return list(points)
        kept = designs.violations(points, self._known.limits) == 0
        return [point for point, keeps in zip(points, kept, strict=True) if keeps]

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
        designs, spent = history.designs, history.spent
        for attempt in range(_TRIES):
            point = draw(attempt)
            if designs.identity(point) not in spent and self.keeps_limits(designs, point):
                return point
        if designs.size <= ENUMERABLE:
            left = self.keeping_limits(designs, list(every_network(designs)))
            if not left:
                raise BudgetUnreachable("no design of the space keeps the limits; widen them")
            new = [p for p in left if designs.identity(p) not in spent]
            if new:
                return new[int(rng.integers(len(new)))]
            raise SpaceExhausted(
                f"all {len(left)} networks of the space within the limits have been tried; "
                "widen the space or the limits, or stop here"
            )
        point = self.within_limits(designs, rng)
        if designs.identity(point) not in spent:
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


def _stop(study: Study) -> None:
    with suppress(RuntimeError):  # nothing is to be stopped where the caller asks and tells
        study.stop()


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
