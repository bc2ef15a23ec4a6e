"""The job of `autoscale train-family`."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.clock import now
from autoscale.jobs.family.kept import STEP as FAMILY
from autoscale.jobs.family.weights import images_for_training
from autoscale.jobs.grown.job import grow
from autoscale.jobs.nested.members import NestedFamily
from autoscale.jobs.nested.result import STEP, TrainedFamily, read_members
from autoscale.jobs.nested.settings import SHARE, TrainFamilySettings, for_member
from autoscale.jobs.nested.training import NestedTraining
from autoscale.jobs.train.begin import begun
from autoscale.jobs.train.hours import in_time
from autoscale.jobs.train.training import Training
from autoscale.listener import Listener, Silent
from autoscale.network.threads import threads_of_torch
from autoscale.runs.store import Journal, StepFolder
from autoscale.settings.function import takes_settings
from autoscale.tracking.tracking import require_trackers
from autoscale.training.process_group import ALONE


@takes_settings(TrainFamilySettings)
def train_family(
    run: str | Path, settings: TrainFamilySettings, *, listener: Listener | None = None
) -> TrainedFamily:
    """Train the members of a run's family: in one set of weights, or each out of the one before.

    In one set of weights, those of the largest, the others are its first blocks of each stage and
    its first channels, each at its own resolution. In each step the largest learns the labels of a
    batch, and the smallest and one of the others by chance learn the largest's answers to the same
    crops. An epoch shows each image once to each of these three. `cut` writes a member, or a design
    between two, as a file.

    With `grow` each member has weights of its own. The smallest is trained first, as `train` does;
    the next one begins with what it learned, and so on to the largest.

    The same call continues a broken training after its last whole epoch, to the same bits.

    Args:
        run: the run directory, which holds a family; this step writes its `nested` folder, or with
            `grow` its `grown` folder.
        listener: told of progress; by default nobody.

    Returns:
        The largest member's epochs, the file of its weights, and how good each member is, smallest
        first; with `grow` each is a `jobs.grown.result.GrownMember`.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    since, run, listener = now(), Path(run), listener or Silent()
    if (size := os.environ.get("WORLD_SIZE", "1")) != "1":
        raise InvalidSetting(
            f"a family is trained in one process, torchrun started {size}; start the command "
            "without it"
        )
    require_trackers(settings.track)
    if settings.grow:
        return grow(run, settings, listener, since=since)
    family = NestedFamily.of(run)
    step = StepFolder(run, STEP)
    _require_same_members(family, step)
    largest = run / FAMILY / f"{family.largest.name}.yaml"
    with threads_of_torch(settings.threads):
        asked = for_member(settings, str(largest), images_for_training(run, settings.data))
        if settings.each_step == "one" and "epochs" not in asked.fields_given:
            passes = SHARE * asked.recipe_asked.epochs * (1 + len(family.inside))
            asked = asked.but(epochs=max(1, round(passes)))
        outer = begun(asked, step, ALONE, listener)
        training = NestedTraining(
            **{field.name: getattr(outer, field.name) for field in fields(Training)},
            family_settings=settings,
            family=family.for_classes(len(outer.task.images.classes)),
        )
        trained = in_time(training, settings.hours, since=since).run()
    members = read_members(step)
    assert members is not None
    return TrainedFamily(largest=trained, members=members)


def _require_same_members(family: NestedFamily, step: StepFolder) -> None:
    """
    Raises:
        RunConflict: if a training was begun there with other members than the family has now.
    """
    if not Journal(step.file("epochs.jsonl")).read() or step.read() is None:
        return
    before, now = (
        ", ".join(member.name for member in one.members)
        for one in (NestedFamily.from_record(step), family)
    )
    if before != now:
        raise RunConflict(
            f"{step.path} was begun with the members {before}, and the family has {now} now; write "
            "it in another --run and train it there"
        )
