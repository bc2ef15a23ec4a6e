"""The command `autoscale advise`: what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autoscale.jobs.advise.settings import AdviseSettings
from autoscale.settings.option import option

if TYPE_CHECKING:
    from autoscale.jobs.advise.job import AdvicePlan
    from autoscale.jobs.advise.result import Advised

# Jobs are imported where they are used: `autoscale --help` must not wait for torch.


@dataclass(frozen=True, kw_only=True)
class AdviseOptions(AdviseSettings):
    """What may be asked, and how it is answered."""

    plan: bool = option(
        False, "Show the trainings and their time; train nothing.", binds=False, recorded=False
    )


def advise_command(settings: AdviseOptions, *, run: Path, as_json: bool) -> None:
    """What would more images, more epochs, a larger network or more pixels buy?

    The run's network is trained for a short time on all images and on halves of them, for more and
    fewer epochs, and smaller and larger ones beside it. By default each effort doubles what a
    training costs. The same command goes on where it was interrupted.
    """
    from autoscale.cli.terminal import working
    from autoscale.jobs.advise.job import advise, plan_advice

    with working() as listener:
        if settings.plan:
            planned = plan_advice(run, settings, listener=listener)
        else:
            found = advise(run, settings, listener=listener)
    if settings.plan:
        _show_plan(planned, as_json)
    else:
        _show_advice(found, run, as_json)


def _show_plan(planned: AdvicePlan, as_json: bool) -> None:
    from autoscale.cli.terminal import CONVENTION, explain, records, say, show_json, show_table
    from autoscale.listener import duration

    if as_json:
        show_json(
            {
                "convention": CONVENTION,
                "trainings": planned.trainings,
                "kept": planned.kept,
                "seconds": planned.seconds,
                "plan": records(planned.table),
            }
        )
        return
    show_table(planned.table, title="Trainings", columns=tuple(planned.table.columns))
    kept = f", {planned.kept} of them there already" if planned.kept else ""
    say(
        f"{planned.trainings} trainings{kept}, about {duration(planned.seconds)}; nothing was "
        "trained."
    )
    explain(CONVENTION)


def _show_advice(found: Advised, run: Path, as_json: bool) -> None:
    from autoscale.cli.terminal import CONVENTION, explain, say, show_json, show_table

    if as_json:
        show_json({"convention": CONVENTION, **found.to_dict()})
        return
    trained = found.trainings
    show_table(
        trained,
        title=f"Trainings around {found.name}",
        columns=tuple(trained.columns),
        spare=("macs", "seeds"),
    )
    show_table(
        found.table,
        title=f"What efforts are believed to add to {found.quality.label}",
        columns=tuple(found.table.columns),
        spare=("tells",),
    )
    if any(one.gain is not None for one in found.classes):
        show_table(
            found.class_table,
            title="What the images are believed to add to each class's recall",
            columns=tuple(found.class_table.columns),
            spare=("validation_images",),
        )
    for sentence in found.sentences:
        say(sentence)
    if found.failed:
        say(f"{found.failed} trainings failed; autoscale status {run} says why.")
    explain(
        "gain, low, high: shares of the validation images, an interval at 90 % over seeds and "
        "other images of the kind; of trainings as short as these"
    )
    explain(CONVENTION)
