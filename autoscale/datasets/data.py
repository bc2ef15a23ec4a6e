"""Images in memory: the only reader of data sets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoscale.datasets import synthetic
from autoscale.datasets.duplicates import find_duplicates
from autoscale.datasets.labelling import Labels, are_several, has_class
from autoscale.datasets.pictures.decoding import Decoded, Keep, decode
from autoscale.datasets.pictures.depth import range_notices
from autoscale.datasets.pictures.folds import FoldImages, cut_fold
from autoscale.datasets.pictures.pictures import Listing, Pictures, shown
from autoscale.datasets.pictures.pooled import pooled
from autoscale.datasets.pictures.preparation import OURS, Preparation, in_bands
from autoscale.datasets.pictures.selection import USUAL, Selection, Splits, split, within_limit
from autoscale.datasets.seen import names_of, sketch
from autoscale.datasets.sources.columns import columns_of
from autoscale.datasets.sources.source import list_source as list_source
from autoscale.datasets.splits import spoken
from autoscale.datasets.summary import (
    DataSummary,
    alike_classes,
    label_facts,
    missing_classes,
    universal_classes,
)
from autoscale.errors import DataProblem, InvalidSetting


@dataclass(frozen=True, eq=False)
class Images:
    """Decoded images of one size and what they are labelled with."""

    pixels: NDArray[np.uint8]  # (N, H, W, C), contiguous; 3 channels in RGB, 1 in grey, or bands
    # (N,), positions in the classes of the data set; where an image may have several of them, or
    # none, (N, classes) of 0 and 1. See `datasets.labelling`.
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: ArrayLike) -> Images:
        """The images at `indices` (whole numbers, or N truth values), in that order, copied."""
        chosen = np.asarray(indices)
        return Images(self.pixels[chosen], self.labels[chosen])

    @property
    def several(self) -> bool:
        """Whether an image may have several of the classes, or none."""
        return are_several(self.labels)


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set, cut into what trains, what ranks and what is reported."""

    train: Images
    validation: Images
    test: Images | None  # None when the source has none, or when it was not asked for
    classes: tuple[str, ...]
    skipped: tuple[str, ...]  # one line for each file left out: its name and the reason
    name: str  # for people, such as "clothing"
    # Of the classes, and of the names, byte sizes and labels of the training and the validation
    # images, each in order; not of the bytes themselves, nor of the size they are decoded at. Of
    # `synthetic`: of its version, the seed and the number of training images.
    fingerprint: str
    sketch: tuple[str, ...]  # of the training images, see `training.seen`; empty of `synthetic`
    held_out: frozenset[str]  # digests of the test images; empty of `synthetic`
    summary: DataSummary  # its `sentence` says what was understood of the source
    unreadable: tuple[str, ...]  # of `skipped`, those that `strict` would refuse
    notices: tuple[str, ...]  # what the owner should know before hours are spent, a sentence each
    fold: FoldImages | None = None  # which pictures the test images are, if the selection has one

    @property
    def several(self) -> bool:
        """Whether an image may have several of the classes, or none."""
        return self.train.several


