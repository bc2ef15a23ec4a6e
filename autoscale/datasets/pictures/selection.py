"""Which pictures of a source train, which rank, and which are reported; before any is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscale.datasets.labelling import are_several
from autoscale.datasets.pictures.folds import Fold, cut_fold
from autoscale.datasets.pictures.group_by import GroupBy
from autoscale.datasets.pictures.grouping import carve_groups, groups_sentence, require_apart
from autoscale.datasets.pictures.pictures import Listing, Pictures
from autoscale.datasets.pictures.stratification import carve_several, in_turn
from autoscale.datasets.splits import spoken
from autoscale.errors import DataProblem, InvalidSetting


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which pictures of a source are used, and how those without splits are cut.

    A source without splits is cut in two steps: `validation_fraction` of each class is put aside as
    test images, then `validation_fraction` of the rest as validation images (64 / 16 / 20 % by
    default). A source that names its training split but no validation split loses
    `validation_fraction` of each training class to validation; its test split, or the lack of one,
    is respected. The cut depends on `seed` and `group_by` alone, never on `test` or `limit`.

    With a `fold` the pictures that train, those of the source without splits or its training split,
    are cut into folds: this one is the test, whether or not the source has a test split of its own,
    which is left aside; validation images come from the other folds where the source names none.

    Raises:
        InvalidSetting: if a value lies outside the range stated beside it.
    """

    seed: int = 0  # at least 0
    validation_fraction: float = 0.2  # above 0 and at most 0.5
    limit: int | None = None  # training images at most, in the proportions of the classes
    test: bool = True  # False leaves the test images undecoded, so that nothing can look at them
    group_by: str | None = None  # what lies in one part only, see `group_by.GroupBy`
    fold: Fold | None = None  # which is the test, of those that the pictures are cut into

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InvalidSetting(f"seed must be at least 0, got {self.seed}")
        if not 0 < self.validation_fraction <= 0.5:
            raise InvalidSetting(
                "validation_fraction must be above 0 and at most 0.5; got "
                f"{self.validation_fraction}"
            )
        if self.limit is not None and self.limit < 1:
            raise InvalidSetting(f"limit must be at least 1 image; got {self.limit}")
        if self.group_by is not None:
            GroupBy(self.group_by)  # refuses what is none


#: The cut of seed 0, and everything in it.
USUAL = Selection()


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """The pictures of a source by what they are used for."""

    parts: Mapping[str, Pictures]  # "train", "validation" and perhaps "test"
    cut: tuple[str, ...]  # parts that are no split of the source but cut from its training images
    share: float  # of each class, that went to a part that was cut
    whole: Mapping[str, int]  # of a part that is limited, how many pictures there are
    unread: Mapping[str, int]  # of a part that is left undecoded, how many pictures there are
    groups: str = ""  # what to say of the groups of each part; empty without them


