"""What a study has tried, as the samplers read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autoscale.search.designs import Designs, Point

#: Name of a trial's attribute that holds the study's values at each rung of its training, epochs
#: (as text) -> values.
RUNGS = "rungs"
#: Trainings that must have gone on to their end before it is guessed what a stopped one would have
#: scored there.
_LEARN = 3
#: The study's values at each rung of a training.
Rungs = Mapping[str, Sequence[float]]


def rungs_of(trial: FrozenTrial, objectives: int) -> Rungs:
    """The values that a trial told on its way: those of its attribute `RUNGS`, else what it
    reported to Optuna's pruner, which there is of one objective only; empty if it told none."""
    told = trial.user_attrs.get(RUNGS)
    if isinstance(told, Mapping) and all(map(_is_rung, told.items())):
        return {rung: values for rung, values in told.items() if len(values) == objectives}
    if objectives != 1:
        return {}
    return {str(s): [v] for s, v in trial.intermediate_values.items() if isfinite(v)}


def _is_rung(told: tuple[object, object]) -> bool:
    """Whether an entry of an attribute of that name is ours; others may call theirs so, too."""
    rung, values = told
    return (
        isinstance(rung, str)
        and rung.isdecimal()
        and isinstance(values, Sequence)
        and all(isinstance(value, int | float) and isfinite(value) for value in values)
    )


@dataclass(frozen=True)
class Hints:
    """What trainings that were stopped at a rung would have scored, as a guess.

    Attributes:
        points: their designs.
        gains: shape (designs, objectives); the score at the rung and what others gained on average
            from there to the end.
        doubts: shape (designs, objectives); how much that gain differed among them, as a standard
            deviation. Those that went on are the better ones, so it is a guess.
    """

    points: list[Point]
    gains: np.ndarray
    doubts: np.ndarray

    @classmethod
    def of(
        cls,
        stopped: Sequence[tuple[Point, Rungs]],
        ended: Sequence[tuple[np.ndarray, Rungs]],
        signs: np.ndarray,
    ) -> "Hints":
        """From the rungs of stopped trainings, and final gains and rungs of those that ended."""
        points, gains, doubts = [], [], []
        for point, rungs in stopped:
            last = max(rungs, key=int)
            rises = [end - signs * rungs_of[last] for end, rungs_of in ended if last in rungs_of]
            if len(rises) >= _LEARN:
                points.append(point)
                gains.append(signs * rungs[last] + np.mean(rises, axis=0))
                doubts.append(np.std(rises, axis=0, ddof=1))
        shape = (len(points), len(signs))
        return cls(points, np.reshape(gains, shape), np.reshape(doubts, shape))


