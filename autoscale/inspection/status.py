"""A run looked at from outside: what is done, what failed and why, what is left.

It reads only, also from a run that another process is writing at this moment.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from autoscale.errors import AutoscaleError, InvalidSetting
from autoscale.inspection.commands import step_commands
from autoscale.jobs import check
from autoscale.jobs.advise import result as curves
from autoscale.jobs.family import kept as family
from autoscale.jobs.folds.result import STEP as FOLDS
from autoscale.jobs.folds.result import fold_folder
from autoscale.jobs.grid.candidates import GROW, SHRINK
from autoscale.jobs.grid.stopwatch import TIMINGS
from autoscale.jobs.grown.result import STEP as GROWN
from autoscale.jobs.grown.result import member_folder
from autoscale.jobs.nested.result import STEP as NESTED
from autoscale.jobs.reference.training import NOTED, NOTED_BEFORE
from autoscale.jobs.reference.training import TRAININGS as RIVAL_TRAININGS
from autoscale.jobs.search import result as baseline
from autoscale.jobs.starts import result as advice
from autoscale.jobs.train.result import STEP as TRAIN
from autoscale.metrics.names import Quality
from autoscale.runs.at_work import Piece, at_work
from autoscale.runs.records import Outcome, outcomes_from_journal
from autoscale.runs.store import Journal, StepFolder
from autoscale.search.engine import Standings, Trial

#: finished: its result is there. running: a process works on it now. unfinished: none does, and
#: the same command continues it. unreadable: `problem` says why.
State = Literal["finished", "running", "unfinished", "unreadable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Trainings that broke in the same way."""

    cause: str  # of the first one; the others may differ in numbers
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One trial of the search."""

    trial: int
    # Share of validation images, or what decides in its place; the mean if it was trained several
    # times.
    judged: float
    quality: Quality  # which of these
    macs: int  # multiply-adds of one image

    def to_dict(self) -> dict[str, Any]:
        """As plain data, with what decides under its name."""
        return {"trial": self.trial, self.quality.column: self.judged, "macs": self.macs}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStatus:
    """Where one step of the recipe stands."""

    step: str  # its folder in the run directory
    state: State
    held: bool | None  # whether a process works on it now; None if that cannot be known
    unit: str = "trainings"  # what `done` and `asked` count
    done: int = 0  # failed and stopped ones included
    asked: int | None = None  # at most; None if its settings do not say
    failures: tuple[Failures, ...] = ()  # most frequent first
    seconds: float = 0.0  # of what is done; failed trainings, which record none, left out
    seconds_left: float | None = None  # until `asked`; None if it cannot be predicted
    facts: Mapping[str, Any] = field(default_factory=dict)  # more, see `_search` and `_folds`
    problem: str = ""
    at_work: tuple[Piece, ...] = ()  # trainings that were begun, the longest first
    commands: tuple[str, ...] = ()  # that repeat it; none if an older version made it

    @property
    def failed(self) -> int:
        """Trainings that broke."""
        return sum(found.count for found in self.failures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where a run stands."""

    run: str
    steps: tuple[StepStatus, ...]  # those that were begun, in the order of the recipe

    @property
    def working(self) -> bool | None:
        """Whether a process works on the run now; None if that cannot be known."""
        held = [step.held for step in self.steps]
        return True if True in held else None if None in held else False

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        steps = [
            {
                **asdict(step),
                "facts": {
                    name: fact.to_dict() if isinstance(fact, Chosen) else fact
                    for name, fact in step.facts.items()
                },
                "failed": step.failed,
            }
            for step in self.steps
        ]
        return {"run": self.run, "working": self.working, "steps": steps}


def run_status(run: str | Path) -> Status:
    """Look at a run directory; nothing in it is changed, and no image is read.

    A step whose files cannot be read is said to be so; the others are shown all the same.

    Args:
        run: the run directory, also of a run at work.

    Returns:
        Each step that was begun: what is done, at work, failed and why, left.

    Raises:
        InvalidSetting: if no step was begun there.
    """
    run = Path(run)
    found = []
    for name, look in _LOOKS.items():
        step = StepFolder(run, name)
        if not step.path.is_dir():
            continue
        held = step.held()
        try:
            begun = step.read()
            if begun is not None:
                pieces = at_work(step) if held else ()
                looked = look(step, begun, held)
                found.append(_with_commands(replace(looked, at_work=pieces), step))
        except AutoscaleError as problem:
            line = " ".join(str(problem).split())
            found.append(StepStatus(step=name, state="unreadable", held=held, problem=line))
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            line = f"{step.file('settings.json')} is damaged ({problem!r}); restore it from a copy"
            found.append(StepStatus(step=name, state="unreadable", held=held, problem=line))
    if not found:
        raise InvalidSetting(
            f"{run} holds no run; begin with: autoscale search-baseline --run {run}"
        )
    return Status(run=str(run), steps=tuple(found))