def load(
    source: str,
    *,
    size: int,
    selection: Selection = USUAL,
    strict: bool = False,
    keep: Keep | None = None,
    preparation: Preparation = OURS,
) -> ImageData:
    """Read a data set; every image is decoded once and takes a byte a pixel and channel.

    Each image is turned upright by its EXIF orientation, laid on white where it is transparent,
    and its area is resized with antialiasing. Images of 16 bits are scaled to 8.
    See `pictures.decoding`.

    Args:
        source: `synthetic`, which is drawn from the selection's seed and comes with its own splits
            (see `datasets.synthetic`), or what `list_source` reads.
        size: pixels of an image's height; the preparation's aspect gives the width.
        selection: which pictures are used, and how those without splits are cut.
        strict: refuse a file that cannot be read, instead of skipping it.
        keep: where decoded images are looked for and left for the next call; without it, and for
            `synthetic`, they are made in memory.
        preparation: what is done to an image, but for mean and deviation.

    Raises:
        InvalidSetting: if `source` is empty, `size` below 1, or the selection's `limit` below the
            number of classes.
        DataProblem: if `source` is no data set, has a class without readable images, fewer than two
            classes, or validation or test classes that the training split lacks; if `strict` and a
            file cannot be read; if pyarrow is needed and missing.
    """
    if not source.strip():
        raise InvalidSetting(
            "data must not be empty; give a folder of classes, a list, a .parquet file or "
            "'synthetic'"
        )
    if size < 1:
        raise InvalidSetting(f"size must be at least 1 pixel; got {size}")
    if source == "synthetic":
        require_no_groups(source, selection)
        return _draw(size, selection, preparation)
    root = Path(source).expanduser()
    listing = list_source(
        root,
        test=selection.test and selection.fold is None,
        group_by=selection.group_by,
        arrays=in_bands(preparation.channels),
    )
    splits = split(listing, selection, source)
    if strict and listing.skipped:
        raise DataProblem(f"{listing.skipped[0]}; remove the file or load without strict")
    read: Callable[[Pictures], Decoded] = partial(
        decode, size=size, strict=strict, keep=keep, preparation=preparation
    )
    peaks: tuple[int, ...] = ()
    if selection.fold is not None:
        read, peaks = pooled(listing.train, read)
    decoded = _decode(splits, read, peaks)
    decoded.require_all(splits, listing.classes, source)
    return _image_data(root, listing, splits, decoded, preparation)


class _DecodedParts(NamedTuple):
    """The images of each part of a data set."""

    images: dict[str, Images]
    skipped: tuple[str, ...]  # a line for each that could not be read
    reasons: dict[int, str]  # by label, why its first unread training image was not read
    peaks: tuple[int, ...]  # see `Decoded.peaks`
    fold: FoldImages | None  # which pictures the test images are

    def require_all(self, splits: Splits, classes: tuple[str, ...], source: str) -> None:
        """
        Raises:
            DataProblem: if a class or a part is left without an image.
        """
        for label, name in enumerate(classes):
            if not has_class(self.images["train"].labels, label).any():
                reason = self.reasons.get(label, "there is none")
                raise DataProblem(
                    f"no training image of class {name!r} could be read ({reason}); repair the "
                    "files or remove the class"
                )
        for part, found in self.images.items():
            if len(found) == 0:
                raise DataProblem(
                    f"none of the {len(splits.parts[part])} {spoken(part)} images of {source} "
                    f"could be read ({self.skipped[-1]}); repair the files"
                )


def _decode(
    splits: Splits, read: Callable[[Pictures], Decoded], found: tuple[int, ...]
) -> _DecodedParts:
    """The parts, each as `read` gives it; `found` are peaks that were read before."""
    images: dict[str, Images] = {}
    unread: dict[str, Mapping[int, str]] = {}
    skipped: list[str] = []
    reasons: dict[int, str] = {}
    peaks = [*found]
    for part, pictures in splits.parts.items():
        decoded = read(pictures)
        peaks += decoded.peaks
        for i, reason in decoded.unread.items():
            skipped.append(f"{pictures.names[i]}: {reason}")
            pictures.forget(i)
            if part == "train":
                for label in _classes_of(pictures.labels[i]):
                    reasons.setdefault(label, skipped[-1])
        unread[part] = decoded.unread
        labels = np.delete(pictures.labels, list(decoded.unread), axis=0)
        images[part] = Images(decoded.pixels, labels)
    tested = splits.parts.get("test")
    return _DecodedParts(
        images,
        tuple(skipped),
        reasons,
        tuple(peaks),
        FoldImages.of(tested, unread.get("test", ())) if tested else None,
    )


def _classes_of(label: NDArray[np.int64]) -> list[int]:
    """The classes of one picture."""
    return np.flatnonzero(label).tolist() if label.ndim else [int(label)]


