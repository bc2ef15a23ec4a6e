"""The search of a run directory, read back: its trials, what it chose, and how it judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscale.aspect import aspect_of
from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.names import SEARCH
from autoscale.jobs.search.agreement import Agreement
from autoscale.jobs.workers.proxy import Proxy
from autoscale.listener import Listener
from autoscale.metrics.choice import MetricChoice
from autoscale.metrics.names import ACCURACY
from autoscale.runs.records import trials_from_journal
from autoscale.runs.store import Journal, StepFolder
from autoscale.search.engine import Trial
from autoscale.search.objective import Objective
from autoscale.search.pareto import front

if TYPE_CHECKING:
    import pandas as pd

STEP = SEARCH


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A finished search and what it chose."""

    trial: Trial  # the chosen one
    accuracies: tuple[float, ...]  # of the chosen one on validation images, one for each seed
    trials: tuple[Trial, ...]  # every step, in order
    objective: Objective
    space: SearchSpace  # with the classes and the resolution of the images
    accuracies_float: tuple[float, ...] = ()  # as trained, where `accuracies` are those in int8
    # What decided in place of `accuracies`, one for each seed; none where these did.
    qualities: tuple[float, ...] = ()
    # How shared weights rank the trained networks, where there are some and enough of these.
    shared: Agreement | None = None

    @property
    def judged(self) -> tuple[float, ...]:
        """What decided, one for each seed: the objective's quality, or accuracy."""
        return self.qualities or self.accuracies

    @property
    def table(self) -> pd.DataFrame:
        """One row for each trained design; see `trial_table`."""
        return trial_table(self.trials, self.objective)


def load_baseline(run: str | Path) -> Baseline:
    """The finished search of a run directory.

    Raises:
        InvalidSetting: if none is there.
        RunConflict: if its files are not readable.
    """
    step = StepFolder(Path(run), STEP)
    space, goal, trials = load_trials(run)
    chosen = step.read_result("baseline.json")
    if chosen is None or not step.file("baseline.yaml").exists():
        raise InvalidSetting(f"the search in {run} is not finished; repeat its command first")
    try:
        trial, accuracies = trials[chosen["trial"]], tuple(chosen["accuracies"])
        floats = tuple(chosen.get("accuracies_float", ()))
        qualities = tuple(chosen.get("qualities", ()))
        shared = None if (told := chosen.get("shared_weights")) is None else Agreement(**told)
    except (KeyError, TypeError, IndexError) as problem:
        raise _damaged(step, problem) from None
    return Baseline(
        trial=trial,
        accuracies=accuracies,
        accuracies_float=floats,
        qualities=qualities,
        trials=trials,
        objective=goal,
        space=space,
        shared=shared,
    )


def load_trials(run: str | Path) -> tuple[SearchSpace, Objective, tuple[Trial, ...]]:
    """The space, the objective and the steps so far of a run's search, finished or not.

    Raises:
        InvalidSetting: if none is there.
        RunConflict: if its files are not readable.
    """
    step = StepFolder(Path(run), STEP)
    begun = _begun(run)
    try:
        settings = begun["settings"]
        space = SearchSpace.from_yaml(settings["space"], source=str(step.file("settings.json")))
        space = space.for_task(
            resolution=settings["resolution"],
            num_classes=len(settings["classes"]),
            aspect=aspect_of(asked) if (asked := settings.get("aspect")) else None,
        )
        quality = MetricChoice.from_record(settings).quality
        goal = replace(Objective.from_dict(settings["objective"]), quality=quality)
    except (KeyError, TypeError) as problem:
        raise _damaged(step, problem) from None
    return space, goal, tuple(trials_from_journal(Journal(step.file("trials.jsonl")), space))


def _damaged(step: StepFolder, problem: Exception) -> RunConflict:
    return RunConflict(
        f"{step.path} is damaged ({problem!r}); restore it from a copy or choose another --run"
    )