@dataclass(frozen=True)
class History:
    """The trials of a study in the order of their numbers.

    Attributes:
        points: designs with a score; a network that was trained twice stands twice.
        gains: shape (trials, objectives); the scores, turned so that more is better.
        numbers: the trials' numbers.
        running: designs on which trials are at work.
        running_numbers: trials at work, also those that have not chosen a design yet.
        failed: designs whose trials gave no score.
        failed_numbers: the numbers of these trials.
        stopped: designs whose training was stopped at a rung.
        hints: what may be guessed of those.
        constraints: what the trials with a score told of their constraints, kept where it is at
            most 0.
        leading_identities: the networks of the first of `points`, as far as they are known.
    """

    designs: Designs
    signs: np.ndarray
    points: list[Point]
    gains: np.ndarray
    numbers: list[int]
    running: list[Point]
    running_numbers: list[int]
    failed: list[Point]
    failed_numbers: list[int]
    stopped: list[Point]
    hints: Hints
    constraints: list[Mapping[str, float]]
    leading_identities: list[int]

    @classmethod
    def of(
        cls,
        trials: Sequence[FrozenTrial],
        directions: Sequence[StudyDirection],
        designs: Designs,
    ) -> "History":
        """Read `trials`; those with other parameters than `designs` has are left out."""
        signs = np.array([1.0 if d == StudyDirection.MAXIMIZE else -1.0 for d in directions])
        leading = designs.leading(trials)
        points = [score.point for score in leading.scores]
        gains = [score.values for score in leading.scores]
        constraints = [score.constraints for score in leading.scores]
        complete = list(leading.trials)
        numbers = [trial.number for trial in complete]
        running: list[Point] = []
        at_work: list[int] = []
        failed: list[Point] = []
        failed_numbers: list[int] = []
        stopped: list[tuple[Point, Rungs]] = []
        for trial in trials[len(complete) :]:
            score = designs.score_of_trial(trial)
            if score is not None:
                points.append(score.point)
                gains.append(score.values)
                numbers.append(trial.number)
                constraints.append(score.constraints)
                complete.append(trial)
                continue
            state, point = trial.state, designs.point_of_trial(trial)
            if state is TrialState.RUNNING:
                at_work.append(trial.number)
            if point is None:
                continue
            if state is TrialState.RUNNING:
                running.append(point)
            elif state is TrialState.PRUNED and (rungs := rungs_of(trial, len(signs))):
                stopped.append((point, rungs))
            elif state.is_finished():
                failed.append(point)
                failed_numbers.append(trial.number)
        array = np.array(gains, dtype=float).reshape(len(points), len(signs)) * signs
        aside = [point for point, _ in stopped]
        ended = [(signs * t.values, rungs_of(t, len(signs))) for t in complete] if stopped else []
        hints = Hints.of(stopped, ended, signs)
        return cls(
            designs,
            signs,
            points,
            array,
            numbers,
            running,
            at_work,
            failed,
            failed_numbers,
            aside,
            hints,
            constraints,
            list(leading.identities),
        )

    def of_hints(self, deviations: float = 0.0) -> "History":
        """This history with the guesses for stopped designs counted as scores, behind the others.

        Args:
            deviations: by how many standard deviations the guesses are raised.
        """
        hints = self.hints
        return replace(
            self,
            points=self.points + hints.points,
            gains=np.concatenate([self.gains, hints.gains + deviations * hints.doubts]),
        )

    @cached_property
    def violations(self) -> np.ndarray:
        """Shape (trials,); the sum by which each broke its constraints, 0 if it kept all."""
        return np.array([sum(max(0.0, v) for v in told.values()) for told in self.constraints])

    @cached_property
    def identities(self) -> list[int]:
        """The network of each of `points`."""
        known = self.leading_identities
        return known + [self.designs.identity(point) for point in self.points[len(known) :]]

    @cached_property
    def kept(self) -> Mapping[int, float]:
        """Every network with a score, and the share of its trials that kept all constraints."""
        found: dict[int, list[bool]] = {}
        for identity, violation in zip(self.identities, self.violations, strict=True):
            found.setdefault(identity, []).append(violation == 0)
        return {identity: sum(kept) / len(kept) for identity, kept in found.items()}

    @cached_property
    def tried(self) -> dict[int, Point]:
        """Every network that has been proposed, and one of its points."""
        others = self.running + self.failed + self.stopped
        return self.scored | {self.designs.identity(point): point for point in others}

    @cached_property
    def spent(self) -> Mapping[int, Point]:
        """Networks that are not new; none where points do not tell all of a design."""
        return self.tried if self.designs.whole else {}

    @cached_property
    def scored(self) -> dict[int, Point]:
        """Every network with a score, and one of its points."""
        return dict(zip(self.identities, self.points, strict=True))

    @cached_property
    def broken(self) -> frozenset[int]:
        """Networks that failed and never gave a score."""
        failed = {self.designs.identity(point) for point in self.failed}
        return frozenset(failed - self.scored.keys())

    @cached_property
    def barred(self) -> frozenset[int]:
        """Networks that are not worth another training: broken, or stopped and never scored."""
        if not self.designs.whole:
            return frozenset()
        stopped = {self.designs.identity(point) for point in self.stopped}
        return self.broken | (stopped - self.scored.keys())

    def __len__(self) -> int:
        return len(self.points)
