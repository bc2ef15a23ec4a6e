"""Train the members of a family one after another, each out of the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from autoscale.design.cost import cost
from autoscale.errors import InvalidSetting
from autoscale.jobs.clock import now
from autoscale.jobs.deadline import Deadline
from autoscale.jobs.family.kept import STEP as FAMILY
from autoscale.jobs.family.kept import designs_of
from autoscale.jobs.family.weights import images_for_training
from autoscale.jobs.grown.result import STEP, GrownMember, first_as_good, member_folder
from autoscale.jobs.grown.training import GrownTraining, begins_at
from autoscale.jobs.names import NO_WEIGHTS
from autoscale.jobs.nested.result import RESULT, TrainedFamily, members_table, told_of_members
from autoscale.jobs.nested.settings import TrainFamilySettings, for_grown, for_member
from autoscale.jobs.record import Record
from autoscale.jobs.tracked import tracking_of
from autoscale.jobs.train.begin import begun
from autoscale.jobs.train.hours import Timed, begun_in_time, most_epochs, with_epochs
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


def grow(
    run: Path, settings: TrainFamilySettings, listener: Listener, *, since: float
) -> TrainedFamily:
    """Train the members of a run's family from the smallest to the largest.

    Each but the smallest begins with the best weights of the one before, as far as they fit; what
    is new begins so that as little as possible changes, see `network.inheritance.inherit`. Members
    that are finished are not trained again, and those that the family gained at its end since are
    trained too.

    Args:
        since: when the call began, by `clock.now`.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    members = _members(run)
    data = images_for_training(run, settings.data)
    step = StepFolder(run, STEP)
    with step.locked(), threads_of_torch(settings.threads):
        deadline = Deadline.of(settings.hours, step, listener, since=since)
        settings = replace(settings, data=data)
        course = _Growth(run, settings, members, deadline or listener, deadline)
        with tracking_of(step, settings, listener) as tracking:
            grown = course.carried_out()
            tracking.conclude(told_of_members(grown.members))
    return grown


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
    deadline: Deadline | None

    def carried_out(self) -> TrainedFamily:
        """Train what is not trained yet, and say how good all are."""
        started, before, found = now(), None, list[GrownMember]()
        epochs = self._epochs()
        for member in self.members:
            if before and self.deadline and self.deadline.late(0.0):
                self.listener.notice(f"warning: the time ended before {member.name} was begun")
                break
            asked = self._asked(member, before, now() - started)
            training = self._begun(member, asked, self.listener)
            training = with_epochs(
                training, epochs.get(member.name, training.task.recipe.epochs), self.deadline
            )
            if before is None:
                self._record(training, epochs)
            else:
                self.listener.notice(f"{member.name} grows out of {before.name}")
            trained = training.run()
            found.append(_result(member, trained, before, training.step))
            before = trained
        assert before is not None
        self._write(found)
        return TrainedFamily(largest=before, members=tuple(found))

    def _begun(self, member: Member, asked: TrainSettings, listener: Listener) -> GrownTraining:
        training = begun(asked, member_folder(self.run, member.name), ALONE, listener)
        return GrownTraining(**{one.name: getattr(training, one.name) for one in fields(Training)})

    def _network(self, member: Member) -> str:
        return str(self.run / FAMILY / f"{member.name}.yaml")

    def _asked(self, member: Member, before: Trained | None, spent: float) -> TrainSettings:
        """How a member is trained.

        Raises:
            OutOfTime: if no time is left.
        """
        network, data = self._network(member), self.settings.data
        assert data is not None
        asked = (
            for_member(self.settings, network, data)
            if before is None
            else for_grown(self.settings, network, data, before=before.weights)
        )
        asked = replace(asked, hours=None)  # which are those of all
        if asked.time_limit is None or before is None:
            return asked
        if spent >= asked.time_limit:
            raise OutOfTime(
                f"{asked.time_limit:g} seconds were over before {member.name}; allow more, or "
                "fewer epochs: what is finished is kept"
            )
        return replace(asked, time_limit=asked.time_limit - spent)

    # How many epochs fit into the hours

    def _epochs(self) -> dict[str, int]:
        """Of each member the epochs that fit into the hours; none without such.

        All get the same share of what is asked for. The numbers are decided once, before the first
        step, by timed steps of each member.
        """
        step, deadline = StepFolder(self.run, STEP), self.deadline
        if deadline is None:
            return {}
        first = member_folder(self.run, self.members[0].name)
        if begun_in_time(step, Journal(first.file("epochs.jsonl"))):
            return dict((step.read() or {})["notes"]["members"])
        timed = [self._timed(member) for member in self.members]
        asked = [one.training.task.recipe.epochs for one in timed]

        def of_each(epochs: int) -> list[int]:
            """For so many of the smallest."""
            return [max(1, round(epochs * own / asked[0])) for own in asked]

        def seconds(epochs: int) -> float:
            each = zip(timed, of_each(epochs), strict=True)
            return sum(one.seconds(own) for one, own in each)

        most = most_epochs(seconds, asked[0], deadline, "one epoch of each member")
        found = of_each(most)
        deadline.notice(
            f"{found[0]} of {asked[0]} epochs of {self.members[0].name} and {found[-1]} of "
            f"{asked[-1]} of each other member fit into --hours {deadline.hours:g}; --epochs "
            f"{found[0]} --grown-epochs {found[-1]} repeats this"
        )
        return {member.name: own for member, own in zip(self.members, found, strict=True)}

    def _timed(self, member: Member) -> Timed:
        """What the parts of a member's training take, with random weights."""
        data = self.settings.data
        assert data is not None
        asked = for_grown(self.settings, self._network(member), data, before=Path(NO_WEIGHTS))
        if member is self.members[0]:
            asked = replace(asked, epochs=self.settings.epochs)
        return Timed.of(self._begun(member, replace(asked, hours=None), Silent()))

    # What is left behind

    def _record(self, first: Training, epochs: Mapping[str, int]) -> None:
        """Claim the folder for what is asked of all members, by that of the smallest.

        Raises:
            RunConflict: if another growth was begun there.
        """
        step, own = StepFolder(self.run, STEP), first.task.recipe.epochs
        grown = self.settings.grown_epochs or own
        of_each = {m.name: grown if n else own for n, m in enumerate(self.members)}
        record = Record(
            settings=replace(self.settings, weights=first.settings.weights),
            facts=first.task.record(),
            notes={"members": {**of_each, **epochs}},
        )
        journal = Journal(first.step.file("epochs.jsonl"))
        record.begin(step, journal, Silent(), read=lambda journal: None)

    def _write(self, members: Sequence[GrownMember]) -> None:
        step = StepFolder(self.run, STEP)
        write_text(step.file("members.csv"), members_table(tuple(members)).to_csv(index=False))
        step.write_result(RESULT, {"members": [member.to_dict() for member in members]})


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
        validation_map=trained.best.score,
        test_map=trained.test_score,
        epochs=len(trained.epochs),
        begins_at=begins_at(step),
        overtakes_after=None if last is None else first_as_good(trained.epochs, last),
        seconds=round(sum(epoch.seconds for epoch in trained.epochs), 3),
    )
