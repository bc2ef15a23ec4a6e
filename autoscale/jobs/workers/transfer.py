"""What networks get from other ones: weights that they begin with, and a teacher's answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from autoscale.datasets.data import Images
from autoscale.jobs.groups.training import TransferSettings
from autoscale.jobs.other_channels import TakesImages
from autoscale.jobs.start import FRESH, Start
from autoscale.jobs.teaching.lessons import Lessons
from autoscale.listener import Listener


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Weights to begin with and a teacher, or neither; plain data until it is read."""

    start: Start = FRESH
    lessons: Lessons | None = None

    @classmethod
    def for_many(
        cls, settings: TransferSettings, *, device: str = "cpu", threads: int = 1
    ) -> Transfer:
        """Read the files that settings name, for networks of many designs.

        Args:
            device, threads: by which a teacher answers.

        Raises:
            InvalidSetting: if one does not hold what it should.
        """
        return cls(
            start=Start.for_many(settings),
            lessons=Lessons.of(settings, device=device, threads=threads),
        )

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, Any],
        notes: Mapping[str, Any],
        *,
        device: str = "cpu",
        threads: int = 1,
    ) -> Transfer:
        """Read what `record` gave, perhaps among other things; the files are to be read.

        Args:
            notes: where they lie: `weights`, `teacher`; and its `teacher_resolution`.

        Raises:
            KeyError, TypeError: if something is missing or of another kind.
        """
        start = Start.from_record(record, file=notes.get("weights"))
        return cls(
            start=start,
            lessons=Lessons.from_record(
                record,
                source=notes.get("teacher"),
                resolution=notes.get("teacher_resolution"),
                aspect=start.expected.preparation.aspect,
                device=device,
                threads=threads,
            ),
        )

    def for_design(self, design: TakesImages) -> Transfer:
        """The same for networks that take the images of a design or a space, as
        `Start.for_design`; a teacher sees them too, as `Lessons.for_aspect`."""
        lessons = self.lessons
        return replace(
            self,
            start=self.start.for_design(design),
            lessons=None if lessons is None else lessons.for_aspect(design.aspect),
        )

    def for_images(self, train: Images, listener: Listener) -> Transfer:
        """The same with what is measured of training images, as `Start.for_images`; `listener` is
        told."""
        start, found = self.start.for_images(train)
        if found is not None:
            mean, deviation = (
                ", ".join(f"{value:.3g}" for value in values) for values in found[:2]
            )
            listener.notice(f"of the training images: mean {mean}, deviation {deviation}")
            for line in found.notices():
                listener.notice(f"warning: {line}")
        return replace(self, start=start)

    def require_teachable(self) -> None:
        """
        Raises:
            InvalidSetting: if the teacher sees other images than the networks.
        """
        if self.lessons is not None and self.lessons.held is not None:
            self.lessons.require_same_images(self.start.expected.preparation)

    def read(self) -> Transfer:
        """With the weights, and with the teacher unless its answers are in the cache.

        Raises:
            InvalidSetting: if a file does not hold what it should.
            RunConflict: if it is not the one that the work began with.
        """
        lessons = self.lessons
        if lessons is not None and (lessons.answers is None or lessons.answers.read() is None):
            lessons = lessons.read()
        return replace(self, start=self.start.read(), lessons=lessons)

    def for_worker(self) -> Transfer:
        """As plain data."""
        lessons = self.lessons
        return Transfer(
            start=self.start.for_worker(),
            lessons=None if lessons is None else lessons.for_worker(),
        )

    def record(self) -> dict[str, Any]:
        """What of it decides a training's result and is not what every training has."""
        return {**self.start.settings(), **(self.lessons.facts() if self.lessons else {})}

    @property
    def told(self) -> dict[str, str]:
        """What a run notes of it for people; moving a file changes it."""
        return {**self.start.told, **(self.lessons.told if self.lessons else {})}


#: Random weights, and no teacher.
NOTHING = Transfer()
