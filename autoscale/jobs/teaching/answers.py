"""A teacher's answers to crops of images, each computed once and kept in the cache."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoscale.aspect import ImageSize
from autoscale.datasets.data import ImageData
from autoscale.design.amounts import several
from autoscale.errors import InvalidSetting
from autoscale.jobs.teaching.teacher import Pass, Teacher, columns_of
from autoscale.listener import Listener, Silent, duration
from autoscale.runs.cache import KeptRows
from autoscale.training.batches import as_channels_last, normalised
from autoscale.training.chance import chance_warning
from autoscale.training.crops import cut
from autoscale.training.head.features import Features
from autoscale.training.head.folds import FOLDS, FoldedHead, fit_folds
from autoscale.training.head.logistic import PENALTIES
from autoscale.training.teacher.crops import FixedCrops

#: In the cache.
FOLDER = "teachers"
_KEPT = 256  # images whose answers are written together
_PASS = 16  # images that go through together; few, whose maps fit into memory used again and again
#: Seconds until the first line that tells how far the answers are, and between the others.
_FIRST, _PACE = 5.0, 30.0

#: Some of the images as a teacher sees them: rows of a set to bytes (N, C, S, S).
_View = Callable[[slice], Tensor]
#: What is wanted of them: images as a network wants them, and their rows, to numbers (N, D).
_Answer = Callable[[Tensor, slice], Tensor]


@dataclass(frozen=True, slots=True)
class Answers:
    """Where the cache keeps a teacher's answers to sets of crops: plain data."""

    #: Of each set its number and its tables: of images with labels, and perhaps of others.
    sets: tuple[tuple[int, tuple[KeptRows, ...]], ...]

    def read(self) -> dict[int, NDArray[np.float32]] | None:
        """The logits of each set, (images, classes), mapped into memory; None if some are gone."""
        found: dict[int, NDArray[np.float32]] = {}
        for number, tables in self.sets:
            parts = [part for table in tables if (part := table.whole()) is not None]
            if len(parts) < len(tables):
                return None
            found[number] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return found


def answers_to(
    crops: FixedCrops,
    teacher: Teacher,
    seen: ImageData,
    further: NDArray[np.uint8] | None,
    *,
    listener: Listener,
) -> Answers:
    """Have a teacher answer each set of crops with logits of the data's classes, in their order.

    What the cache holds is not computed again; an interrupted call goes on where it was. A teacher
    that knows none of the classes is given a linear classifier of its features, see
    `training.head.folds`.

    Args:
        seen: the images as the teacher sees them.
        further: those without labels, likewise; they come behind the others.

    Raises:
        InvalidSetting: if the teacher knows some of the classes only, or its answers are no
            numbers.
        StorageProblem: if the cache cannot be written.
    """
    return _Study(teacher, seen, further, listener).of(crops)


def seconds_of_answers(
    crops: FixedCrops, teacher: Teacher, seen: ImageData, further: NDArray[np.uint8] | None
) -> float:
    """Seconds that `answers_to` will take, from a timed pass; 0 if nothing is missing.

    The fit of a classifier is left out.
    """
    return _Study(teacher, seen, further, Silent()).seconds(crops)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """Numbers about the images of a view, in the cache or to be computed."""

    kept: KeptRows
    rows: int
    view: _View

    @property
    def missing(self) -> int:
        return self.rows - self.kept.rows

    def filled(self, answer: _Answer, teacher: Teacher, pace: "_Pace") -> NDArray[np.float32]:
        def steps(begun: int) -> Iterator[NDArray[np.float32]]:
            for start in range(begun, self.rows, _KEPT):
                before = time.monotonic()
                end = min(start + _KEPT, self.rows)
                parts = [
                    answer(normalised(self.view(rows), teacher.preparation), rows)
                    for rows in (
                        slice(first, min(first + _PASS, end)) for first in range(start, end, _PASS)
                    )
                ]
                found = torch.cat(parts).numpy()
                if not np.isfinite(found).all():
                    raise InvalidSetting(
                        f"the teacher {teacher.name} answers NaN or infinity; take weights from "
                        "before its training diverged"
                    )
                pace.add(end - start, time.monotonic() - before)
                yield found

        return self.kept.all(steps)


