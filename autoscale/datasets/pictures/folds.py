"""Folds: pictures cut into parts of which each is, in turn, what a network has not seen.

Every class is spread over all folds as evenly as its pictures allow. With groups, all pictures of
one lie in one fold, and class shares come as near as groups allow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscale.datasets.labelling import are_several
from autoscale.datasets.pictures.grouping import by_group
from autoscale.datasets.pictures.pictures import Pictures
from autoscale.errors import DataProblem, InvalidSetting

#: What fewer folds than this would leave: a network that has seen everything, or nothing.
LEAST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One fold of several.

    Raises:
        InvalidSetting: for a number that is none of them, or fewer than two folds.
    """

    number: int  # from 1
    of: int

    def __post_init__(self) -> None:
        if self.of < LEAST:
            raise InvalidSetting(f"folds must be at least {LEAST}, got {self.of}")
        if not 1 <= self.number <= self.of:
            raise InvalidSetting(f"fold must be in 1..{self.of}, got {self.number}")


@dataclass(frozen=True, eq=False, kw_only=True)
class FoldImages:
    """Which of a source's pictures the test images are, where these are a fold."""

    names: tuple[str, ...]
    places: NDArray[np.int64]  # among the pictures that are cut into folds, from 0
    groups: tuple[str, ...] | None  # None of pictures without groups

    @classmethod
    def of(cls, pictures: Pictures, unread: Collection[int]) -> FoldImages | None:
        """Of a fold's pictures those that could be read; None of other pictures.

        Args:
            unread: positions of the others.
        """
        if pictures.places is None:
            return None
        read = [i for i in range(len(pictures)) if i not in unread]
        groups = pictures.groups
        return cls(
            names=tuple(pictures.names[i] for i in read),
            places=pictures.places[read],
            groups=None if groups is None else tuple(groups[i] for i in read),
        )


def folds_of(
    labels: NDArray[np.int64], groups: Sequence[str] | None, count: int, *, seed: int
) -> NDArray[np.int64]:
    """The fold of each picture, from 1 to `count`; the seed decides which pictures share one.

    Without groups the folds of a class differ by one picture at most, and so do all folds. With
    groups these are taken in a random order, large ones (by powers of two) first, and each goes
    where its classes have the smallest share so far.
    """
    if groups is None:
        return _of_pictures(labels, count, seed) + 1
    return _of_groups(labels, groups, count, seed) + 1


def _of_pictures(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # class by class, shuffled within
    folds = np.empty(len(labels), dtype=np.int64)
    folds[order] = np.arange(len(labels)) % count
    return folds


def _of_groups(
    labels: NDArray[np.int64], groups: Sequence[str], count: int, seed: int
) -> NDArray[np.int64]:
    members, queue = by_group(groups, seed=seed)
    total = Counter(labels.tolist())
    held: list[Counter[int]] = [Counter() for _ in range(count)]
    folds = np.empty(len(labels), dtype=np.int64)
    for name in queue:
        own = Counter(labels[members[name]].tolist())

        def crowded(fold: int, own: Counter[int] = own) -> tuple[float, int]:
            """By how much the squared shares of the group's classes would rise; then pictures."""
            of_classes = sum(n * held[fold][c] / total[c] ** 2 for c, n in sorted(own.items()))
            return of_classes, held[fold].total()

        best = min(range(count), key=crowded)
        held[best].update(own)
        folds[members[name]] = best
    return folds


def cut_fold(
    pictures: Pictures, fold: Fold, *, seed: int, classes: Sequence[str], source: str
) -> tuple[Pictures, Pictures]:
    """The pictures of the other folds, and those of this one.

    Raises:
        InvalidSetting: for pictures of several classes each, whose shares no such cut keeps.
        DataProblem: if a class has fewer pictures, or lies in fewer groups, than there are folds.
    """
    if are_several(pictures.labels):
        raise InvalidSetting(
            f"--folds {fold.of} cuts images of one class each, and those of {source} may have "
            "several; train without --folds, which keeps test images aside"
        )
    _require_enough(pictures, fold.of, classes, source)
    folds = folds_of(pictures.labels, pictures.groups, fold.of, seed=seed)
    own = folds == fold.number
    for label in np.unique(pictures.labels):
        if own[pictures.labels == label].all():
            raise DataProblem(
                f"all groups of class {classes[label]!r} of {source} come to lie in one of "
                f"--folds {fold.of}, whose network would not know it; give another --seed, or "
                "group by something finer"
            )
    return pictures.subset(np.flatnonzero(~own)), pictures.subset(np.flatnonzero(own))


def _require_enough(pictures: Pictures, folds: int, classes: Sequence[str], source: str) -> None:
    """
    Raises:
        DataProblem: naming the class that has least.
    """
    held: list[tuple[int, str]] = []
    for label, name in enumerate(classes):
        places = np.flatnonzero(pictures.labels == label).tolist()
        if pictures.groups is not None:
            held.append((len({pictures.groups[i] for i in places}), name))
        else:
            held.append((len(places), name))
    least, name = min(held)
    if least < folds:
        unit = "image" if pictures.groups is None else "group"
        counted = f"{least} {unit}{'s' * (least != 1)}"
        way_out = (
            f"give --folds {least} or fewer" if least >= LEAST else f"add {unit}s of the class"
        )
        raise DataProblem(
            f"class {name!r} of {source} has {counted}, and --folds {folds} needs one in each "
            f"fold; {way_out}"
        )
