"""Folds of a data set: what they will hold, and images that are decoded once for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoscale.datasets import synthetic
from autoscale.datasets.data import (
    drawn_fingerprint,
    drawn_fold,
    fingerprint_of,
    require_no_groups,
)
from autoscale.datasets.pictures.folds import Fold
from autoscale.datasets.pictures.selection import Selection, split
from autoscale.datasets.sources.source import list_source


@dataclass(frozen=True, eq=False, kw_only=True)
class FoldPlan:
    """What the folds of a source will hold, before any image is decoded."""

    classes: tuple[str, ...]
    #: Of each fold the labels of its parts: "train", "validation" and, its own, "test".
    labels: tuple[Mapping[str, NDArray[np.int64]], ...]
    images: int  # in all folds together
    own_validation: int | None  # images of the source's validation split; None if it names none
    own_test: int | None  # images of its test split, which no fold holds; None if it names none
    fingerprint: str  # as `ImageData.fingerprint`, of the images of all folds

    @property
    def told(self) -> tuple[str, ...]:
        """What becomes of the source's own splits, in sentences."""
        found = []
        if self.own_validation is not None:
            found.append(
                f"the source's own {self.own_validation:,} validation images are those of every "
                "fold, and no fold holds them"
            )
        if self.own_test is not None:
            found.append(
                f"the source's own {self.own_test:,} test images are left aside: no fold holds "
                "them, and they stay for evaluate"
            )
        return tuple(found)


def plan_folds(source: str, selection: Selection, *, folds: int, arrays: bool = False) -> FoldPlan:
    """Cut a source into folds without decoding it.

    Args:
        arrays: see `list_source`.

    Raises:
        InvalidSetting: if the selection's limit is below the number of classes.
        DataProblem: if the source cannot be read, or does not suffice for so many folds.
    """
    each = [
        replace(selection, fold=Fold(number=number, of=folds)) for number in range(1, folds + 1)
    ]
    if source == "synthetic":
        return _plan_drawn(each)
    listing = list_source(Path(source).expanduser(), group_by=selection.group_by, arrays=arrays)
    pool = replace(listing, test=None)
    cut = [split(pool, one, source).parts for one in each]
    validation, test = listing.validation, listing.test
    return FoldPlan(
        classes=listing.classes,
        labels=tuple({part: pictures.labels for part, pictures in parts.items()} for parts in cut),
        images=len(listing.train),
        own_validation=None if validation is None else len(validation),
        own_test=None if test is None else len(test),
        fingerprint=fingerprint_of(
            listing.classes, listing.train, *([] if validation is None else [validation])
        ),
    )


def _plan_drawn(each: list[Selection]) -> FoldPlan:
    """That of `synthetic`, whose labels are the same at any size."""
    first = each[0]
    require_no_groups("synthetic", first)
    of_part = {
        "train": synthetic.draw("train", size=1, seed=first.seed)[1],
        "validation": synthetic.draw("validation", size=1, seed=first.seed)[1],
    }
    kept = [drawn_fold(of_part["train"], one) for one in each]
    return FoldPlan(
        classes=synthetic.CLASSES,
        labels=tuple(
            {
                "train": train.labels,
                "validation": of_part["validation"],
                "test": test.labels,
            }
            for train, test in kept
        ),
        images=len(of_part["train"]),
        own_validation=len(of_part["validation"]),
        own_test=synthetic.COUNTS["test"],
        fingerprint=drawn_fingerprint(replace(first, fold=None), len(of_part["train"])),
    )
