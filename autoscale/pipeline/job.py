"""From images to one trained network within limits and a time, or the plan of that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autoscale.jobs.clock import Clock
from autoscale.jobs.costs import board_of
from autoscale.jobs.record import Record
from autoscale.listener import Listener, Silent
from autoscale.pipeline.beside import require_teacher
from autoscale.pipeline.course import Course
from autoscale.pipeline.result import Made, Planned, plan_lines
from autoscale.pipeline.settings import MakeSettings
from autoscale.pipeline.source import beginning
from autoscale.pipeline.steps import Steps
from autoscale.runs.store import Journal, StepFolder
from autoscale.settings.function import takes_settings

STEP = "make"


@takes_settings(MakeSettings)
def make_network(
    run: str | Path = "runs/make",
    *,
    settings: MakeSettings,
    listener: Listener | None = None,
) -> Made:
    """Make one trained network of a folder of images, within limits and a time.

    What the time allows is decided from measured speeds, before anything is trained: a published
    design scaled to the limits and trained; a search around it before that; a check and a grid too.
    The same call goes on with a broken run, more `hours` with a finished one. Time is that of all
    calls together, so two runs of one command need not do as much.

    Args:
        run: the run directory; every step leaves its folder in it.
        listener: told of progress; by default nobody.

    Returns:
        The network, how good it is on images that chose nothing, and where its files lie.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    with _begun(Path(run), settings, listener or Silent()) as course:
        planned = course.planned()
        for line in plan_lines(planned):
            course.clock.notice(line)
        return course.carried_out(planned)


@takes_settings(MakeSettings)
def plan_network(
    run: str | Path = "runs/make",
    *,
    settings: MakeSettings,
    listener: Listener | None = None,
) -> Planned:
    """What `make_network` would do with the same arguments, and how long each step would take.

    Nothing is trained but the few steps by which speeds are measured.

    Args:
        run: the run directory, which keeps what was measured.
        listener: told of progress; by default nobody.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    with _begun(Path(run), settings, listener or Silent()) as course:
        return course.planned()


@contextmanager
def _begun(run: Path, settings: MakeSettings, listener: Listener) -> Iterator[Course]:
    """The run, claimed for this call, once it is known that something keeps the limits."""
    began = beginning(settings)
    if settings.teach:
        require_teacher(settings, began)
    folder = StepFolder(run, STEP)
    with folder.locked():
        journal = Journal(folder.file("steps.jsonl"))
        facts = {
            "max_cost": {limit.measure.name: limit.to_dict() for limit in began.limits},
            "scaled": began.architecture.to_dict(),
            **began.start.settings(),
        }
        Record(settings=settings, facts=facts, notes=began.start.told).begin(
            folder, journal, listener, read=lambda found: found.read()
        )
        clock = Clock(journal, listener)
        steps = Steps(run=run, settings=settings, began=began, folder=folder, listener=clock)
        steps.write()
        board_of(settings, clock)
        for note in began.notes:
            clock.notice(note)
        try:
            course = Course(run=run, settings=settings, began=began, clock=clock, steps=steps)
            yield course.settled()
        finally:
            clock.note()
