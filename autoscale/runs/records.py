"""Values of the other rooms as plain data and back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from autoscale.design.space import SearchSpace
from autoscale.errors import RunConflict
from autoscale.search.engine import Trial
from autoscale.search.objective import Score


def trial_to_record(trial: Trial) -> dict[str, Any]:
    """A search's step as one line of its journal."""
    return {
        "number": trial.number,
        "status": trial.status,
        "params": dict(trial.params),
        "score": asdict(trial.score) if trial.score else None,
        "cause": trial.cause,
        "sampler_attrs": dict(trial.sampler_attrs),
    }


def trial_from_record(record: Mapping[str, Any], space: SearchSpace) -> Trial:
    """The step of one line of a search's journal.

    Raises:
        RunConflict: if the line is no step of a search over `space`.
    """
    try:
        return Trial(
            number=record["number"],
            status=record["status"],
            params=record["params"],
            architecture=space.from_params(record["params"]),
            score=Score(**record["score"]) if record["score"] else None,
            cause=record["cause"],
            sampler_attrs=record["sampler_attrs"],
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise RunConflict(f"a journal line is no trial of this space: {problem!r}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one training: a score, or why there is none."""

    score: Score | None = None
    cause: str = ""


def outcome_to_record(outcome: Outcome) -> dict[str, Any]:
    """An outcome as one line of a journal of trainings."""
    return asdict(outcome)


def outcome_from_record(record: Mapping[str, Any]) -> Outcome:
    """The outcome of one line of a journal of trainings.

    Raises:
        RunConflict: if the line is none.
    """
    try:
        score = Score(**record["score"]) if record["score"] else None
        return Outcome(score=score, cause=record["cause"])
    except (KeyError, TypeError) as problem:
        raise RunConflict(f"a journal line is no outcome of a training: {problem!r}") from None