class _Study:
    """One teacher before one set of images."""

    def __init__(
        self,
        teacher: Teacher,
        seen: ImageData,
        further: NDArray[np.uint8] | None,
        listener: Listener,
    ) -> None:
        self._teacher, self._seen, self._listener = teacher, seen, listener
        self._parts = [seen.train.pixels] + ([] if further is None else [further])
        self._contents = [_digest(pixels) for pixels in self._parts]
        self._columns, note = columns_of(teacher, seen.classes)
        if note:
            listener.notice(note)

    def of(self, crops: FixedCrops) -> Answers:
        sets = {number: self._cropped(crops, number) for number in crops.used}
        whole, validation = self._whole(), self._validation()
        missing = _missing([validation, *whole, *chain(*sets.values())])
        pace = _Pace(missing, self._listener)
        head = self._head(whole[0], pace) if whole else None
        self._tell(validation, head, pace)
        if left := _missing(chain(*sets.values())):
            self._listener.notice(
                f"it answers {several(len(sets), 'crop')} of each of "
                f"{sum(map(len, self._parts)):,} images at {self._teacher.image_size} pixels once"
                f"{pace.foretold(left)}; the answers are kept for later trainings"
            )
        for row in sets.values():
            for part, table in enumerate(row):
                table.filled(self._answer(head, apart=part > 0), self._teacher, pace)
        return Answers(tuple((number, tuple(t.kept for t in row)) for number, row in sets.items()))

    def seconds(self, crops: FixedCrops) -> float:
        """Of the answers that are missing."""
        sets = [self._cropped(crops, number) for number in crops.used]
        missing = _missing([self._validation(), *self._whole(), *chain(*sets)])
        return missing * _seconds_of_one(self._teacher) if missing else 0.0

    def _cropped(self, crops: FixedCrops, number: int) -> list[_Table]:
        """The tables of the answers to one set of crops: of images with labels, of others."""
        teacher, tables, start = self._teacher, [], 0
        size, images = teacher.image_size, sum(map(len, self._parts))
        windows, mirrored = crops.windows(number, images, of=size)
        augmentation = {
            name: value
            for name, value in asdict(crops.recipe).items()
            if name in ("crop", "crop_scale_min", "shift", "flip")
        }
        for pixels, content in zip(self._parts, self._contents, strict=True):
            own = slice(start, start + len(pixels))
            key = [content, augmentation, crops.seed, number, start, self._classifier()]
            view = _cut_out(pixels, windows[own], mirrored[own], size)
            tables.append(self._table(key, len(pixels), len(self._seen.classes), view))
            start += len(pixels)
        return tables

    def _classifier(self) -> list[Any]:
        """What decides the logits, the features aside."""
        if self._columns is not None:
            return self._columns
        labels = _digest(self._seen.train.labels)
        return ["logistic", FOLDS, PENALTIES, self._contents[0], labels, len(self._seen.classes)]

    def _whole(self) -> list[_Table]:
        """The table of the labelled images' features, if another classifier is fitted to them."""
        if self._columns is not None:
            return []
        teacher, images = self._teacher, self._seen.train.pixels
        assert teacher.features is not None
        width = teacher.features(torch.zeros(teacher.shape(1))).shape[1]
        key = [self._contents[0], "features"]
        return [self._table(key, len(images), width, _as_they_are(images))]

    def _validation(self) -> _Table:
        images, classes = self._seen.validation.pixels, len(self._seen.classes)
        key = [_digest(images), "validation", self._classifier()]
        return self._table(key, len(images), classes, _as_they_are(images))

    def _table(self, key: list[Any], rows: int, columns: int, view: _View) -> _Table:
        content = json.dumps([self._teacher.digest, torch.__version__, key], sort_keys=True)
        name = f"{rows}x{columns}-{hashlib.sha256(content.encode()).hexdigest()[:24]}"
        kept = KeptRows(FOLDER, name, (rows, columns), step=_KEPT)
        return _Table(kept=kept, rows=rows, view=view)

    def _head(self, whole: _Table, pace: "_Pace") -> FoldedHead:
        """A classifier of the data's classes, fitted on the features of the labelled images."""
        features = self._teacher.features
        assert features is not None
        table = whole.filled(_without_rows(features), self._teacher, pace)
        labels = torch.from_numpy(self._seen.train.labels)
        return fit_folds(Features(torch.from_numpy(table), labels), len(self._seen.classes))

    def _answer(self, head: FoldedHead | None, *, apart: bool = False) -> _Answer:
        """
        Args:
            apart: of images that the head was not fitted to.
        """
        teacher, columns = self._teacher, self._columns
        if head is None:
            assert columns is not None
            return lambda images, rows: teacher.logits(images)[:, columns]
        features = teacher.features
        assert features is not None
        return lambda images, rows: head.logits(features(images), None if apart else rows)

    def _tell(self, validation: _Table, head: FoldedHead | None, pace: "_Pace") -> None:
        """Say how good the teacher is: of wrong pixels or classes it shows here."""
        teacher, images = self._teacher, self._seen.validation
        logits = validation.filled(self._answer(head, apart=True), teacher, pace)
        accuracy = float((logits.argmax(1) == images.labels).mean())
        whose = f"the teacher {teacher.name}"
        if head is not None:
            self._listener.notice(
                f"{whose} knows none of the data's classes: a linear classifier of its features "
                f"answers for it, right on {head.accuracy:.4f} of training images held out of the "
                "fit"
            )
        self._listener.notice(f"{whose} is right on {accuracy:.4f} of the validation images")
        if chance_warning(accuracy, images.labels, self._seen.classes):
            self._listener.notice(
                f"warning: {whose} is hardly better than one answer to all; look at its classes "
                "and at what it expects of pictures, or leave it out"
            )


