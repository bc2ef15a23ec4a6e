"""What trainings learn from a teacher: whom they ask, about which pictures, and how it counts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscale.datasets.data import ImageData, Images
from autoscale.datasets.named import Unlabelled
from autoscale.datasets.pictures.preparation import Preparation
from autoscale.errors import DataProblem, InvalidSetting
from autoscale.jobs.groups.training import TeacherSettings
from autoscale.jobs.teaching.answers import answers_to
from autoscale.jobs.teaching.teacher import Teacher, columns_of, read_teacher
from autoscale.jobs.workers.proxy import ImageSource
from autoscale.listener import Listener, Silent
from autoscale.runs.images import ImageCache
from autoscale.training.recipe import Recipe
from autoscale.training.teacher.crops import FixedCrops
from autoscale.training.teacher.teaching import UNLABELLED, Teaching

#: Of settings that were left out.
WEIGHT, TEMPERATURE, CROPS = 0.7, 1.0, 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lessons:
    """What trainings learn from a teacher, before any images are there."""

    teacher: Teacher
    weight: float
    temperature: float
    crops: int
    unlabelled: Unlabelled | None

    @classmethod
    def of(
        cls, settings: TeacherSettings, *, device: str = "cpu", threads: int = 1
    ) -> "Lessons | None":
        """What is asked for; None if there is no teacher.

        Raises:
            InvalidSetting: if the file is no teacher.
            DataProblem: if there are no unlabelled pictures where they are said to be.
        """
        if settings.teacher is None:
            return None
        weight, heat = settings.teacher_weight, settings.teacher_temperature
        return cls(
            teacher=read_teacher(
                settings.teacher,
                resolution=settings.teacher_resolution,
                device=device,
                threads=threads,
            ),
            weight=WEIGHT if weight is None else weight,
            temperature=TEMPERATURE if heat is None else heat,
            crops=settings.teacher_crops or CROPS,
            unlabelled=None if settings.unlabelled is None else Unlabelled(settings.unlabelled),
        )

    def facts(self) -> dict[str, Any]:
        """What decides what is learned, as plain data."""
        pictures = {} if self.unlabelled is None else {"unlabelled": self.unlabelled.fingerprint}
        return {
            "teacher": self.teacher.digest,
            "teacher_weight": self.weight,
            "teacher_temperature": self.temperature,
            "teacher_crops": self.crops,
            **pictures,
        }

    def require_classes(self, classes: Sequence[str]) -> None:
        """
        Raises:
            InvalidSetting: if the teacher can tell nothing of these classes.
        """
        columns, _ = columns_of(self.teacher, classes)
        if columns is None and self.teacher.features is None:
            raise InvalidSetting(
                f"the teacher {self.teacher.name} tells {self.teacher.num_classes} other classes "
                f"apart than the data's {len(classes)}, and an ONNX file takes no new classifier; "
                "give weights instead, or train it on this data first: autoscale train NETWORK "
                "--weights FILE --recipe finetune"
            )

    def taught(
        self,
        images: ImageData,
        source: ImageSource,
        recipe: Recipe,
        *,
        preparation: Preparation,
        listener: Listener,
    ) -> tuple[Images, Teaching]:
        """The images to train on, unlabelled ones behind the others, and the answers to them.

        Answers that are in the cache are not computed again.

        Args:
            source: of the images.
            preparation: what the images were decoded by.

        Raises:
            InvalidSetting: if the teacher can tell nothing of these classes, or gives no numbers.
            DataProblem: if pictures cannot be read.
            StorageProblem: if the cache cannot be written.
        """
        self.require_classes(images.classes)
        for note in self.teacher.notes:
            listener.notice(f"teacher: {note}")
        seen = source.load(
            size=self.teacher.resolution,
            test=False,
            listener=Silent(),
            preparation=self.teacher.preparation,
        )
        if not np.array_equal(seen.train.labels, images.train.labels):
            raise DataProblem(
                f"the images of {source.data} changed while they were read; repeat the command"
            )
        train, further = images.train, None
        if self.unlabelled is not None:
            train, further = self._with_unlabelled(images, source, preparation, listener)
        crops = FixedCrops(
            recipe=recipe, side=self.teacher.resolution, count=self.crops, seed=source.seed
        )
        answers = answers_to(crops, self.teacher, seen, further, listener=listener)
        return train, Teaching(
            crops=crops, answers=answers, weight=self.weight, temperature=self.temperature
        )

    def _with_unlabelled(
        self,
        images: ImageData,
        source: ImageSource,
        preparation: Preparation,
        listener: Listener,
    ) -> tuple[Images, NDArray[np.uint8]]:
        """All images to train on, and the unlabelled ones as the teacher sees them."""
        assert self.unlabelled is not None
        keep, strict = ImageCache(notice=listener.notice), source.strict
        sizes = (
            (images.train.pixels.shape[1], preparation),
            (
                self.teacher.resolution,
                self.teacher.preparation,
            ),
        )
        ours, theirs = (
            self.unlabelled.load(size=size, strict=strict, keep=keep, preparation=expected)
            for size, expected in sizes
        )
        if {*ours.unread} != {*theirs.unread}:
            raise DataProblem(
                f"pictures of {self.unlabelled.folder} can be read at one size and not at another; "
                "repair or remove them"
            )
        fresh = _fresh(ours.pixels, images)
        left_out = [f"{len(ours.unread)} unreadable"] if ours.unread else []
        if known := len(fresh) - int(fresh.sum()):
            left_out.append(f"{known} that the data set holds too")
        listener.notice(
            f"{int(fresh.sum()):,} unlabelled pictures train with the teacher's answers alone"
            + (f"; left out: {', '.join(left_out)}" if left_out else "")
        )
        if not fresh.any():
            raise DataProblem(
                f"the data set holds every picture of {self.unlabelled.folder}; leave --unlabelled "
                "out"
            )
        labels = np.full(int(fresh.sum()), UNLABELLED, dtype=np.int64)
        pixels = np.concatenate([images.train.pixels, ours.pixels[fresh]])
        train = Images(pixels, np.concatenate([images.train.labels, labels]))
        return train, theirs.pixels[fresh]


def _fresh(pixels: NDArray[np.uint8], images: ImageData) -> NDArray[np.bool_]:
    """Which images are none of a data set's, whatever they are used for there."""
    parts = (images.train, images.validation, images.test)
    known = {_hash(image) for part in parts if part is not None for image in part.pixels}
    return np.array([_hash(image) not in known for image in pixels], dtype=bool)


def _hash(pixels: NDArray[np.uint8]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=12).hexdigest()