def split(listing: Listing, selection: Selection, source: str) -> Splits:
    """The pictures of a listing that a selection takes.

    Args:
        source: the listing's, for messages.

    Raises:
        InvalidSetting: if the selection's `limit` is below the number of classes.
        DataProblem: if a part has no picture, or the pictures do not suffice for so many folds.
    """
    train, validation, held_out = listing.train, listing.validation, listing.test
    cut: list[str] = []
    if selection.group_by is not None:
        _require_groups(listing, selection.group_by, source)
    if (fold := selection.fold) is not None:
        train, held_out = cut_fold(
            train.placed(), fold, seed=selection.seed, classes=listing.classes, source=source
        )
        cut.append("test")
    elif not listing.splits:
        train, held_out = _cut(train, selection)
        cut.append("test")
    if validation is None:
        train, validation = _cut(train, selection)
        cut.append("validation")
    groups = ""
    if selection.group_by is not None:
        everything = {"train": train, "validation": validation, "test": held_out}
        own = {part: one.groups for part, one in everything.items() if one is not None}
        groups = groups_sentence(GroupBy(selection.group_by).told, own)
    whole = {}
    if (kept := within_limit(train.labels, selection, len(listing.classes))) is not None:
        whole["train"] = len(train)
        train = train.subset(kept)
    parts = {"train": train, "validation": validation}
    if held_out is not None:
        parts["test"] = held_out
    for part, pictures in parts.items():
        if len(pictures) == 0 and selection.group_by is not None:
            raise DataProblem(
                f"--group-by {selection.group_by} leaves 0 {spoken(part)} images of {source}: "
                "every group holds all images of a class that are left; group by something finer"
            )
        if len(pictures) == 0:
            raise DataProblem(
                f"{source} leaves 0 {spoken(part)} images of the {len(listing.train):,} "
                f"of its {len(listing.classes):,} classes; at least 1 is needed: add images to its "
                "classes"
            )
    unread = {}
    if "test" in parts and not selection.test:
        unread["test"] = len(parts.pop("test"))
    return Splits(
        parts={part: pictures.watched() for part, pictures in parts.items()},
        cut=tuple(cut),
        share=1 / fold.of if fold and cut == ["test"] else selection.validation_fraction,
        whole=whole,
        unread=unread,
        groups=groups,
    )


def _require_groups(listing: Listing, group_by: str, source: str) -> None:
    """
    Raises:
        DataProblem: if there are fewer groups than parts to cut, or one lies in two splits.
    """
    own = {"train": listing.train, "validation": listing.validation, "test": listing.test}
    if listing.splits:
        named = {part: one.groups for part, one in own.items() if one is not None}
        require_apart(named, GroupBy(group_by).told)
    found = len(set(listing.train.groups or ()))
    needed = 1 + (not listing.splits) + (listing.validation is None)
    if found < needed:
        raise DataProblem(
            f"--group-by {group_by} finds {found} "
            f"group{'s' * (found != 1)} among the {len(listing.train):,} images of {source}, and "
            f"{needed} parts are to be cut from them; group by something that is finer, or name "
            "splits yourself"
        )


def _cut(pictures: Pictures, selection: Selection) -> tuple[Pictures, Pictures]:
    fraction, seed = selection.validation_fraction, selection.seed
    if pictures.groups is None:
        kept, aside = carve(pictures.labels, fraction, seed=seed)
    else:
        kept, aside = carve_groups(pictures.labels, pictures.groups, fraction, seed=seed)
    return pictures.subset(kept), pictures.subset(aside)


def carve(
    labels: NDArray[np.int64], fraction: float, *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two sorted lists of positions in `labels`: those kept, and about `fraction` of each class.

    Each class keeps at least one for fractions up to 0.5; a class too small to share keeps all. Of
    several labels an image, see `stratification.carve_several`.
    """
    if are_several(labels):
        return carve_several(labels, fraction, seed=seed)
    place, members = _shuffled_places(labels, seed)
    aside = place + 0.5 < fraction * members
    return np.flatnonzero(~aside), np.flatnonzero(aside)


def within_limit(
    labels: NDArray[np.int64], selection: Selection, classes: int
) -> NDArray[np.int64] | None:
    """Sorted positions of the training images that the selection's limit leaves; None if all.

    Raises:
        InvalidSetting: if the limit is below the number of classes.
    """
    limit = selection.limit
    if limit is None or limit >= len(labels):
        return None
    if limit < classes:
        raise InvalidSetting(f"limit must be at least 1 image for each of {classes}; got {limit}")
    if are_several(labels):
        return np.sort(in_turn(labels, seed=selection.seed)[:limit])
    place, members = _shuffled_places(labels, selection.seed)
    # The first of every class comes before the second of any, then the classes take turns.
    return np.sort(np.argsort(place / members, kind="stable")[:limit])


def _shuffled_places(
    labels: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each image's place (from 0) in a random order of its class, and the size of its class."""
    random = np.random.default_rng(seed)
    place = np.zeros(len(labels), dtype=np.int64)
    members = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        place[own] = random.permutation(len(own))
        members[own] = len(own)
    return place, members
