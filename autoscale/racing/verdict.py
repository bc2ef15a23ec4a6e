"""What may be said after a race: one is best, several are tied, or the data cannot tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf
from statistics import NormalDist
from typing import Literal

import numpy as np

from autoscale.errors import EvaluationFailed, InvalidSetting
from autoscale.racing.response_surface import Interval, SurfacePosterior

#: More seeds of one candidate than this are called out of reach.
MOST_SEEDS = 30
_NAMED = 4  # tied candidates that a sentence lists


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreSeeds:
    """How many further trainings would separate the leader from the runner-up, at the difference
    now estimated and if the noise stays what it is."""

    best: int  # further seeds of the leader
    runner_up: int  # further seeds of the runner-up

    @property
    def trainings(self) -> int:
        return self.best + self.runner_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Which candidate to take and how sure that is.

    Attributes:
        kind: "best": every other candidate is measurably worse; "tied": some others are not;
            "cannot tell": none of the others is; "only": there is no other.
        best: the candidate of the highest estimate.
        tied: the others that are not measurably worse, the most likely to be better first.
        candidates: that can be trained; failed ones are not counted.
        failed: candidates left out because a training failed.
        chance: that `best` is truly the best.
        chance_near: that the true best is at most the noise of one training better.
        noise: standard deviation of one training; None if it cannot be estimated.
        level: of the interval, and of what counts as measurable.
        runner_up: the other candidate with the highest mean; None if there is no other.
        lead: `best` less `runner_up`.
        more: what would separate these two; None if nothing needs to be or it is out of reach.
    """

    kind: Literal["best", "tied", "cannot tell", "only"]
    best: int
    tied: tuple[int, ...]
    candidates: int
    failed: tuple[int, ...]
    chance: float
    chance_near: float
    noise: float | None
    level: float
    runner_up: int | None
    lead: Interval | None
    more: MoreSeeds | None

    def sentence(self, names: Sequence[str] | None = None) -> str:
        """The verdict in one English sentence, or two; `names` are the candidates' own."""

        def name(candidate: int) -> str:
            return f"candidate {candidate}" if names is None else names[candidate]

        if self.kind == "only":
            return f"{name(self.best)} is the only candidate"
        tied = [name(candidate) for candidate in self.tied]
        listed = tied[:_NAMED] + ([f"{len(tied) - _NAMED} more"] if len(tied) > _NAMED else [])
        known = "" if self.noise is None else f", one training scatters by {self.noise:.3g}"
        if self.kind == "cannot tell":
            text = (
                f"the data cannot tell the {self.candidates} candidates apart "
                f"(highest mean: {name(self.best)}{known})"
            )
        else:
            others = "measurably better than all others"
            if tied:
                others = f"tied with {_listed(listed)} of {self.candidates - 1} others"
            text = f"{name(self.best)} is best, {others} (chance {self.chance:.0%}{known})"
        if self.noise is None:
            return f"{text}; two trainings with the same seed are needed to compare any"
        if self.runner_up is None or self.lead is None:
            return text
        text += (
            f"; {name(self.best)} leads {name(self.runner_up)} by {self.lead.mean:.3g}, "
            f"{self.level:.0%} interval {self.lead.low:.3g} to {self.lead.high:.3g}"
        )
        if self.more is not None:
            return (
                f"{text}; about {_seeds(self.more.best)} of {name(self.best)} and "
                f"{_seeds(self.more.runner_up)} of {name(self.runner_up)} "
                f"({self.more.trainings} trainings) would separate them if that is their difference"
            )
        if self.kind != "best":
            return f"{text}; even {MOST_SEEDS} seeds of each would not separate them"
        return text


def judge(posterior: SurfacePosterior, *, level: float = 0.95) -> Verdict:
    """The verdict that a posterior allows.

    A candidate is measurably worse than the leader if the interval of their difference at `level`
    lies above 0.

    Raises:
        InvalidSetting: if `level` does not lie between 0 and 1.
        EvaluationFailed: if every candidate with a score also has a failed training.
    """
    if not 0 < level < 1:
        raise InvalidSetting(f"the level of a verdict must lie between 0 and 1, got {level}")
    best = posterior.leader
    if best is None:
        raise EvaluationFailed(
            f"a training of each candidate failed ({int(posterior.failed.sum())}); "
            "none can be taken"
        )
    others = [int(c) for c in np.flatnonzero(~posterior.failed) if c != best]
    ahead = {c: posterior.chance_better(c, best) for c in others}
    tied = [c for c in others if ahead[c] >= (1 - level) / 2]
    runner_up = max(others, key=lambda c: posterior.mean[c], default=None)
    kind: Literal["best", "tied", "cannot tell", "only"]
    if not others:
        kind = "only"
    elif not tied:
        kind = "best"
    else:
        kind = "tied" if len(tied) < len(others) else "cannot tell"
    return Verdict(
        kind=kind,
        best=best,
        tied=tuple(sorted(tied, key=lambda c: (-ahead[c], c))),
        candidates=len(others) + 1,
        failed=tuple(int(c) for c in np.flatnonzero(posterior.failed)),
        chance=float(posterior.chance_of_best[best]),
        chance_near=posterior.chance_near(best),
        noise=posterior.noise if posterior.measurable else None,
        level=level,
        runner_up=runner_up,
        lead=None if runner_up is None else posterior.difference(best, runner_up, level),
        more=None if runner_up not in tied else more_seeds(posterior, best, runner_up, level=level),
    )


def more_seeds(
    posterior: SurfacePosterior, best: int, runner_up: int, *, level: float
) -> MoreSeeds | None:
    """Further seeds after which the interval of the difference at `level` would just exclude 0.

    What the surface says of the difference stays; seeds that both have add precision.
    """
    lead = posterior.difference(best, runner_up, level)
    if not posterior.measurable or lead.mean <= 0:
        return None
    z = NormalDist().inv_cdf((1 + level) / 2)
    variance = ((lead.high - lead.low) / (2 * z)) ** 2
    noise = posterior.noise**2
    have = int(posterior.scores[best]), int(posterior.scores[runner_up])
    counted = 1 / (noise * sum(1 / n if n else inf for n in have)) if noise else inf
    from_surface = max(1 / variance - counted, 0.0) if variance else inf
    wanted = 2 * noise * ((z / lead.mean) ** 2 - from_surface)
    if wanted > MOST_SEEDS:
        return None
    seeds = max(ceil(wanted), min(have) + 1)
    return MoreSeeds(best=max(seeds - have[0], 0), runner_up=max(seeds - have[1], 0))


def _seeds(count: int) -> str:
    return f"{count} more seed" if count == 1 else f"{count} more seeds"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
