"""What a study has tried, as the samplers read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autoscale.search.designs import Designs, Point


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
    """

    designs: Designs
    signs: np.ndarray
    points: list[Point]
    gains: np.ndarray
    numbers: list[int]
    running: list[Point]
    running_numbers: list[int]
    failed: list[Point]

    @classmethod
    def of(
        cls,
        trials: Sequence[FrozenTrial],
        directions: Sequence[StudyDirection],
        designs: Designs,
    ) -> "History":
        """Read `trials`; those with other parameters than `designs` has are left out."""
        signs = np.array([1.0 if d == StudyDirection.MAXIMIZE else -1.0 for d in directions])
        points: list[Point] = []
        gains: list[list[float]] = []
        numbers: list[int] = []
        running: list[Point] = []
        at_work: list[int] = []
        failed: list[Point] = []
        for trial in trials:
            if trial.state == TrialState.RUNNING:
                at_work.append(trial.number)
            point = designs.point_of_trial(trial)
            if point is None:
                continue
            if trial.state == TrialState.RUNNING:
                running.append(point)
            elif trial.state == TrialState.COMPLETE and np.isfinite(trial.values).all():
                points.append(point)
                gains.append(trial.values)
                numbers.append(trial.number)
            elif trial.state.is_finished():
                failed.append(point)
        array = np.array(gains, dtype=float).reshape(len(points), len(signs)) * signs
        return cls(designs, signs, points, array, numbers, running, at_work, failed)

    @cached_property
    def tried(self) -> dict[int, Point]:
        """Every network that has been proposed, and one of its points."""
        every = self.points + self.running + self.failed
        return {self.designs.identity(point): point for point in every}

    @cached_property
    def scored(self) -> dict[int, Point]:
        """Every network with a score, and one of its points."""
        return {self.designs.identity(point): point for point in self.points}

    @cached_property
    def broken(self) -> frozenset[int]:
        """Networks that failed and never gave a score."""
        failed = {self.designs.identity(point) for point in self.failed}
        return frozenset(failed - self.scored.keys())

    def __len__(self) -> int:
        return len(self.points)
