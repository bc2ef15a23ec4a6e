"""What trainings learn from a teacher: whom they ask, about which pictures, and how it counts."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscale.aspect import SQUARE, Aspect, image_size, written
from autoscale.datasets.data import ImageData, Images
from autoscale.datasets.named import Unlabelled
from autoscale.datasets.pictures.preparation import Preparation, in_bands
from autoscale.errors import DataProblem, InvalidSetting, RunConflict
from autoscale.jobs.groups.training import TeacherSettings
from autoscale.jobs.teaching.answers import Answers, answers_to, seconds_of_answers
from autoscale.jobs.teaching.teacher import Teacher, columns_of, read_teacher
from autoscale.jobs.workers.source import ImageSource
from autoscale.listener import Listener, Silent
from autoscale.runs.images import ImageCache
from autoscale.training.recipe import Recipe
from autoscale.training.task import TrainingTask
from autoscale.training.teacher.crops import FixedCrops
from autoscale.training.teacher.teaching import UNLABELLED, Teaching

#: Of settings that were left out.
WEIGHT, TEMPERATURE, CROPS = 0.7, 1.0, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Pupils:
    """Which images are answered, and how a training sees them."""

    images: ImageData  # that are trained on
    source: ImageSource  # of them
    preparation: Preparation  # that they were decoded by
    recipe: Recipe  # whose crops are answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """What a training learns from: images, and a teacher's answers to them."""

    images: Images  # unlabelled ones behind the others
    teaching: Teaching

    def given(self, task: TrainingTask) -> TrainingTask:
        """The task with them."""
        return replace(task, train=self.images, teaching=self.teaching)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """What trainings learn from a teacher.

    It is plain data without the teacher itself, which is read where answers are missing: so it
    travels to workers, which find the answers in the cache.
    """

    source: str  # of the teacher, as `read_teacher` takes it
    digest: str  # of the teacher's file, and of how it is used
    # Pixels in height that it sees, and their width by that; None: its own, until it is read.
    resolution: int | None
    weight: float
    temperature: float
    crops: int
    aspect: Aspect | None = None
    unlabelled: Unlabelled | None = None
    device: str = "cpu"  # where it computes
    threads: int = 1
    answers: Answers | None = field(default=None, compare=False, repr=False)
    held: Teacher | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        settings: TeacherSettings,
        *,
        unlabelled: str | None = None,
        device: str = "cpu",
        threads: int = 1,
    ) -> "Lessons | None":
        """What is asked for; None if there is no teacher.

        Args:
            unlabelled: a folder of pictures without classes, which it answers too.

        Raises:
            InvalidSetting: if the file is no teacher.
            DataProblem: if there are no unlabelled pictures where they are said to be.
        """
        if settings.teacher is None:
            return None
        teacher = read_teacher(
            settings.teacher,
            resolution=settings.teacher_resolution,
            device=device,
            threads=threads,
        )
        weight, heat = settings.teacher_weight, settings.teacher_temperature
        return cls(
            source=settings.teacher,
            digest=teacher.digest,
            resolution=teacher.resolution,
            aspect=teacher.preparation.aspect,
            weight=WEIGHT if weight is None else weight,
            temperature=TEMPERATURE if heat is None else heat,
            crops=settings.teacher_crops or CROPS,
            unlabelled=None if unlabelled is None else Unlabelled(unlabelled),
            device=device,
            threads=threads,
            held=teacher,
        )

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, Any],
        *,
        source: str | None,
        resolution: int | None,
        aspect: Aspect,
        device: str = "cpu",
        threads: int = 1,
    ) -> "Lessons | None":
        """Read what `facts` gave, perhaps among other things; None if it knows of no teacher.

        Args:
            source: where the teacher lies.
            resolution: pixels in height that it was asked to see.
            aspect: of the networks that learn.

        Raises:
            KeyError, TypeError: if something is missing or of another kind.
        """
        if "teacher" not in record:
            return None
        if source is None:
            raise KeyError("teacher")
        return cls(
            source=source,
            digest=str(record["teacher"]),
            resolution=resolution,
            aspect=aspect,
            weight=float(record["teacher_weight"]),
            temperature=float(record["teacher_temperature"]),
            crops=int(record["teacher_crops"]),
            device=device,
            threads=threads,
        )

    def facts(self) -> dict[str, Any]:
        """What decides what is learned, as plain data."""
        pictures = {} if self.unlabelled is None else {"unlabelled": self.unlabelled.fingerprint}
        return {
            "teacher": self.digest,
            "teacher_weight": self.weight,
            "teacher_temperature": self.temperature,
            "teacher_crops": self.crops,
            **pictures,
        }

    def for_aspect(self, aspect: Aspect) -> "Lessons":
        """The same for networks whose images have that aspect.

        The teacher sees such images too, at its own resolution, so that its crops are theirs; one
        that takes a single size keeps it, see `require_same_images`.
        """
        if self.held is None or self.held.preparation.aspect == aspect:
            return self
        found = self._found(aspect)
        return replace(self, held=found, digest=found.digest, aspect=found.preparation.aspect)

    def _found(self, aspect: Aspect | None) -> Teacher:
        """
        Raises:
            InvalidSetting: if the file is no teacher.
        """
        return read_teacher(
            self.source,
            resolution=self.resolution,
            aspect=aspect,
            device=self.device,
            threads=self.threads,
        )

    @property
    def name(self) -> str:
        """How people call the teacher."""
        return Path(self.source).name

    @property
    def told(self) -> dict[str, str]:
        """What a run notes of it for people; moving the file changes it."""
        pixels = ""
        if self.resolution is not None:
            pixels = f" at {image_size(self.resolution, self.aspect or SQUARE)} pixels"
        return {"taught": f"{self.name}{pixels}, weight {self.weight:g}"}

    def read(self) -> "Lessons":
        """With the teacher.

        Raises:
            InvalidSetting: if the file is none.
            RunConflict: if it is not the one that the work began with.
        """
        if self.held is not None:
            return self
        try:
            found = self._found(self.aspect)
        except InvalidSetting as problem:
            raise InvalidSetting(f"{problem}, and say with --teacher where it lies now") from None
        if found.digest != self.digest:
            raise RunConflict(
                f"{self.source} is not the teacher that the work began with; restore it, or say "
                "with --teacher where it lies now"
            )
        return replace(
            self, held=found, resolution=found.resolution, aspect=found.preparation.aspect
        )

    def for_worker(self) -> "Lessons":
        """As plain data."""
        return replace(self, held=None)

    def require_classes(self, classes: Sequence[str]) -> None:
        """
        Raises:
            InvalidSetting: if the teacher can tell nothing of these classes.
        """
        teacher = self._teacher
        columns, _ = columns_of(teacher, classes)
        if columns is None and teacher.features is None:
            raise InvalidSetting(
                f"the teacher {teacher.name} tells {teacher.num_classes} other classes "
                f"apart than the data's {len(classes)}, and an ONNX file takes no new classifier; "
                "give weights instead, or train it on this data first: autoscale train NETWORK "
                "--weights FILE --recipe finetune"
            )

    def taught(self, pupils: Pupils, *, listener: Listener) -> "tuple[Lessons, Taught]":
        """What a training learns from, and these lessons with their answers in the cache.

        Answers that are there already are not computed again.

        Raises:
            InvalidSetting: if the teacher can tell nothing of these classes, or gives no numbers.
            DataProblem: if pictures cannot be read.
            StorageProblem: if the cache cannot be written.
        """
        ready, kept = self, self.answers.read() if self.answers else None
        if kept is None:
            ready = self.read()
            ready.require_classes(pupils.images.classes)
            for note in ready._teacher.notes:
                listener.notice(f"teacher: {note}")
        images, further = ready._with_unlabelled(pupils, listener)
        crops = ready._crops(pupils)
        if kept is None:
            answers = answers_to(
                crops, ready._teacher, ready._seen(pupils), further, listener=listener
            )
            ready, kept = replace(ready, answers=answers), answers.read()
            assert kept is not None
        teaching = Teaching(
            crops=crops, answers=kept, weight=self.weight, temperature=self.temperature
        )
        return ready, Taught(images=images, teaching=teaching)

    def seconds(self, pupils: Pupils) -> float:
        """Seconds that the answers will take, from a timed pass of a few images."""
        ready = self.read()
        _, further = ready._with_unlabelled(pupils, Silent())
        return seconds_of_answers(
            ready._crops(pupils), ready._teacher, ready._seen(pupils), further
        )

    @property
    def _teacher(self) -> Teacher:
        assert self.held is not None, "read the teacher first"
        return self.held

    def _crops(self, pupils: Pupils) -> FixedCrops:
        """The crops, which every training of a run shares, whatever its own seed and resolution."""
        assert self.resolution is not None, "read the teacher first"
        assert self.aspect is not None, "read the teacher first"
        return FixedCrops(
            recipe=pupils.recipe,
            size=image_size(self.resolution, self.aspect),
            count=self.crops,
            seed=pupils.source.seed,
        )

    def require_same_images(self, pupils: Preparation) -> None:
        """
        Args:
            pupils: what the networks expect that learn.

        Raises:
            InvalidSetting: if the teacher takes other bands, or another part of pictures.
        """
        own = self._teacher.preparation
        if own.channels != pupils.channels and (
            in_bands(own.channels) or in_bands(pupils.channels)
        ):
            raise InvalidSetting(
                f"the teacher takes images of {own.channels} channels, and the networks take "
                f"{pupils.channels}; take a teacher of these bands, or none"
            )
        if own.area != pupils.area:
            raise InvalidSetting(
                f"the teacher sees pictures {own.area}, and the networks {pupils.area}: its crops "
                f"would be others; give --area {own.area}, or another teacher"
            )

        if own.aspect != pupils.aspect and own.area != "squashed":
            raise InvalidSetting(
                f"the teacher takes images of aspect {written(own.aspect)} alone, and the networks "
                f"{written(pupils.aspect)}: its crops would be others; take a teacher that takes "
                f"any size, as one in a file of weights, or give --aspect {written(own.aspect)}"
            )

    def _seen(self, pupils: Pupils) -> ImageData:
        """The images as the teacher sees them.

        Raises:
            DataProblem: if they are not those that are trained on.
        """
        teacher, source = self._teacher, pupils.source
        seen = source.load(
            size=teacher.resolution,
            test=False,
            listener=Silent(),
            preparation=teacher.preparation,
        )
        if not np.array_equal(seen.train.labels, pupils.images.train.labels):
            raise DataProblem(
                f"the images of {source.data} changed while they were read; repeat the command"
            )
        return seen

    def _with_unlabelled(
        self, pupils: Pupils, listener: Listener
    ) -> tuple[Images, NDArray[np.uint8] | None]:
        """All images to train on, and the unlabelled ones of them as the teacher sees them."""
        images = pupils.images
        if self.unlabelled is None:
            return images.train, None
        keep, strict = ImageCache(notice=listener.notice), pupils.source.strict
        sizes = (
            (images.train.pixels.shape[1], pupils.preparation),
            (self._teacher.resolution, self._teacher.preparation),
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
