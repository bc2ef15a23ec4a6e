"""Copies of the search as Optuna storages, for optuna-dashboard and other tools of Optuna.

    optuna-dashboard RUN/search/optuna.journal
    optuna-dashboard postgresql+psycopg://user@host/database

They are copies: the search itself is rebuilt from its own journal, and the copies from the search.
So nothing that befalls them ends a search.
"""

import contextlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from autoscale.design.space import SearchSpace
from autoscale.distribution import install
from autoscale.errors import InvalidSetting, RunConflict, StorageProblem
from autoscale.search.engine import Trial, frozen
from autoscale.search.objective import Objective

#: Seconds that a server may take to answer when it is called.
_PATIENCE = 5


class Copy:
    """A study that is brought to the search, trial by trial.

    What a storage does not take now it gets with a later trial, or when the search is called again.

    Args:
        open_study: the study with the first trials of those it is given, or none.
        steps: of the search so far.
        tell: told in one line when the storage fails, and when it works again.

    Raises:
        AutoscaleError: if `open_study` refuses.
    """

    def __init__(
        self,
        open_study: Callable[[int], optuna.Study],
        space: SearchSpace,
        objective: Objective,
        steps: Sequence[Trial],
        tell: Callable[[str], None],
    ) -> None:
        self._open = open_study
        self._space = space
        self._objective = objective
        self._steps = list(steps)
        self._tell = tell
        self._failing = False
        self._study: optuna.Study | None = None
        self._kept = 0
        with contextlib.suppress(OSError):  # told below, if it lasts
            self._reopen()
        self.catch_up()

    def add(self, step: Trial) -> None:
        """One more step of the search."""
        self._steps.append(step)
        self.catch_up()

    def catch_up(self) -> int:
        """Add what the storage lacks; how much it lacks still."""
        try:
            if self._study is None:
                self._reopen()
            assert self._study is not None
            for step in self._steps[self._kept :]:
                self._study.add_trial(frozen(step, self._space, self._objective))
                self._kept += 1
        except Exception as problem:  # of Optuna, of a database, of a disk
            self._study = None
            if not self._failing:
                self._tell(
                    f"warning: the copy of the search for Optuna's tools fails ({_line(problem)}); "
                    "the search goes on and brings it up to date later"
                )
            self._failing = True
            return len(self._steps) - self._kept
        if self._failing:
            self._tell("the copy of the search for Optuna's tools is up to date again")
        self._failing = False
        return 0

    def _reopen(self) -> None:
        study = self._open(len(self._steps))
        self._kept = len(study.get_trials(deepcopy=False))
        self._study = study


def in_file(path: Path, name: str, objective: Objective) -> Callable[[int], optuna.Study]:
    """Opens the study `name` in the file at `path`; one that is damaged is begun anew."""

    def open_study(steps: int) -> optuna.Study:
        if path.exists():
            with contextlib.suppress(Exception):  # whatever a torn journal makes Optuna raise
                study = _study(_journal(path), name, objective)
                if len(study.get_trials(deepcopy=False)) <= steps:
                    return study
        for leftover in (path, path.with_name(path.name + ".lock")):
            leftover.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        return _study(_journal(path), name, objective)

    return open_study


def in_database(url: str, name: str, objective: Objective) -> Callable[[int], optuna.Study]:
    """Opens the study `name` in the PostgreSQL database at `url`.

    Raises:
        InvalidSetting: if `url` names no such database.
    """
    place = database(url)

    def open_study(steps: int) -> optuna.Study:
        try:
            storage = RDBStorage(
                place.render_as_string(hide_password=False),
                engine_kwargs={
                    # A connection for each transaction: none is left open, none grows stale.
                    "poolclass": NullPool,
                    "connect_args": {"connect_timeout": _PATIENCE},
                },
            )
            study = _study(storage, name, objective)
            kept = len(study.get_trials(deepcopy=False))
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as problem:
            raise StorageProblem(f"{shown(place)}: {_line(problem)}") from None
        if kept > steps:
            raise RunConflict(
                f"the study {name} in {shown(place)} holds {kept} trials, this run {steps}: it was "
                "filled by a copy of the run that went on; continue that one, or remove study.json "
                "from this one to begin a study of its own"
            )
        return study

    return open_study


def database(url: str) -> URL:
    """A PostgreSQL database by its address, for the driver that we bring.

    Raises:
        InvalidSetting: if it is none, or the driver is missing; a password in it is not shown.
    """
    try:
        found = make_url(url)
    except (SQLAlchemyError, ValueError):
        raise InvalidSetting(
            "the storage is not an address such as postgresql://user@host/database"
        ) from None
    if found.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise InvalidSetting(
            f"the storage must begin with postgresql://, got {found.drivername}://; without "
            "--storage the run directory keeps everything"
        )
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise InvalidSetting(f"PostgreSQL needs another package; {install('postgresql')}") from None
    return found.set(drivername="postgresql+psycopg")


def shown(url: URL) -> str:
    """The address without anything secret."""
    return url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)


def _line(problem: Exception) -> str:
    """The first line of an error; of a database's own error where Optuna wraps it."""
    while problem.__cause__ is not None and isinstance(problem.__cause__, Exception):
        problem = problem.__cause__
    return (str(getattr(problem, "orig", None) or problem).splitlines() or [repr(problem)])[0]


def _journal(path: Path) -> BaseStorage:
    file = str(path.resolve())  # Optuna's lock spins forever on a stale relative path
    return JournalStorage(JournalFileBackend(file, lock_obj=JournalFileOpenLock(file)))


def _study(storage: Any, name: str, objective: Objective) -> optuna.Study:
    """The study `name`; nothing is written if it is there."""
    with contextlib.suppress(KeyError):
        return optuna.load_study(study_name=name, storage=storage)
    study = optuna.create_study(
        storage=storage, study_name=name, directions=objective.directions, load_if_exists=True
    )
    names = [objective.quality.label, "multiply-adds"] if objective.kind == "front" else ["reward"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # names on the axes, nothing else
        study.set_metric_names(names)
    return study
