"""Which images of a data set a network is judged by, and which logit is which class."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscale.answering.answering import Answering
from autoscale.datasets.data import (
    ImageData,
    Images,
    classes_in,
    has_splits,
    load,
    load_whole,
    splits_in,
)
from autoscale.datasets.pictures.group_by import GroupBy
from autoscale.datasets.pictures.pictures import shown
from autoscale.datasets.pictures.selection import Selection
from autoscale.datasets.seen import share_among
from autoscale.errors import DataProblem, InvalidSetting
from autoscale.models.load import Model

#: Training images of each class that are read where other images are asked for.
_FEW = 8
#: Share of the training images among those of a source from which on it is the training's own.
_OWN = 0.5
#: The same of a part that the training put aside: pictures that the source holds twice.
_STRAY = 0.1


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The images that are evaluated."""

    split: str
    seed: int | None  # of the cut that they come from; None for all of a source without splits
    which: str
    images: Images
    share: float  # of the images that the network was trained on, about, among these
    skipped: tuple[str, ...]
    summary: str
    notices: tuple[str, ...]


def chosen_images(
    model: Model, data: str, *, split: str, seed: int | None, group_by: str | None = None
) -> Chosen:
    """The images of that split, as `evaluate_model` takes them, and which they are.

    Args:
        group_by: what a cut keeps together, see `cut_groups`.

    Raises:
        DataProblem: if the images cannot be read, or there are none of that split.
    """
    if split not in ("auto", "all") or has_splits(data):
        return _split(model, data, split=split, seed=seed, group_by=group_by)
    seen, place = model.header.seen, shown(data)
    whole = load_whole(data, size=model.resolution, preparation=model.preparation)
    share = share_among(seen, whole.digests)
    if split == "auto" and share >= _OWN:
        apart = _split(model, data, split="test", seed=seed, group_by=group_by)
        if apart.share < _STRAY:
            rest = ", on the rest of which the network was trained"
            return replace(apart, which=apart.which + rest)
    return Chosen(
        split="all",
        seed=None,
        which=f"{len(whole.images):,} images: all of {place}, which has no splits",
        images=whole.images,
        share=share,
        skipped=whole.skipped,
        summary=whole.summary.sentence,
        notices=(*whole.notices, *_seen_before(share, place)),
    )


class _Cut(NamedTuple):
    """How a source without splits is cut."""

    seed: int
    group_by: str | None  # what it keeps together, see `cut_groups`


def cut_groups(model: Model, data: str, *, split: str, asked: str | None) -> str | None:
    """What the cut that gives a split keeps together: as asked, else as the network's training.

    None where the source names what is needed itself.

    Raises:
        DataProblem: if the source cannot be read.
    """
    if asked is not None or (trained := model.header.group_by) is None:
        return asked
    own = splits_in(data)
    needed = {"test"} if split in ("auto", "test") else {"train", "validation"}
    return None if needed <= own else trained


def validation_and_test(
    model: Model, data: str, *, seed: int | None
) -> tuple[Chosen, Chosen | None]:
    """The images that a training validates on, and those that it puts aside, if there are such.

    Raises:
        DataProblem: if the images cannot be read.
    """
    groups = cut_groups(model, data, split="validation", asked=None)
    cut = _cut(model, seed, groups)
    found = _loaded(model, data, split="test", cut=cut)
    validation = _of_split(model, data, found, split="validation", cut=cut)
    if found.test is None:
        return validation, None
    return validation, _of_split(model, data, found, split="test", cut=cut)


def _split(
    model: Model, data: str, *, split: str, seed: int | None, group_by: str | None
) -> Chosen:
    """The images of a split that the source names, or that is cut from it."""
    cut = _cut(model, seed, group_by)
    found = _loaded(model, data, split=split, cut=cut)
    return _of_split(model, data, found, split=split, cut=cut)