def _image_data(
    root: Path,
    listing: Listing,
    splits: Splits,
    decoded: _DecodedParts,
    preparation: Preparation,
) -> ImageData:
    images, parts, classes = decoded.images, splits.parts, listing.classes
    counts = {part: len(found) for part, found in images.items()}
    return ImageData(
        train=images["train"],
        validation=images["validation"],
        test=images.get("test"),
        classes=classes,
        skipped=(*_beside(listing), *listing.skipped, *decoded.skipped),
        unreadable=(*listing.skipped, *decoded.skipped),
        name=shown(columns_of(root)[0].resolve().name),
        fingerprint=fingerprint_of(classes, parts["train"], parts["validation"]),
        fold=decoded.fold,
        sketch=sketch(parts["train"].digests.values()),
        held_out=names_of(parts["test"].digests.values() if "test" in parts else ()),
        summary=DataSummary(
            classes=classes,
            parts={**counts, **splits.unread},
            unread=tuple(splits.unread),
            cut=splits.cut,
            share=splits.share,
            unused=listing.unused,
            groups=splits.groups,
            whole=splits.whole,
            labels=label_facts(found.labels for found in images.values()),
        ),
        notices=(
            *listing.notices,
            *alike_classes(classes),
            *universal_classes(images["train"].labels, classes),
            *missing_classes({part: found.labels for part, found in images.items()}, classes),
            *find_duplicates(parts).sentences,
            *range_notices(decoded.peaks, pictures=sum(counts.values()), preparation=preparation),
        ),
    )


def _beside(listing: Listing) -> list[str]:
    return [f"{name}: lies beside the folders of classes" for name in listing.loose]


class Whole(NamedTuple):
    """Every labelled picture of a source, as one set."""

    images: Images
    classes: tuple[str, ...]
    skipped: tuple[str, ...]  # as in `ImageData`
    notices: tuple[str, ...]  # as in `ImageData`
    digests: frozenset[str]  # of the images, see `training.seen`
    summary: DataSummary  # its `sentence` says what was understood


def load_whole(
    source: str,
    *,
    size: int,
    strict: bool = False,
    keep: Keep | None = None,
    preparation: Preparation = OURS,
) -> Whole:
    """Every labelled picture of a source without splits, none of them put aside.

    For images that no training has seen, such as a folder of test images by class.

    Args:
        size: pixels of an image's height; the preparation's aspect gives the width.
        strict: refuse a file that cannot be read, instead of skipping it.
        keep, preparation: as in `load`.

    Raises:
        InvalidSetting: if `size` is below 1.
        DataProblem: if `source` has splits, or cannot be read; see `load`.
    """
    if size < 1:
        raise InvalidSetting(f"size must be at least 1 pixel; got {size}")
    arrays = in_bands(preparation.channels)
    listing = list_source(Path(source).expanduser(), whole=True, arrays=arrays)
    if listing.splits:
        raise DataProblem(f"{source} has splits of its own; name one of them")
    if strict and listing.skipped:
        raise DataProblem(f"{listing.skipped[0]}; remove the file or load without strict")
    pictures = listing.train.watched()
    decoded = decode(pictures, size, strict=strict, keep=keep, preparation=preparation)
    if not len(decoded.pixels):
        raise DataProblem(f"none of the {len(pictures)} images of {source} could be read")
    images = Images(decoded.pixels, np.delete(pictures.labels, list(decoded.unread), axis=0))
    unread = [f"{pictures.names[i]}: {reason}" for i, reason in decoded.unread.items()]
    return Whole(
        images,
        listing.classes,
        (*_beside(listing), *listing.skipped, *unread),
        range_notices(decoded.peaks, pictures=len(images), preparation=preparation),
        names_of(pictures.digests.values()),
        DataSummary(
            classes=listing.classes,
            parts={"images": len(images)},
            unused=listing.unused,
            labels=label_facts([images.labels]),
        ),
    )


def has_splits(source: str) -> bool:
    """Whether a source names splits; one that does not is cut by `load` and taken by `load_whole`.

    Raises:
        DataProblem: if `source` is nothing that `load` reads.
    """
    return "train" in splits_in(source)


def splits_in(source: str) -> frozenset[str]:
    """The splits that a source names: "train", and perhaps "validation" and "test"; or none.

    Raises:
        DataProblem: if `source` is nothing that `load` reads.
    """
    if source == "synthetic":
        return frozenset(("train", "validation", "test"))
    listing = list_source(Path(source).expanduser(), whole=True)
    if not listing.splits:
        return frozenset()
    own = {"validation": listing.validation, "test": listing.test}
    return frozenset(["train", *(part for part, found in own.items() if found is not None)])


