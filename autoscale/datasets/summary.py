"""What was understood of a data set, in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from autoscale.datasets.labelling import Labels, are_several, has_class

_NAMES = 36  # characters of class names, or of unused things, that a sentence shows


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSummary:
    """Classes, the images of each part, and what of the source is not used."""

    classes: tuple[str, ...]
    parts: Mapping[str, int]  # "train", "validation", "test" or "images" -> images, in that order
    cut: tuple[str, ...] = ()  # parts that are no split of the source but cut from its train images
    share: float = 0.0  # of each class, that went to a part that was cut
    unread: tuple[str, ...] = ()  # parts that were counted and left undecoded
    unused: tuple[str, ...] = ()  # files, and folders with a closing /
    groups: str = ""  # what to say of the groups of each part
    #: Of parts that are not taken whole, how many images there are.
    whole: Mapping[str, int] = field(default_factory=dict)
    labels: str = ""  # what to say of images that may have several

    @property
    def sentence(self) -> str:
        """Such as "3 classes: hat, pants, shoes; 60 train, 24 validation; not used: dev/"."""
        named = "class" if len(self.classes) == 1 else "classes"
        counted = []
        for part, images in self.parts.items():
            text = f"{images:,} of {self.whole[part]:,}" if part in self.whole else f"{images:,}"
            text += f" {part}"
            if part in self.cut and len(self.cut) == 1:
                text += f" cut from train ({self.share:.0%})".replace("%", " %")
            counted.append(text + " (unread)" * (part in self.unread))
        told = [f"{len(self.classes)} {named}: {shortened(self.classes)}", ", ".join(counted)]
        if len(self.cut) > 1:
            told[-1] += ", cut by the seed"
        if self.labels:
            told.append(self.labels)
        if self.groups:
            told.append(self.groups)
        if self.unused:
            told.append(f"not used: {shortened(self.unused)}")
        return "; ".join(told)

    def without(self, part: str) -> DataSummary:
        """This summary with all images of `part` marked unread, for a reader without use for it."""
        images = {part: self.whole.get(part, self.parts[part])}
        return replace(
            self,
            parts={**self.parts, **images},
            unread=(*self.unread, part),
            whole={name: count for name, count in self.whole.items() if name != part},
            labels="",  # which are those of the images that were read
        )


def missing_classes(labels: Mapping[str, Labels], classes: tuple[str, ...]) -> tuple[str, ...]:
    """A sentence for each part but the first that lacks classes.

    Args:
        labels: of the images of each part, positions in `classes`.
    """
    found = []
    for part, own in list(labels.items())[1:]:
        missing = tuple(
            name for label, name in enumerate(classes) if not has_class(own, label).any()
        )
        if missing:
            found.append(
                f"{len(missing)} of {len(classes)} classes have no {part} image: "
                f"{shortened(missing)}; {part} accuracy says nothing of them"
            )
    return tuple(found)


def universal_classes(labels: Labels, classes: tuple[str, ...]) -> tuple[str, ...]:
    """A sentence if every training image has a class, where an image may have several.

    Args:
        labels: of the training images.
    """
    if not are_several(labels):
        return ()
    found = tuple(name for place, name in enumerate(classes) if has_class(labels, place).all())
    if not found:
        return ()
    return (
        f"every training image has the label {shortened(found)}, so that there is nothing to learn "
        "about it; leave it out, or add images without",
    )


def label_facts(parts: Iterable[Labels]) -> str:
    """What to say of labels of which an image may have several; "" of one each."""
    labels = [own for own in parts if are_several(own)]
    if not labels:
        return ""
    counts = np.concatenate(labels).sum(axis=1)
    none, many = int((counts == 0).sum()), int((counts > 1).sum())
    return (
        f"several labels an image: {counts.mean():.2g} on average, several for {many:,}, none for "
        f"{none:,}"
    )


def alike_classes(classes: tuple[str, ...]) -> tuple[str, ...]:
    """A sentence if names of classes differ in case, spaces or strokes alone."""
    first: dict[str, str] = {}
    pairs = []
    for name in classes:
        letters = re.sub(r"[\s_-]+", "", name).casefold()
        if len(letters) > 1 and letters in first:
            pairs.append(f"{first[letters]!r} and {name!r}")
        first.setdefault(letters, name)
    if not pairs:
        return ()
    return (f"classes that may be one: {shortened(tuple(pairs))}; if so, give them one name",)


def shortened(names: tuple[str, ...]) -> str:
    """Names in one line; of many the first, followed by dots."""
    shown: list[str] = []
    for name in names:
        if shown and len(", ".join([*shown, name])) > _NAMES:
            return ", ".join([*shown, "..."])
        shown.append(name if len(name) <= _NAMES else name[: _NAMES - 3] + "...")
    return ", ".join(shown)
