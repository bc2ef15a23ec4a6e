"""The options of every command that trains many networks: how many at once, where, how long."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from autoscale.jobs.workers.pool import WorkerSettings

_PANEL = "Workers"

Workers = Annotated[
    int,
    typer.Option(
        help="Trainings at once, each in a process of its own if more than one.",
        rich_help_panel=_PANEL,
    ),
]
Retries = Annotated[
    int,
    typer.Option(
        help="How often a training is repeated whose worker died.", rich_help_panel=_PANEL
    ),
]
TrialTimeout = Annotated[
    float | None,
    typer.Option(
        help="Seconds after which a training is cut and counts as failed; it then runs in a worker "
        "process.",
        rich_help_panel=_PANEL,
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        help="local: processes of this machine. ray: a Ray cluster (needs the extra ray).",
        rich_help_panel=_PANEL,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Of a running Ray cluster, host:port or auto. \\[default: one on this machine]",
        rich_help_panel=_PANEL,
    ),
]
Cpus = Annotated[
    float,
    typer.Option(help="CPUs that Ray sets aside for a training.", rich_help_panel=_PANEL),
]
Gpus = Annotated[
    float,
    typer.Option(help="GPUs likewise; 0.5 lets two share one.", rich_help_panel=_PANEL),
]


def staff_of(
    *,
    workers: int,
    retries: int,
    trial_timeout: float | None,
    engine: str,
    address: str | None,
    cpus_per_trial: float,
    gpus_per_trial: float,
) -> "WorkerSettings":
    """The staff that the options ask for.

    Raises:
        InvalidSetting: for values that employ nobody.
    """
    from autoscale.jobs.workers.pool import WorkerSettings

    return WorkerSettings(
        workers=workers,
        engine=engine,  # type: ignore[arg-type]
        retries=retries,
        time_limit=trial_timeout,
        address=address,
        cpus=cpus_per_trial,
        gpus=gpus_per_trial,
    )
