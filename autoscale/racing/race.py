"""Which candidate of a grid to train next, with which seed, and when to stop.

A race between the leader and its strongest challenger: whichever of the two has fewer scores is
trained with its next seed, so that both have the same seeds and are paired. Candidates that the
response surface leaves no chance are not trained at all. The race is over when the leader is, with
the chance asked for, within one training's noise of the best candidate. Sources: Kalyanakrishnan et
al. 2012 (LUCB, leader against challenger); Bechhofer 1954 (differences below a tolerance do not
count); Maron and Moore 1997 (racing).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from autoscale.errors import InvalidSetting
from autoscale.racing.response_surface import COST_EXPONENTS, Observation, infer


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceSettings:
    """How long a race may go on.

    Attributes:
        seeds: at most so many trainings of one candidate; required candidates get them all.
        budget: at most so many trainings of all candidates; None is no limit.
        confidence: the chance that the leader is near the best at which the race is over.
        tolerance: how near, in standard deviations of one training.
        first: candidates that are trained before the surface is asked; None is a quarter of all,
            but at least five.

    Raises:
        InvalidSetting: for a value that makes no race.
    """

    seeds: int = 3
    budget: int | None = None
    confidence: float = 0.95
    tolerance: float = 1.0
    first: int | None = None

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise InvalidSetting(f"seeds must be at least 1, got {self.seeds}")
        if self.budget is not None and not self.budget > 0:
            raise InvalidSetting(f"the budget of a race must be above 0, got {self.budget}")
        if not 0 < self.confidence < 1:
            raise InvalidSetting(f"confidence must lie between 0 and 1, got {self.confidence}")
        if not self.tolerance >= 0:
            raise InvalidSetting(f"the tolerance must be at least 0, got {self.tolerance}")
        if self.first is not None and self.first < 1:
            raise InvalidSetting(f"the first candidates must be at least 1, got {self.first}")


def next_training(
    positions: np.ndarray,
    observations: Sequence[Observation],
    settings: RaceSettings,
    *,
    required: Collection[int] = (),
    running: Collection[tuple[int, int]] = (),
) -> tuple[int, int] | None:
    """The candidate and the seed to train next, or None if the race is over.

    First the required candidates with all seeds, then a few that are far from these and from each
    other, then whichever of leader and strongest challenger has fewer scores.

    Nothing else is remembered than `observations`, so a race that was broken goes on as if it had
    not been. A candidate whose training failed is not trained again. Seeds count from 0.

    Args:
        positions: as in `infer`.
        required: candidates that get all seeds whatever they score.
        running: candidates and seeds at work. They count as done and paid for; what they will
            score is not guessed, so None then only means that nothing is to be begun now.

    Raises:
        InvalidSetting: for required candidates that are not there, or as `infer`.
    """
    race = _Race.of(positions, observations, settings, required, running)
    candidate = race.next_candidate()
    return None if candidate is None else (candidate, race.next_seed(candidate))


@dataclass(frozen=True)
class _Race:
    positions: np.ndarray
    observations: Sequence[Observation]
    settings: RaceSettings
    required: tuple[int, ...]
    done: tuple[frozenset[int], ...]  # the seeds of each candidate, those at work included
    failed: np.ndarray
    spent: int  # trainings that are done or at work

    @classmethod
    def of(
        cls,
        positions: np.ndarray,
        observations: Sequence[Observation],
        settings: RaceSettings,
        required: Collection[int],
        running: Collection[tuple[int, int]],
    ) -> "_Race":
        count = len(positions)
        if wrong := [c for c in required if not 0 <= c < count]:
            raise InvalidSetting(f"there are {count} candidates from 0 on; required: {wrong[0]}")
        seeds: list[set[int]] = [set() for _ in range(count)]
        failed = np.zeros(count, dtype=bool)
        for observation in observations:
            if not 0 <= observation.candidate < count:
                raise InvalidSetting(
                    f"there are {count} candidates from 0 on; got one of {observation.candidate}"
                )
            seeds[observation.candidate].add(observation.seed)
            failed[observation.candidate] |= observation.score is None
        for candidate, seed in running:
            seeds[candidate].add(seed)
        return cls(
            np.asarray(positions, dtype=float),
            observations,
            settings,
            tuple(sorted(set(required))),
            tuple(map(frozenset, seeds)),
            failed,
            len(observations) + len(running),
        )

    def next_seed(self, candidate: int) -> int:
        return next(s for s in range(self.settings.seeds) if s not in self.done[candidate])

    def open(self, candidate: int) -> bool:
        """Whether it may be trained once more."""
        if self.failed[candidate]:
            return False
        if not any(s not in self.done[candidate] for s in range(self.settings.seeds)):
            return False
        budget = self.settings.budget
        return budget is None or self.spent < budget

    def next_candidate(self) -> int | None:
        for candidate in sorted(self.required, key=lambda c: (len(self.done[c]), c)):
            if self.open(candidate):
                return candidate
        for candidate in self.first_candidates():
            if not self.done[candidate] and self.open(candidate):
                return candidate
        if not any(o.score is not None for o in self.observations):
            return next((c for c in range(len(self.positions)) if self.open(c)), None)
        return self.contender()

    def first_candidates(self) -> list[int]:
        """The required ones, then those that are farthest from the chosen, up to `first`."""
        x = self.positions * COST_EXPONENTS
        count = len(x)
        most = self.settings.first or max(5, -(-count // 4))
        most = min(count, most + int(sum(self.failed)))
        chosen = list(self.required)
        if not chosen:
            chosen = [int(np.argmin(np.sum((x - x.mean(axis=0)) ** 2, axis=1)))]
        while len(chosen) < most:
            squares = np.sum((x[:, None] - x[chosen][None]) ** 2, axis=2).min(axis=1)
            squares[chosen] = -1
            chosen.append(int(np.argmax(squares)))
        return chosen

    def contender(self) -> int | None:
        """The leader or its strongest challenger; None if no challenger is left a chance."""
        posterior = infer(self.positions, self.observations)
        leader = posterior.leader
        able = [c for c in range(len(self.positions)) if not self.failed[c]]
        if leader is None:
            return next(filter(self.open, able), None)
        if not posterior.measurable and len(able) > 1:
            return min(filter(self.open, able), key=lambda c: (len(self.done[c]), c), default=None)
        near = posterior.chance_near(leader, tolerance=self.settings.tolerance)
        if near >= self.settings.confidence:
            return None
        # What taking the leader is expected to lose to each, in noises of a training. With few
        # scores the tails know no end, so ten of these are as bad as any more.
        draws, noise = posterior.draws, posterior.noise_draws
        ahead = (draws[:, able] - draws[:, [leader]]) / noise[:, None]
        loss = np.clip(ahead, 0.0, 10.0).mean(axis=0)
        for place in np.argsort(-loss, kind="stable"):
            if loss[place] > 0:
                pair = [c for c in (able[place], leader) if self.open(c)]
                if pair:
                    return min(pair, key=lambda c: len(self.done[c]))
        return None
