"""A copy of the search as an Optuna storage, for optuna-dashboard and other tools of Optuna.

    optuna-dashboard RUN/search/optuna.journal

It is a copy: the search itself is rebuilt from its own journal, and the copy from the search.
"""

import contextlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from autoscale.design.space import SearchSpace
from autoscale.search.engine import Trial, frozen
from autoscale.search.objective import Objective


def mirror(
    path: Path, name: str, space: SearchSpace, objective: Objective, history: Sequence[Trial]
) -> Callable[[Trial], None]:
    """Bring the storage at `path` to `history` and return what adds one more trial to it.

    A storage that is damaged or not at `history` is written anew.
    """
    study = None
    if path.exists():
        with contextlib.suppress(Exception):  # whatever a torn journal makes Optuna raise
            study = _open(path, name, objective)
            if len(study.get_trials(deepcopy=False)) != len(history):
                study = None
    if study is None:
        for leftover in (path, path.with_name(path.name + ".lock")):
            leftover.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        study = _open(path, name, objective)
        study.add_trials([frozen(trial, space, objective) for trial in history])
    copy = study
    return lambda trial: copy.add_trial(frozen(trial, space, objective))


def _open(path: Path, name: str, objective: Objective) -> optuna.Study:
    file = str(path.resolve())  # Optuna's lock spins forever on a stale relative path
    storage = JournalStorage(JournalFileBackend(file, lock_obj=JournalFileOpenLock(file)))
    study = optuna.create_study(
        storage=storage, study_name=name, directions=objective.directions, load_if_exists=True
    )
    names = ["accuracy", "multiply-adds"] if objective.kind == "front" else ["reward"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # names on the axes, nothing else
        study.set_metric_names(names)
    return study
