"""A copy of the search in a PostgreSQL database."""

from collections.abc import Callable

import optuna
from optuna.storages import RDBStorage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from autoscale.distribution import install
from autoscale.errors import InvalidSetting, RunConflict, StorageProblem
from autoscale.search.dashboard import first_line, study_in
from autoscale.search.objective import Objective

#: Seconds that a server may take to answer when it is called.
_PATIENCE = 5


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
            study = study_in(storage, name, objective)
            kept = len(study.get_trials(deepcopy=False))
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as problem:
            raise StorageProblem(f"{shown(place)}: {first_line(problem)}") from None
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
