"""Read a whole run directory back."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.advise.result import STEP as CURVES
from autoscale.jobs.advise.result import read_advice
from autoscale.jobs.check import STEP as CHECK
from autoscale.jobs.family.kept import STEP as FAMILY
from autoscale.jobs.family.kept import names_of
from autoscale.jobs.folds.result import RESULT as FOLDS_RESULT
from autoscale.jobs.folds.result import STEP as FOLDS
from autoscale.jobs.grid.candidates import GROW, SHRINK
from autoscale.jobs.grid.scaling_base import scalable_from
from autoscale.jobs.grown.result import STEP as GROWN
from autoscale.jobs.nested.result import STEP as NESTED
from autoscale.jobs.search.result import STEP as SEARCH
from autoscale.jobs.search.result import load_baseline, load_trials, trial_table
from autoscale.jobs.train.result import STEP as TRAIN
from autoscale.runs.contents import (
    FamilyContents,
    FamilyTraining,
    GridContents,
    Run,
    SearchContents,
    TrainingContents,
    TrainingResult,
)
from autoscale.runs.store import Journal, StepFolder, read_json, read_text
from autoscale.scaling.rules import RULES
from autoscale.scaling.scalable import Design, Scalable, cost_of

#: Ways of growing in one dimension, and the nominal sizes at which they are looked at.
ALONE = ("depth only", "width only", "resolution only")
GROWN_STEP, GROWN_STEPS = 2**0.125, 8 * 40


def load_run(run: str | Path, *, trained: Sequence[str | Path] = ()) -> Run:
    """Everything that the steps of a run have left, finished or not.

    Args:
        run: the run directory.
        trained: run directories of `autoscale train`, whose networks stand beside this run's.

    Raises:
        InvalidSetting: if there is nothing of the kind.
        RunConflict: if a file is damaged.
    """
    path = Path(run)
    search = _search(path)
    trainings = [path, *map(Path, trained)] if (path / TRAIN).is_dir() else [*map(Path, trained)]
    found = Run(
        path=path,
        search=search,
        check=read_json(StepFolder(path, CHECK).file("check.json")),
        advice=read_advice(StepFolder(path, CURVES)),
        grids=tuple(grid for name in (GROW, SHRINK) if (grid := _grid(path, name))),
        family=_family(path),
        whole=tuple(one for step in (NESTED, GROWN) if (one := _whole(path, step))),
        trainings=tuple(_training(folder) for folder in trainings),
    )
    nothing = not (found.search or found.grids or found.family or found.trainings)
    if nothing and (path / FOLDS).is_dir():
        raise InvalidSetting(
            f"{path} holds nothing but folds, which no report shows; read "
            f"{StepFolder(path, FOLDS).file(FOLDS_RESULT)}, or see: autoscale status {path}"
        )
    if nothing:
        raise InvalidSetting(
            f"{path} is no run directory of autoscale; make one with: autoscale search-baseline "
            f"--run {path}"
        )
    return found


def _search(path: Path) -> SearchContents | None:
    step = StepFolder(path, SEARCH)
    record = step.read()
    if record is None:
        return None
    space, goal, steps = load_trials(path)
    finished = step.file("baseline.yaml").exists() and step.file("baseline.json").exists()
    chosen = load_baseline(path) if finished else None
    return SearchContents(
        steps=steps,
        trials=trial_table(steps, goal),
        space=space,
        objective=goal,
        baseline=chosen.trial if chosen else None,
        accuracies=chosen.accuracies if chosen else (),
        judged=chosen.judged if chosen else (),
        confirmed=_confirmed(step, sum(trial.trained for trial in steps)),
        record=record,
        shared=chosen.shared.told if chosen and chosen.shared else "",
    )


def _confirmed(step: StepFolder, trained: int) -> int:
    """How many of the best were trained again after `trained` trials."""
    pattern = re.compile(rf"confirm-(\d+)-of-{trained}\.jsonl")
    names = (found for path in step.path.iterdir() if (found := pattern.fullmatch(path.name)))
    return max((int(found[1]) for found in names), default=0)


def _grid(path: Path, name: str) -> GridContents | None:
    step = StepFolder(path, name)
    picked = read_json(step.file("coefficients.json"))
    if picked is None:
        return None
    surface = step.file("surface.csv")
    return GridContents(
        name=name,
        candidates=_table(step.file("grid.csv"), texts=("moved", "rules", "standing")),
        rivals=_table(step.file("rivals.csv"), texts=("moved",)),
        surface=_table(surface) if surface.exists() else None,
        picked=picked,
        record=step.read() or {},
    )


def _family(path: Path) -> FamilyContents | None:
    step = StepFolder(path, FAMILY)
    file = step.file("family.csv")
    if not file.exists():
        return None
    names = names_of(Journal(step.file("members.jsonl")))
    members, record = _table(file, texts=("name",)), step.read() or {}
    base = scalable_from(record.get("settings", {}).get("base", {}))
    return FamilyContents(
        members=members,
        names=tuple(names),
        alternatives=grown_alone(base, most=int(members.macs.max())),
        record=record,
    )


def _whole(path: Path, name: str) -> FamilyTraining | None:
    """A training of all members by one command; None if there is none that is finished."""
    step = StepFolder(path, name)
    record = step.read()
    if record is None or not step.file("result.json").exists():
        return None
    members = _table(step.file("members.csv"), texts=("name",))
    return FamilyTraining(step=name, members=members, images=str(record["settings"]["images"]))


def grown_alone(base: Scalable, *, most: int) -> pd.DataFrame:
    """A base that grows in one dimension alone, up to `most` multiply-adds.

    Columns: rule; growth (of that dimension); macs, params. No rows for a user's model, whose costs
    take its own code to count.
    """
    rows: list[dict[str, Any]] = []
    for rule in ALONE if isinstance(base, Design) else ():
        seen = -1
        for step in range(GROWN_STEPS):
            growth = RULES[rule](GROWN_STEP**step)
            network = base.at(growth.depth, growth.width, int(base.pixels(growth.resolution)))
            counted = cost_of(network)
            if counted.macs > most:
                break
            if counted.macs != seen:
                seen = int(counted.macs)
                rows.append(
                    {
                        "rule": rule,
                        "growth": round(max(growth), 4),
                        "macs": seen,
                        "params": int(counted.params),
                    }
                )
    return pd.DataFrame(rows, columns=["rule", "growth", "macs", "params"])


def _training(path: Path) -> TrainingContents:
    step = StepFolder(path, TRAIN)
    found, record = read_json(step.file("result.json")), step.read()
    if found is None or record is None:
        raise InvalidSetting(
            f"{path} holds no finished training; finish: autoscale train NETWORK --run {path}"
        )
    try:
        return TrainingContents(
            result=TrainingResult.from_dict(found),
            images=str(record["settings"]["images"]),
            path=path,
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise RunConflict(
            f"{step.file('result.json')} is damaged ({problem!r}); repeat the training's command"
        ) from None


def _table(path: Path, *, texts: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV file of ours; columns of `texts` hold text, "" where nothing stands."""
    text = read_text(path)
    kinds: dict[Any, Any] = dict.fromkeys(texts, str)
    try:
        frame = pd.read_csv(io.StringIO(text), dtype=kinds)
    except ValueError as problem:
        raise RunConflict(
            f"{path} is damaged ({problem}); repeat the command that wrote it"
        ) from None
    held = [name for name in texts if name in frame]
    return frame.fillna(dict.fromkeys(held, ""))