def _with_commands(looked: StepStatus, step: StepFolder) -> StepStatus:
    """With what would repeat the step; that this cannot be read says nothing of its results."""
    try:
        return replace(looked, commands=step_commands(step))
    except AutoscaleError as problem:
        return replace(looked, problem=str(problem))


def _search(step: StepFolder, begun: Mapping[str, Any], held: bool | None) -> StepStatus:
    """`facts`: finished, stopped, repeats and refused, each a number of trials; confirmations, the
    number of trainings with new seeds; best and baseline, each a `Chosen` or None; of a finished
    search with shared weights how well these rank its networks, as tau and networks."""
    result = step.read_result("baseline.json")
    _, goal, trials = baseline.load_trials(step.run)
    trained = [trial for trial in trials if trial.trained]
    seconds = [told.seconds for trial in trained if (told := trial.measured)]
    again = [
        outcome
        for path in sorted(step.path.glob("confirm-*.jsonl"))
        for outcome in outcomes_from_journal(Journal(path))
    ]
    asked = _count(begun["notes"].get("trials"))
    left = None if asked is None else max(0, asked - len(trained))
    leader = Standings(goal, trials).best()
    return StepStatus(
        step=step.name,
        state=_state(result is not None, held),
        held=held,
        done=len(trained),
        asked=asked,
        failures=_grouped(
            [trial.cause for trial in trained if trial.status == "failed"]
            + [outcome.cause for outcome in again if outcome.score is None]
        ),
        seconds=sum(seconds) + sum(outcome.score.seconds for outcome in again if outcome.score),
        seconds_left=_left(left, seconds, done=result is not None),
        facts={
            **{name: sum(trial.status == status for trial in trials) for name, status in _KINDS},
            "confirmations": len(again),
            "best": _chosen(leader, goal.quality),
            "baseline": _baseline(trials, result, goal.quality),
            **({"shared_weights": told} if (told := (result or {}).get("shared_weights")) else {}),
        },
    )


#: How facts of a search are called, and the trials' status that they count.
_KINDS = (
    ("finished", "finished"),
    ("stopped", "stopped"),
    ("repeats", "repeat"),
    ("refused", "refused"),
)


def _chosen(trial: Trial | None, quality: Quality) -> Chosen | None:
    if trial is None or trial.score is None:
        return None
    score = trial.score
    return Chosen(trial=trial.number, judged=score.judged, quality=quality, macs=score.macs)


def _baseline(
    trials: Sequence[Trial], result: Mapping[str, Any] | None, quality: Quality
) -> Chosen | None:
    if result is None:
        return None
    number = result["trial"]
    judged = [float(value) for value in result.get("qualities") or result["accuracies"]]
    score = trials[number].score if number in range(len(trials)) else None
    if score is None or not judged:
        raise ValueError(f"baseline.json names trial {number!r}")
    mean = sum(judged) / len(judged)
    return Chosen(trial=number, judged=mean, quality=quality, macs=score.macs)


def _trainings(
    result: str, asked: Callable[[Mapping[str, Any]], Any]
) -> Callable[[StepFolder, Mapping[str, Any], bool | None], StepStatus]:
    """Looks at a step that keeps its trainings in `trainings.jsonl`."""

    def look(step: StepFolder, begun: Mapping[str, Any], held: bool | None) -> StepStatus:
        done = step.read_result(result) is not None
        outcomes: list[Outcome] = outcomes_from_journal(Journal(step.file("trainings.jsonl")))
        rivals, asked_of_rivals = _of_rivals(step, begun)
        outcomes += rivals
        seconds = [outcome.score.seconds for outcome in outcomes if outcome.score]
        most = _count(asked(begun))
        most = None if most is None else most + asked_of_rivals
        left = None if most is None else max(0, most - len(outcomes))
        return StepStatus(
            step=step.name,
            state=_state(done, held),
            held=held,
            done=len(outcomes),
            asked=most,
            failures=_grouped(outcome.cause for outcome in outcomes if not outcome.score),
            seconds=sum(seconds),
            seconds_left=_left(left, seconds, done=done),
        )

    return look


def _of_rivals(step: StepFolder, begun: Mapping[str, Any]) -> tuple[list[Outcome], int]:
    """The trainings of a step's published networks, and how many are asked for."""
    noted = begun["notes"].get(NOTED, begun["notes"].get(NOTED_BEFORE))
    if not isinstance(noted, Mapping):  # the older name may hold a grid's --rivals
        return [], 0
    keys, seeds = noted["keys"], int(noted["seeds"])
    outcomes = outcomes_from_journal(Journal(step.file(RIVAL_TRAININGS)))
    return [o for o in outcomes if o.key.partition("/")[0] in keys], len(keys) * seeds


