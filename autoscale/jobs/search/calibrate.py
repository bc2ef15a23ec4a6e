"""What a doubling of cost buys on the user's images, and which exponent w that makes."""

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from autoscale.design.measures.measure import CostMeasure
from autoscale.errors import InvalidSetting
from autoscale.jobs.search.result import load_trials
from autoscale.metrics.names import ACCURACY
from autoscale.search.engine import Trial, predicted_ranking
from autoscale.search.identity import network_of
from autoscale.search.tradeoff import Tradeoff, fit_tradeoff

#: MnasNet's and EfficientNet's exponent.
PAPERS_W = -0.07


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the soft reward with one exponent would take as the baseline."""

    w: float
    trial: int
    accuracy: float  # of that trial's training
    macs: int
    cost: str  # what the search counts, for people: 1,500,000 parameters

    @classmethod
    def of(cls, w: float, trial: Trial, measure: CostMeasure) -> "Choice":
        assert trial.score is not None
        return cls(
            w=w,
            trial=trial.number,
            accuracy=trial.score.accuracy,
            macs=trial.score.macs,
            cost=measure.exactly(measure.of(trial.architecture)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The exponent that a run's trials give, and what it would choose beside the papers'.

    Attributes:
        noun: what the search counts as cost, for people: multiply-adds.
        fitted: by the middle of the interval, `low` and `high` by its ends; above 0 they are taken
            as 0, which rewards nothing but accuracy.
    """

    noun: str
    tradeoff: Tradeoff
    papers: Choice
    fitted: Choice
    low: Choice
    high: Choice

    @property
    def verdict(self) -> str:
        """What the figures allow to say."""
        found = self.tradeoff
        if found.low <= PAPERS_W <= found.high:
            return f"{PAPERS_W:g} lies in the interval: the trials do not contradict it"
        drawn = "larger" if found.high < PAPERS_W else "smaller"
        return (
            f"{PAPERS_W:g} lies outside: on this data cost buys "
            f"{'more' if drawn == 'larger' else 'less'} than it says, so it draws a search to "
            f"{'smaller' if drawn == 'larger' else 'larger'} networks than the data do"
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return asdict(self) | {"gain": self.tradeoff.gain, "verdict": self.verdict}


def calibrate_w(
    run: str | Path, *, min_macs: int | None = None, max_macs: int | None = None
) -> Calibration:
    """Learn from the finished trials of a run so far what a doubling of cost buys.

    The cost is what the search counts: multiply-adds, unless it was told another.

    A network that was trained several times counts once, by its mean. Stopped trainings say nothing
    of the end and are left out.

    Args:
        run: the run directory of a search, finished or not.
        min_macs, max_macs: only networks within these multiply-adds are looked at; where one
            exponent does not describe all, look around the target.

    Returns:
        The exponent with its interval, and what it and the papers' would choose.

    Raises:
        InvalidSetting: if the run holds no search, or one by another metric than accuracy, or for
            limits that leave nothing between them.
        NotEnoughTrials: for too few networks, or if all cost about the same.
    """
    low, high = min_macs or 0, max_macs if max_macs is not None else float("inf")
    if low > high:
        raise InvalidSetting(f"the least cost {low:,} lies above the most, {high:,}")
    space, goal, steps = load_trials(run)
    if goal.quality != ACCURACY:
        raise InvalidSetting(
            f"the search in {run} was judged by {goal.quality.label}, and what a doubling of cost "
            "buys is learnt of accuracy alone; calibrate on a search without --metric"
        )
    finished = [
        t for t in steps if t.status == "finished" and t.score and low <= t.score.macs <= high
    ]
    networks: dict[Hashable, list[Trial]] = defaultdict(list)
    for trial in finished:
        networks[network_of(trial.architecture)].append(trial)
    found = fit_tradeoff(
        [goal.cost(trials[0].architecture) for trials in networks.values()],
        [mean(t.score.accuracy for t in trials if t.score) for trials in networks.values()],
    )

    def choice(w: float) -> Choice:
        reward = replace(goal, kind="soft", w=min(w, 0.0))
        best = predicted_ranking(finished, space, reward, count=1)[0]
        return Choice.of(w, best, goal.measure)

    return Calibration(
        noun=goal.measure.noun,
        tradeoff=found,
        papers=choice(PAPERS_W),
        fitted=choice(found.w),
        low=choice(found.low),
        high=choice(found.high),
    )
