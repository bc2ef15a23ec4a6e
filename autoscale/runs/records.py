"""Values of the other rooms as plain data and back."""

from dataclasses import asdict, dataclass
from typing import Any, get_args

from autoscale.design.space import SearchSpace
from autoscale.errors import RunConflict
from autoscale.runs.store import Journal
from autoscale.search.engine import Status, Trial
from autoscale.search.objective import Score


def trial_to_record(trial: Trial) -> dict[str, Any]:
    """A search's step as one line of its journal."""
    return {
        "number": trial.number,
        "status": trial.status,
        "params": dict(trial.params),
        "score": trial.score.to_dict() if trial.score else None,
        "cause": trial.cause,
        "sampler_attrs": dict(trial.sampler_attrs),
        **({"rungs": {str(e): a for e, a in trial.rungs.items()}} if trial.rungs else {}),
        **({"partial": trial.partial.to_dict()} if trial.partial else {}),
        **({"repetition": trial.repetition} if trial.repetition else {}),
    }


def trials_from_journal(journal: Journal, space: SearchSpace) -> list[Trial]:
    """The steps of a search's journal, in order.

    Raises:
        RunConflict: naming the line that is no step of a search over `space`.
    """
    trials = []
    for number, record in enumerate(journal.read()):
        try:
            if record["number"] != number or record["status"] not in get_args(Status):
                raise ValueError(f"number {record['number']}, status {record['status']}")
            trials.append(
                Trial(
                    number=number,
                    status=record["status"],
                    params=record["params"],
                    architecture=space.from_params(record["params"]),
                    score=Score(**record["score"]) if record["score"] else None,
                    cause=record["cause"],
                    sampler_attrs=record["sampler_attrs"],
                    rungs={int(e): float(a) for e, a in record.get("rungs", {}).items()},
                    partial=Score(**record["partial"]) if record.get("partial") else None,
                    repetition=int(record.get("repetition", 0)),
                )
            )
        except (KeyError, TypeError, ValueError) as problem:
            raise RunConflict(
                f"{journal.path}:{number + 1}: not a trial of this search ({problem}); restore the "
                "file from a copy or choose another --run"
            ) from None
    return trials


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one training: a score, or why there is none."""

    key: str = ""  # of the job
    score: Score | None = None
    cause: str = ""


def outcome_to_record(outcome: Outcome) -> dict[str, Any]:
    """An outcome as one line of a journal of trainings."""
    return asdict(outcome) | {"score": outcome.score.to_dict() if outcome.score else None}


def outcomes_from_journal(journal: Journal) -> list[Outcome]:
    """The outcomes of a journal of trainings, in order; of one that was tried again the last.

    Raises:
        RunConflict: naming the line that is none.
    """
    outcomes: dict[str, Outcome] = {}
    for number, record in enumerate(journal.read(), start=1):
        try:
            score = Score(**record["score"]) if record["score"] else None
            outcome = Outcome(key=record["key"], score=score, cause=record["cause"])
            outcomes[outcome.key] = outcome
        except (KeyError, TypeError, ValueError) as problem:
            raise RunConflict(
                f"{journal.path}:{number}: not an outcome of a training ({problem}); restore the "
                "file from a copy or choose another --run"
            ) from None
    return list(outcomes.values())