def _missing(tables: Iterable[_Table]) -> int:
    """Images that are not answered yet."""
    return sum(table.missing for table in tables)


def _seconds_of_one(teacher: Teacher) -> float:
    """Seconds that an image takes, by the second of two passes of a few."""
    images, taken = torch.zeros(teacher.shape(_PASS)), 0.0
    for _ in range(2):
        started = time.perf_counter()
        teacher.logits(images)
        taken = time.perf_counter() - started
    return taken / _PASS


def _without_rows(find: Pass) -> _Answer:
    return lambda images, rows: find(images)


def _as_they_are(pixels: NDArray[np.uint8]) -> _View:
    return lambda rows: as_channels_last(np.ascontiguousarray(pixels[rows]))


def _cut_out(
    pixels: NDArray[np.uint8],
    windows: NDArray[np.int32],
    mirrored: NDArray[np.bool_],
    size: ImageSize,
) -> _View:
    def view(rows: slice) -> Tensor:
        places = np.arange(rows.start, rows.stop)
        return cut(pixels, places, windows[rows], mirrored[rows], size)

    return view


def _digest(array: NDArray[Any]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=12).hexdigest()


class _Pace:
    """Tells now and then how far the answers are."""

    def __init__(self, total: int, listener: Listener) -> None:
        self._total, self._listener, self._done, self._seconds = total, listener, 0, 0.0
        self._due = time.monotonic() + _FIRST

    def add(self, images: int, seconds: float) -> None:
        self._done += images
        self._seconds += seconds
        now = time.monotonic()
        if now >= self._due and self._done < self._total:
            self._due = now + _PACE
            left = self._total - self._done
            self._listener.notice(
                f"teacher: {self._done:,} of {self._total:,} images{self.foretold(left)} left"
            )

    def foretold(self, images: int) -> str:
        """How long so many take, behind a comma; nothing before the first were answered."""
        if not self._done:
            return ""
        return f", about {duration(self._seconds / self._done * images)}"
