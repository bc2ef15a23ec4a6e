"""Train the members of a family one after another, each out of the one before."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from autoscale.design.cost import cost
from autoscale.errors import InvalidSetting
from autoscale.jobs.family.kept import STEP as FAMILY
from autoscale.jobs.family.kept import designs_of
from autoscale.jobs.family.weights import images_for_training
from autoscale.jobs.grown.result import STEP, GrownMember, first_as_good, member_folder
from autoscale.jobs.grown.training import GrownTraining, begins_at
from autoscale.jobs.nested.result import RESULT, TrainedFamily, members_table
from autoscale.jobs.nested.settings import TrainFamilySettings, for_grown, for_member
from autoscale.jobs.record import Record
from autoscale.jobs.train.begin import begun
from autoscale.jobs.train.result import Trained
from autoscale.jobs.train.settings import TrainSettings
from autoscale.jobs.train.training import Training
from autoscale.listener import Listener, Silent
from autoscale.network.inheritance.correspondence import require_kindred
from autoscale.network.threads import threads_of_torch
from autoscale.runs.store import Journal, StepFolder, write_text
from autoscale.scaling.family import Member
from autoscale.training.failures import OutOfTime
from autoscale.training.process_group import ALONE


def grow(run: Path, settings: TrainFamilySettings, listener: Listener) -> TrainedFamily:
    """Train the members of a run's family from the smallest to the largest.

    Each but the smallest begins with the best weights of the one before, as far as they fit; what
    is new begins so that as little as possible changes, see `network.inheritance.inherit`. Members
    that are finished are not trained again, and those that the family gained at its end since are
    trained too.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    members = _members(run)
    data = images_for_training(run, settings.data)
    course = _Growth(run, replace(settings, data=data), members, listener)
    with StepFolder(run, STEP).locked(), threads_of_torch(settings.threads):
        return course.carried_out()


def _members(run: Path) -> list[Member]:
    """The members of the family, smallest first.

    Raises:
        InvalidSetting: if they are fewer than two, or cannot give each other their weights.
    """
    members, _ = designs_of(run)
    if len(members) < 2:
        raise InvalidSetting(
            f"one member grows out of another, and the family of {run} has {members[0].name} "
            f"alone; write more with: autoscale family --run {run} --phi 0..3"
        )
    for member in members:
        require_kindred(member.architecture, f"member {member.name}")
    return sorted(members, key=lambda member: (cost(member.architecture).macs, member.phi))


@dataclass(frozen=True)
class _Growth:
    """All trainings of a family."""

    run: Path
    settings: TrainFamilySettings  # with the images
    members: Sequence[Member]  # smallest first
    listener: Listener

    def carried_out(self) -> TrainedFamily:
        """Train what is not trained yet, and say how good all are."""
        started, before, found = time.monotonic(), None, list[GrownMember]()
        for member in self.members:
            asked = self._asked(member, before, time.monotonic() - started)
            training = begun(asked, member_folder(self.run, member.name), ALONE, self.listener)
            if before is None:
                self._record(training)
            else:
                self.listener.notice(f"{member.name} grows out of {before.name}")
            parts = {field.name: getattr(training, field.name) for field in fields(Training)}
            trained = GrownTraining(**parts).run()
            found.append(_result(member, trained, before, training.step))
            before = trained
        assert before is not None
        self._write(found)
        return TrainedFamily(largest=before, members=tuple(found))

    def _asked(self, member: Member, before: Trained | None, spent: float) -> TrainSettings:
        """How a member is trained.

        Raises:
            OutOfTime: if no time is left.
        """
        network, data = str(self.run / FAMILY / f"{member.name}.yaml"), self.settings.data
        assert data is not None
        if before is None:
            return for_member(self.settings, network, data)
        asked = for_grown(self.settings, network, data, before=before.weights)
        if asked.time_limit is None:
            return asked
        if spent >= asked.time_limit:
            raise OutOfTime(
                f"{asked.time_limit:g} seconds were over before {member.name}; allow more, or "
                "fewer epochs: what is finished is kept"
            )
        return replace(asked, time_limit=asked.time_limit - spent)

    def _record(self, first: Training) -> None:
        """Claim the folder for what is asked of all members, by that of the smallest.

        Raises:
            RunConflict: if another growth was begun there.
        """
        step, epochs = StepFolder(self.run, STEP), first.task.recipe.epochs
        grown = self.settings.grown_epochs or epochs
        record = Record(
            settings=replace(self.settings, weights=first.settings.weights),
            facts=first.task.record(),
            notes={"members": {m.name: grown if n else epochs for n, m in enumerate(self.members)}},
        )
        journal = Journal(first.step.file("epochs.jsonl"))
        record.begin(step, journal, Silent(), read=lambda journal: None)

    def _write(self, members: Sequence[GrownMember]) -> None:
        step = StepFolder(self.run, STEP)
        write_text(step.file("members.csv"), members_table(tuple(members)).to_csv(index=False))
        step.write_result(RESULT, {"members": [asdict(member) for member in members]})


def _result(
    member: Member, trained: Trained, before: Trained | None, step: StepFolder
) -> GrownMember:
    """How good a member is, and how it got there."""
    best = trained.best.accuracy
    assert best is not None
    last = None if before is None else before.best.accuracy
    return GrownMember(
        name=member.name,
        phi=member.phi,
        pixels=member.architecture.resolution,
        macs=trained.macs,
        params=trained.params,
        validation_accuracy=best,
        test_accuracy=trained.test_accuracy,
        epochs=len(trained.epochs),
        begins_at=begins_at(step),
        overtakes_after=None if last is None else first_as_good(trained.epochs, last),
        seconds=round(sum(epoch.seconds for epoch in trained.epochs), 3),
    )