def load_proxy(
    run: str | Path,
    *,
    data: str | None = None,
    weights: str | None = None,
    teacher: str | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> Proxy:
    """How the search in a run directory judges; its images are to be loaded.

    Args:
        data: where the images lie now, if they were moved.
        weights: where those lie now that its networks began with, if they were moved.
        teacher: where the one lies now that they learned from, if it was moved.

    Raises:
        InvalidSetting: if no search is there, or `weights` or `teacher` names what it did without.
        RunConflict: if its settings are not readable.
    """
    begun = _begun(run)
    try:
        notes, settings = begun["notes"], begun["settings"]
        for fact, flag, given in (("start", "weights", weights), ("teacher", "teacher", teacher)):
            if given is not None and fact not in settings:
                raise InvalidSetting(
                    f"the search in {run} began without {_WITHOUT[flag]}, and what judges its "
                    f"baseline does too; leave --{flag} out"
                )
        moved = {"data": data, "weights": weights, "teacher": teacher}
        places = {name: place for name, place in moved.items() if place is not None}
        return Proxy.from_record(
            settings, notes={**notes, **places}, device=device, threads=threads
        )
    except (KeyError, TypeError) as problem:
        raise RunConflict(
            f"{Path(run) / STEP / 'settings.json'} is damaged ({problem!r}); restore it from a "
            "copy or choose another --run"
        ) from None


_WITHOUT = {"weights": "weights", "teacher": "a teacher"}


def transferred(run: str | Path) -> set[str]:
    """What the networks of a run's search got from others: "weights", a "teacher", or both.

    Raises:
        InvalidSetting: if no search is there.
    """
    settings = _begun(run).get("settings") or {}
    facts = {"weights": "start", "teacher": "teacher"}
    return {name for name, fact in facts.items() if fact in settings}


def with_images(
    run: str | Path, proxy: Proxy, *, size: int, test: bool, listener: Listener
) -> Proxy:
    """With the images of a run's search, `size` pixels per side.

    Raises:
        DataProblem: if they cannot be read.
        RunConflict: if they are not those that the search was made with.
    """
    found = proxy.load(size=size, test=test, listener=listener)
    settings = _begun(run)["settings"]
    classes = list(found.images.classes)
    if found.fingerprint != settings["images"] or classes != settings["classes"]:
        raise RunConflict(
            f"the images in {proxy.source.data} are not those of the search in {run}; restore "
            "them, name their place with --data, or search again in another --run"
        )
    return found


def _begun(run: str | Path) -> dict[str, Any]:
    begun = StepFolder(Path(run), STEP).read()
    if begun is None:
        raise InvalidSetting(
            f"{run} holds no search; begin with: autoscale search-baseline --run {run}"
        )
    return begun


def trial_table(trials: Sequence[Trial], objective: Objective) -> pd.DataFrame:
    """One row for each trained design.

    Columns: trial, status, what decides where that is not accuracy (`objective.quality.column`),
    accuracy (share of validation images), accuracy_float (as trained, where accuracy is that in
    int8), macs, params, activations (one
    image), what the search took for cost if it is another (latency_ms: predicted), seconds,
    inherited (where networks began with weights: the share of the parameters that these gave, 0 of
    a design that starts fresh), on_front (no other is as good and cheaper), cause of a failure
    or a stop, then the choices of the space.
    A stopped design has no accuracy; where rungs were looked at, columns accuracy_after_N, or of
    what decides in its place, say what it had after N epochs.
    """
    import pandas as pd

    trained = [trial for trial in trials if trial.trained]
    finished = [trial for trial in trained if trial.score]
    points = [(t.score.judged, objective.cost(t.architecture)) for t in finished if t.score]
    members = (
        {finished[i].number for i in front(points, ["maximize", "minimize"])} if points else {}
    )
    begun = any(s.inherited is not None for t in trained if (s := t.score or t.partial))
    both = any(trial.score.accuracy_float is not None for trial in finished if trial.score)
    rungs = sorted({epochs for trial in trained for epochs in trial.rungs})
    quality = objective.quality.column
    other = objective.quality != ACCURACY
    rows = []
    for trial in trained:
        told = trial.measured
        counted = cost(trial.architecture)
        rows.append(
            {
                "trial": trial.number,
                "status": trial.status,
                **({quality: s.judged if (s := trial.score) else None} if other else {}),
                "accuracy": trial.score.accuracy if trial.score else None,
                **(
                    {"accuracy_float": s.accuracy_float if (s := trial.score) else None}
                    if both
                    else {}
                ),
                "macs": counted.macs,
                "params": counted.params,
                "activations": counted.activations,
                objective.measure.column: objective.cost(trial.architecture),
                "seconds": round(told.seconds, 2) if told else None,
                **({"inherited": told.inherited if told else None} if begun else {}),
                "on_front": trial.number in members,
                "cause": trial.cause,
                **{f"{quality}_after_{n}": trial.rungs.get(n) for n in rungs},
                **trial.params,
            }
        )
    return pd.DataFrame(rows)