class Told(NamedTuple):
    """What a data set says of an image."""

    classes: tuple[str, ...]  # in order
    several: bool  # whether an image may have several of them, or none


def told_by(source: str) -> Told:
    """What a data set says of an image; none is decoded.

    Raises:
        DataProblem: if `source` is nothing that `load` reads.
    """
    if source == "synthetic":
        return Told(synthetic.CLASSES, False)
    listing = list_source(Path(source).expanduser(), test=False, whole=True)
    return Told(listing.classes, are_several(listing.train.labels))


def classes_in(source: str) -> tuple[str, ...]:
    """The classes of a data set, in order; see `told_by`."""
    return told_by(source).classes


def several_in(source: str) -> bool:
    """Whether an image may have several of the classes, or none; see `told_by`."""
    return told_by(source).several


def require_no_groups(source: str, selection: Selection) -> None:
    """
    Raises:
        InvalidSetting: if drawn images are to be grouped.
    """
    if source == "synthetic" and selection.group_by is not None:
        raise InvalidSetting(
            f"--group-by {selection.group_by} groups pictures of a source, and synthetic draws "
            "each for itself; leave it out"
        )


def fingerprint_of(classes: tuple[str, ...], *parts: Pictures) -> str:
    """See `ImageData.fingerprint`."""
    pictures = [(list(p.keys or p.names), list(p.sizes), p.labels.tolist()) for p in parts]
    return _hash([classes, pictures])


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


def _draw(size: int, selection: Selection, preparation: Preparation) -> ImageData:
    channels = preparation.channels
    if in_bands(channels):
        raise DataProblem(
            f"synthetic shapes are in colour or grey, and the network takes {channels} bands; name "
            "a folder of arrays with --data"
        )

    def part(name: synthetic.Part) -> Images:
        pixels, labels = synthetic.draw(
            name, size=size, seed=selection.seed, aspect=preparation.aspect
        )
        return Images(pixels if channels == 3 else synthetic.in_grey(pixels), labels)

    train, fold, held_out = part("train"), None, None
    if selection.fold is not None:
        own, tested = drawn_fold(train.labels, selection)
        assert own.places is not None
        assert tested.places is not None
        fold, held_out = FoldImages.of(tested, ()), train.subset(tested.places)
        train = train.subset(own.places)
    elif selection.test:
        held_out = part("test")
    kept = within_limit(train.labels, selection, len(synthetic.CLASSES))
    whole = {} if kept is None else {"train": len(train)}
    train = train if kept is None else train.subset(kept)
    validation = part("validation")
    counts = {"train": len(train), "validation": len(validation)}
    if held_out is not None:
        counts["test"] = len(held_out)
    return ImageData(
        train=train,
        validation=validation,
        test=held_out,
        classes=synthetic.CLASSES,
        skipped=(),
        unreadable=(),
        summary=DataSummary(classes=synthetic.CLASSES, parts=counts, whole=whole),
        notices=(),
        name="synthetic shapes",
        fingerprint=drawn_fingerprint(selection, len(train)),
        sketch=(),
        held_out=frozenset(),
        fold=fold,
    )


def drawn_fold(labels: NDArray[np.int64], selection: Selection) -> tuple[Pictures, Pictures]:
    """The training images of `synthetic` without a selection's fold, and the fold, undecoded."""
    assert selection.fold is not None
    names = [f"train/{number}" for number in range(len(labels))]
    drawn = Pictures(names, [0] * len(names), labels, lambda i: b"").placed()
    return cut_fold(
        drawn,
        selection.fold,
        seed=selection.seed,
        classes=synthetic.CLASSES,
        source="synthetic",
    )


def drawn_fingerprint(selection: Selection, images: int) -> str:
    """That of `synthetic` with so many training images."""
    fold = selection.fold
    told = [] if fold is None else [[fold.number, fold.of]]
    return _hash(["synthetic", synthetic.VERSION, selection.seed, images, *told])