def _cut(model: Model, seed: int | None, group_by: str | None) -> _Cut:
    """With the seed that is asked for, else the training's."""
    return _Cut(seed if seed is not None else model.header.seed or 0, group_by)


def _loaded(model: Model, data: str, *, split: str, cut: _Cut) -> ImageData:
    return load(
        data,
        size=model.resolution,
        selection=Selection(
            seed=cut.seed,
            limit=None if split in ("train", "all") else _FEW * len(classes_in(data)),
            test=split in ("auto", "test", "all"),
            group_by=cut.group_by,
        ),
        preparation=model.preparation,
    )


def _of_split(model: Model, data: str, found: ImageData, *, split: str, cut: _Cut) -> Chosen:
    header, place = model.header, shown(data)
    name, images = _chosen(found, split, place)
    summary = found.summary if split in ("train", "all") else found.summary.without("train")
    which = f"all splits of {place}" if name == "all" else f"the {name} images of {place}"
    if found.summary.cut and name in (*found.summary.cut, "train"):
        which += f", cut by seed {cut.seed}"
        which += "" if cut.group_by is None else f" in groups by {GroupBy(cut.group_by).told}"
    share = share_among(header.seen, found.held_out) if name == "test" else 0.0
    return Chosen(
        split=name,
        seed=cut.seed,
        which=f"{len(images):,} images: {which}",
        images=images,
        share=share,
        skipped=found.skipped,
        summary=summary.sentence,
        notices=(*found.notices, *_seen_before(share, place)),
    )


def _seen_before(share: float, data: str) -> tuple[str, ...]:
    if share == 0:
        return ()
    return (
        f"about {100 * share:.0f} % of the images that the network was trained on are among these "
        f"of {data}: the accuracy flatters",
    )


def _chosen(found: ImageData, split: str, data: str) -> tuple[str, Images]:
    if split == "auto":
        split = "validation" if found.test is None else "test"
    if split == "all":
        parts = [part for part in (found.train, found.validation, found.test) if part is not None]
        pixels = np.concatenate([part.pixels for part in parts])
        return split, Images(pixels, np.concatenate([part.labels for part in parts]))
    images = {"train": found.train, "validation": found.validation, "test": found.test}[split]
    if images is None:
        raise DataProblem(f"{data} has no test images; take --split validation or all")
    return split, images


def labelling_of(model: Model, data: str, *, several: bool) -> Answering:
    """How the network's logits become an answer to the data's images.

    A network whose file does not name its classes follows the data.

    Args:
        several: whether these may have several labels.

    Raises:
        InvalidSetting: if one is of images with one label each and the other of several.
    """
    held = model.header.answering or Answering()
    if model.header.classes is None and not held.several:
        return Answering(several=True) if several else held
    if held.several and not several:
        raise InvalidSetting(
            f"{model.name} says several labels of an image, and those of {data} have one each; "
            "name images whose labels are lists or columns (?labels=one,other)"
        )
    if several and not held.several:
        raise InvalidSetting(
            f"{model.name} says one class of an image, and those of {data} may have several "
            "labels; train a network on them, or name one column of labels (?label=kind)"
        )
    return held


def class_places(model: Model, known: Sequence[str], data: str) -> NDArray[np.int64]:
    """Which logit each class of the data is.

    Raises:
        InvalidSetting: if the network does not tell these classes apart.
    """
    held = model.header.classes
    if held is None:
        if model.num_classes not in (None, len(known)):
            raise InvalidSetting(
                f"{data} has {len(known)} classes, {model.name} tells {model.num_classes} apart "
                "and does not say which; train it on these images"
            )
        return np.arange(len(known), dtype=np.int64)
    strange = [name for name in known if name not in held]
    if strange:
        raise InvalidSetting(
            f"{data} has the class {strange[0]!r}, which {model.name} does not know; it knows "
            f"{', '.join(held[:10])}{', ...' if len(held) > 10 else ''}"
        )
    return np.array([held.index(name) for name in known], dtype=np.int64)
