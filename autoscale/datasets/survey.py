"""A data set looked through without being kept: what it holds, and what of it cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autoscale.aspect import ImageSize
from autoscale.datasets.data import list_source, require_no_groups
from autoscale.datasets.duplicates import Duplicates, find_duplicates
from autoscale.datasets.labelling import Labels, are_several, has_class
from autoscale.datasets.pictures.bands import bands_in
from autoscale.datasets.pictures.decoding import decode
from autoscale.datasets.pictures.pictures import Pictures
from autoscale.datasets.pictures.preparation import OURS, ours
from autoscale.datasets.pictures.selection import Selection, split
from autoscale.datasets.summary import (
    DataSummary,
    alike_classes,
    label_facts,
    universal_classes,
)
from autoscale.errors import DataProblem

_SIZE = 8  # pixels; every picture is decoded, and hardly anything is kept of it

_LOOKED_AT = 8  # files, to find out whether they are arrays


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a data set holds."""

    # Of each split, the readable images of each class. A source without splits is one, "train".
    counts: Mapping[str, Mapping[str, int]]
    totals: dict[str, int]  # readable images of each part
    several: bool  # whether an image may have several of the classes, or none
    unreadable: tuple[str, ...]  # one line for each file: its name and the reason
    shapes: tuple[ImageSize, ...]  # of every readable picture, upright, by its shorter side
    peaks: tuple[int, ...]  # the largest number of every picture of 16 bits, rising
    summary: DataSummary  # its `sentence` says what was understood of the source
    notices: tuple[str, ...]  # what the owner should know, a sentence each
    duplicates: Duplicates
    bands: int | None  # of arrays; None of pictures
    groups: str  # what to say of the groups of each part, once it is cut; empty without them
    cut: bool  # whether a training would cut validation images from the training images
    refused: str  # why a training would refuse to cut it; empty if it would not

    @property
    def images(self) -> int:
        """Readable ones, of all splits."""
        return len(self.shapes)


def survey(source: str, *, group_by: str | None = None) -> Survey:
    """Read every image of a folder or of Parquet files once; nothing of it is kept.

    It is cut as a training would cut it, to see that each part has images.

    Args:
        group_by: what a cut is to keep together, see `GroupBy`.

    Raises:
        DataProblem: if `source` is no data set, or cannot be cut so.
        InvalidSetting: if `group_by` is no way to group.
    """
    chosen = Selection(group_by=group_by)
    require_no_groups(source, chosen)
    listing = list_source(Path(source).expanduser(), test=True, group_by=group_by)
    groups, refused = "", ""
    try:
        groups = split(listing, chosen, source).groups
    except DataProblem as problem:
        if group_by is not None:
            raise
        refused = str(problem)
    listed = {"train": listing.train, "validation": listing.validation, "test": listing.test}
    parts = {part: own.watched() for part, own in listed.items() if own is not None}
    unreadable = list(listing.skipped)
    counts: dict[str, dict[str, int]] = {}
    bands = _bands_of(parts["train"])
    preparation = OURS if bands is None else ours(bands)
    totals: dict[str, int] = {}
    kept: list[Labels] = []
    shapes: list[ImageSize] = []
    peaks: list[int] = []
    for part, pictures in parts.items():
        found = decode(pictures, _SIZE, strict=False, keep=None, preparation=preparation)
        unreadable += [f"{pictures.names[i]}: {reason}" for i, reason in found.unread.items()]
        for i in found.unread:
            pictures.forget(i)
        readable = np.setdiff1d(np.arange(len(pictures)), list(found.unread))
        labels = pictures.labels[readable]
        shapes += found.shapes
        peaks += found.peaks
        counts[part] = {
            name: int(has_class(labels, label).sum()) for label, name in enumerate(listing.classes)
        }
        totals[part] = len(readable)
        kept.append(labels)
    return Survey(
        counts=counts,
        totals=totals,
        several=are_several(listing.train.labels),
        unreadable=tuple(unreadable),
        shapes=tuple(sorted(shapes, key=min)),
        peaks=tuple(sorted(peaks)),
        summary=DataSummary(
            classes=listing.classes,
            parts=totals,
            unused=listing.unused,
            labels=label_facts(kept),
        ),
        notices=(
            *listing.notices,
            *alike_classes(listing.classes),
            *universal_classes(kept[0], listing.classes),
        ),
        duplicates=find_duplicates(parts),
        bands=bands,
        groups=groups,
        cut=listing.validation is None,
        refused=refused,
    )


def _bands_of(pictures: Pictures) -> int | None:
    """The bands of the first array among the first few files; None where none is one."""
    for i in range(min(_LOOKED_AT, len(pictures))):
        try:
            found = bands_in(pictures.read(i))
        except OSError:  # decoding will meet it again, and say so
            continue
        if found is not None:
            return found
    return None