def _family(step: StepFolder, begun: Mapping[str, Any], held: bool | None) -> StepStatus:
    members = family.names_of(Journal(step.file("members.jsonl")))
    there = step.file("family.csv").exists()
    state = _state(there, held)
    return StepStatus(step=step.name, state=state, held=held, unit="members", done=len(members))


def _train(step: StepFolder, begun: Mapping[str, Any], held: bool | None) -> StepStatus:
    return _epochs(step, _seconds_of_epochs(step), begun["settings"]["recipe"]["epochs"], held)


def _grown(step: StepFolder, begun: Mapping[str, Any], held: bool | None) -> StepStatus:
    members: Mapping[str, int] = begun["notes"]["members"]
    folders = [member_folder(step.run, name) for name in members]
    seconds = [took for folder in folders for took in _seconds_of_epochs(folder)]
    return _epochs(step, seconds, sum(members.values()), held)


def _folds(step: StepFolder, begun: Mapping[str, Any], held: bool | None) -> StepStatus:
    """`facts`: folds and folds_finished, their numbers."""
    count = int(begun["settings"]["folds"])
    folders = [fold_folder(step.run, number) for number in range(1, count + 1)]
    each = [_seconds_of_epochs(folder) for folder in folders]
    done = sum(folder.read_result("result.json") is not None for folder in folders)
    seconds = [took for own in each for took in own]
    looked = _epochs(step, seconds, count * begun["settings"]["recipe"]["epochs"], held)
    return replace(looked, facts={"folds": count, "folds_finished": done})


def _seconds_of_epochs(step: StepFolder) -> list[float]:
    """Of each epoch of a training, once where a crash left it twice."""
    epochs = {int(record["number"]): record for record in Journal(step.file("epochs.jsonl")).read()}
    return [float(record["seconds"]) for record in epochs.values()]


def _epochs(
    step: StepFolder, seconds: Sequence[float], epochs: Any, held: bool | None
) -> StepStatus:
    """A step that trains for epochs.

    Args:
        seconds: of each that is done.
        epochs: how many are asked for.
    """
    done = step.read_result("result.json") is not None
    asked = _count(epochs)
    left = None if asked is None else max(0, asked - len(seconds))
    return StepStatus(
        step=step.name,
        state=_state(done, held),
        held=held,
        unit="epochs",
        done=len(seconds),
        asked=asked,
        seconds=sum(seconds),
        seconds_left=_left(left, seconds, done=done),
    )


def _timings(step: StepFolder, begun: Mapping[str, Any], held: bool | None) -> StepStatus:
    timed = len(Journal(step.file("timings.jsonl")).read())
    state = _state(timed > 0, held)
    return StepStatus(step=step.name, state=state, held=held, unit="networks", done=timed)


_GRID = _trainings("coefficients.json", lambda begun: begun["notes"].get("most_trainings"))

_LOOKS: Mapping[str, Callable[[StepFolder, Mapping[str, Any], bool | None], StepStatus]] = {
    advice.STEP: _trainings(advice.RESULT, lambda begun: begun["notes"].get("trainings_asked")),
    baseline.STEP: _search,
    check.STEP: _trainings(
        "check.json", lambda begun: begun["settings"]["networks"] + begun["settings"]["seeds"]
    ),
    curves.STEP: _trainings(curves.RESULT, lambda begun: begun["notes"].get("trainings_asked")),
    TIMINGS: _timings,
    GROW: _GRID,
    SHRINK: _GRID,
    family.STEP: _family,
    NESTED: _train,
    GROWN: _grown,
    TRAIN: _train,
    FOLDS: _folds,
}


def _state(done: bool, held: bool | None) -> State:
    if held:
        return "running"
    return "finished" if done else "unfinished"


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _left(left: int | None, seconds: Sequence[float], *, done: bool) -> float | None:
    """Seconds until the end, as long as the pieces of work before took on average."""
    if done or left == 0:
        return 0.0
    if left is None or not seconds:
        return None
    return left * sum(seconds) / len(seconds)


def _grouped(causes: Iterable[str]) -> tuple[Failures, ...]:
    """Causes that differ in numbers alone count as one, named by the first."""
    groups: dict[str, list[str]] = {}
    for cause in causes:
        groups.setdefault(re.sub(r"\d[\d.,e+-]*", "N", cause), []).append(cause)
    found = [Failures(cause=own[0], count=len(own)) for own in groups.values()]
    return tuple(sorted(found, key=lambda one: -one.count))
