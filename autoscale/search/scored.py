"""What finished trials told, and the first of them kept from one trial to the next."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import is_

from optuna.trial import FrozenTrial

Point = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """What a complete trial told: the study's finite values, and its constraints."""

    point: Point
    values: tuple[float, ...]
    constraints: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LeadingTrials:
    """The first trials of a study, as far as each has a score, and what they told."""

    trials: list[FrozenTrial] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    identities: list[int] = field(default_factory=list)

    def follow(
        self,
        trials: Sequence[FrozenTrial],
        score_of: Callable[[FrozenTrial], Score | None],
        identity_of: Callable[[Point], int],
    ) -> None:
        """Become the first of `trials`; those that are there already are not read again, since a
        finished trial stays as it is."""
        shared = min(len(self.trials), len(trials))
        if not all(map(is_, self.trials, trials[:shared])):
            shared = next(i for i in range(shared) if self.trials[i] is not trials[i])
        for told in (self.trials, self.scores, self.identities):
            del told[shared:]
        for trial in trials[shared:]:
            score = score_of(trial)
            if score is None:
                break
            self.trials.append(trial)
            self.scores.append(score)
            self.identities.append(identity_of(score.point))
