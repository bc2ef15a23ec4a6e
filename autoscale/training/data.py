"""Images in memory: the only reader of data sets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoscale.errors import DataProblem, InvalidSetting
from autoscale.training import synthetic
from autoscale.training.decoding import Keep, decode
from autoscale.training.depth import range_notice
from autoscale.training.folders import list_folders
from autoscale.training.parquet import list_parquet
from autoscale.training.pictures import Listing, Pictures
from autoscale.training.preparation import Preparation
from autoscale.training.summary import DataSummary


@dataclass(frozen=True, eq=False)
class Images:
    """Decoded square images and their classes."""

    pixels: NDArray[np.uint8]  # (N, S, S, 3), contiguous
    labels: NDArray[np.int64]  # (N,), positions in the classes of the data set

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: ArrayLike) -> Images:
        """The images at `indices` (whole numbers, or N truth values), in that order, copied."""
        chosen = np.asarray(indices)
        return Images(self.pixels[chosen], self.labels[chosen])


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set, cut into what trains, what ranks and what is reported."""

    train: Images
    validation: Images
    test: Images | None  # None when the source has none, or when it was not asked for
    classes: tuple[str, ...]
    skipped: tuple[str, ...]  # one line for each file left out: its name and the reason
    notices: tuple[str, ...]  # what a person should know of the images, in sentences
    name: str  # for people, such as "clothing"
    # Of the classes, and of the names, byte sizes and labels of the training and the validation
    # images, each in order; not of the bytes themselves, nor of the size they are decoded at. Of
    # `synthetic`: of its version, the seed and the number of training images.
    fingerprint: str


def load(
    source: str,
    *,
    size: int,
    seed: int = 0,
    validation_fraction: float = 0.2,
    strict: bool = False,
    limit: int | None = None,
    test: bool = True,
    keep: Keep | None = None,
    preparation: Preparation | None = None,
) -> ImageData:
    """Read a data set; every image is decoded once and takes 3 * size**2 bytes.

    Each image is turned upright by its EXIF orientation, laid on white where it is transparent,
    and its centre square is resized to `size` with antialiasing. Images of 16 bits are scaled to 8.
    See `training.decoding`.

    `source` is one of

    - `synthetic`: drawn from `seed`, see `training.synthetic`; it comes with its own splits;
    - a folder with a sub-folder for each class;
    - a folder with `train/`, and perhaps `validation/` (or `val/`, `valid/`) and `test/`, each with
      a sub-folder for each class;
    - a Parquet file in the Hugging Face image layout;
    - a folder with such files: `train*.parquet`, and perhaps `validation*` and `test*`, there or in
      its `data/`.

    A source without splits is cut in two steps: `validation_fraction` of each class is put aside as
    test images, then `validation_fraction` of the rest as validation images (64 / 16 / 20 % by
    default). A source that names its training split but no validation split loses
    `validation_fraction` of each training class to validation; its test split, or the lack of one,
    is respected. The cut depends on `seed` alone, never on `test` or `limit`.

    Args:
        size: pixels per side.
        validation_fraction: above 0 and at most 0.5.
        strict: refuse a file that cannot be read, instead of skipping it.
        limit: at most so many training images, in the proportions of the classes.
        test: False leaves the test images undecoded, so that nothing can look at them.
        keep: where decoded images are looked for and left for the next call; without it, and for
            `synthetic`, they are made in memory.
        preparation: what else is done to an image, but for mean and deviation; without, the usual.

    Raises:
        InvalidSetting: if `source` is empty, or `size`, `seed`, `validation_fraction` or `limit` is
            out of range.
        DataProblem: if `source` is not one of the above, has a class without readable images, fewer
            than two classes, or validation or test classes that the training split lacks; if
            `strict` and a file cannot be read; if pyarrow is needed and missing.
    """
    if not source.strip():
        raise InvalidSetting(
            "data must not be empty; give a folder of classes, a .parquet file or 'synthetic'"
        )
    if seed < 0:
        raise InvalidSetting(f"seed must be at least 0, got {seed}")
    if size < 1:
        raise InvalidSetting(f"size must be at least 1 pixel; got {size}")
    if not 0 < validation_fraction <= 0.5:
        raise InvalidSetting(
            f"validation_fraction must be above 0 and at most 0.5; got {validation_fraction}"
        )
    if limit is not None and limit < 1:
        raise InvalidSetting(f"limit must be at least 1 image; got {limit}")
    if source == "synthetic":
        return _draw(size=size, seed=seed, limit=limit, test=test)

    root = Path(source).expanduser()
    listing = list_source(root, test=test)
    train, validation, held_out = listing.train, listing.validation, listing.test
    if not listing.splits:
        kept, aside = carve(train.labels, validation_fraction, seed=seed)
        train, held_out = train.subset(kept), train.subset(aside)
    if validation is None:
        kept, aside = carve(train.labels, validation_fraction, seed=seed)
        train, validation = train.subset(kept), train.subset(aside)
    if limit is not None:
        train = train.subset(_limited(train.labels, limit, len(listing.classes), seed=seed))
    parts = {"training": train, "validation": validation}
    if test and held_out is not None:
        parts["test"] = held_out
    for part, pictures in parts.items():
        if len(pictures) == 0:
            raise DataProblem(
                f"{source} leaves 0 {part} images; at least 1 is needed: add images to its classes"
            )

    skipped = list(listing.skipped)
    if strict and skipped:
        raise DataProblem(f"{skipped[0]}; remove the file or load without strict")
    images: dict[str, Images] = {}
    peaks: list[int] = []
    for part, pictures in parts.items():
        decoded = decode(pictures, size, strict=strict, keep=keep, preparation=preparation)
        peaks += decoded.peaks
        skipped += [f"{pictures.names[i]}: {reason}" for i, reason in decoded.unread.items()]
        labels = np.delete(pictures.labels, list(decoded.unread))
        images[part] = Images(decoded.pixels, labels)
    for label, name in enumerate(listing.classes):
        if not np.any(images["training"].labels == label):
            reason = next((line for line in skipped if f"{name}/" in line), "see the skipped files")
            raise DataProblem(
                f"no training image of class {name!r} could be read ({reason}); repair the files "
                "or remove the class"
            )
    for part, found in images.items():
        if len(found) == 0:
            raise DataProblem(
                f"none of the {len(parts[part])} {part} images of {source} could be read "
                f"({skipped[-1]}); repair the files"
            )
    return ImageData(
        train=images["training"],
        validation=images["validation"],
        test=images.get("test"),
        classes=listing.classes,
        skipped=tuple(skipped),
        notices=_notices(peaks, sum(map(len, images.values())), preparation),
        name=root.resolve().name,
        fingerprint=_fingerprint(listing.classes, train, validation),
    )


class Whole(NamedTuple):
    """Every labelled picture of a source, as one set."""

    images: Images
    classes: tuple[str, ...]
    skipped: tuple[str, ...]  # as in `ImageData`
    notices: tuple[str, ...]  # likewise
    summary: DataSummary  # its `sentence` says what was understood


def load_whole(
    source: str,
    *,
    size: int,
    strict: bool = False,
    keep: Keep | None = None,
    preparation: Preparation | None = None,
) -> Whole:
    """Every labelled picture of a source without splits, none of them put aside.

    For images that no training has seen, such as a folder of test images by class.

    Args:
        size: pixels per side.
        strict: refuse a file that cannot be read, instead of skipping it.
        keep, preparation: as in `load`.

    Raises:
        InvalidSetting: if `size` is below 1.
        DataProblem: if `source` has splits, or cannot be read; see `load`.
    """
    if size < 1:
        raise InvalidSetting(f"size must be at least 1 pixel; got {size}")
    listing = list_source(Path(source).expanduser(), test=True)
    if listing.splits:
        raise DataProblem(f"{source} has splits of its own; name one of them")
    if strict and listing.skipped:
        raise DataProblem(f"{listing.skipped[0]}; remove the file or load without strict")
    pictures = listing.train
    decoded = decode(pictures, size, strict=strict, keep=keep, preparation=preparation)
    if not len(decoded.pixels):
        raise DataProblem(f"none of the {len(pictures)} images of {source} could be read")
    images = Images(decoded.pixels, np.delete(pictures.labels, list(decoded.unread)))
    unread = [f"{pictures.names[i]}: {reason}" for i, reason in decoded.unread.items()]
    return Whole(
        images,
        listing.classes,
        (*listing.skipped, *unread),
        _notices(decoded.peaks, len(images), preparation),
        DataSummary(classes=listing.classes, parts={"images": len(images)}),
    )


def has_splits(source: str) -> bool:
    """Whether a source names splits; one that does not is cut by `load` and taken by `load_whole`.

    Raises:
        DataProblem: if `source` is nothing that `load` reads.
    """
    return source == "synthetic" or list_source(Path(source).expanduser(), test=False).splits


def classes_in(source: str) -> tuple[str, ...]:
    """The classes of a data set, in order; no image is decoded.

    Raises:
        DataProblem: if `source` is nothing that `load` reads.
    """
    if source == "synthetic":
        return synthetic.CLASSES
    return list_source(Path(source).expanduser(), test=False).classes


def read_pictures(
    paths: Sequence[Path], *, size: int
) -> tuple[NDArray[np.uint8], tuple[Path, ...], tuple[str, ...]]:
    """Single files, decoded exactly as those of a data set.

    Returns:
        Pixels, shape (readable, size, size, 3); the readable paths in the same order; one line for
        each of the others.
    """
    readable, skipped = [], []
    for path in paths:
        if path.is_dir():
            skipped.append(f"{path}: is a folder; name its images, as {path}/*.jpg")
        elif not path.is_file():
            skipped.append(f"{path}: no such file")
        else:
            readable.append(path)
    pictures = Pictures(
        [str(path) for path in readable],
        [path.stat().st_size for path in readable],
        np.zeros(len(readable), dtype=np.int64),
        lambda i: readable[i].read_bytes(),
    )
    decoded = decode(pictures, size, strict=False, keep=None)
    skipped += [f"{pictures.names[i]}: {reason}" for i, reason in decoded.unread.items()]
    kept = tuple(path for i, path in enumerate(readable) if i not in decoded.unread)
    return decoded.pixels, kept, tuple(skipped)


def carve(
    labels: NDArray[np.int64], fraction: float, *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two sorted lists of positions in `labels`: those kept, and about `fraction` of each class.

    Each class keeps at least one for fractions up to 0.5; a class too small to share keeps all.
    """
    place, members = _shuffled_places(labels, seed)
    aside = place + 0.5 < fraction * members
    return np.flatnonzero(~aside), np.flatnonzero(aside)


def _limited(
    labels: NDArray[np.int64], limit: int, classes: int, *, seed: int
) -> NDArray[np.int64]:
    if limit < classes:
        raise InvalidSetting(f"limit must be at least 1 image for each of {classes}; got {limit}")
    place, members = _shuffled_places(labels, seed)
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


def _notices(
    peaks: Sequence[int], pictures: int, preparation: Preparation | None
) -> tuple[str, ...]:
    white_level = (preparation or Preparation()).white_level
    notice = range_notice(peaks, pictures=pictures, white_level=white_level)
    return () if notice is None else (notice,)


def _fingerprint(classes: tuple[str, ...], *parts: Pictures) -> str:
    pictures = [(list(p.names), list(p.sizes), p.labels.tolist()) for p in parts]
    return _hash([classes, pictures])


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]


def _draw(*, size: int, seed: int, limit: int | None, test: bool) -> ImageData:
    def part(name: synthetic.Part) -> Images:
        return Images(*synthetic.draw(name, size=size, seed=seed))

    train = part("train")
    if limit is not None:
        train = train.subset(_limited(train.labels, limit, len(synthetic.CLASSES), seed=seed))
    return ImageData(
        train=train,
        validation=part("validation"),
        test=part("test") if test else None,
        classes=synthetic.CLASSES,
        skipped=(),
        notices=(),
        name="synthetic shapes",
        fingerprint=_hash(["synthetic", synthetic.VERSION, seed, len(train)]),
    )


def list_source(root: Path, *, test: bool) -> Listing:
    """The pictures of a folder or of Parquet files, as `load` describes them; none is decoded.

    Raises:
        DataProblem: if `root` is no data set.
    """
    if not root.exists():
        raise DataProblem(f"no such folder: {root}; give a folder of classes, or 'synthetic'")
    if root.is_file():
        if root.suffix.lower() != ".parquet":
            raise DataProblem(f"{root} is not a folder or a .parquet file; give one of these")
        return list_parquet({"train": [root]}, splits=False)
    for folder in (root, root / "data"):
        if trained := sorted(folder.glob("train*.parquet")):
            files = {"train": trained, "validation": sorted(folder.glob("val*.parquet"))}
            files["test"] = sorted(folder.glob("test*.parquet")) if test else []
            return list_parquet(files, splits=True)
    return list_folders(root, test=test)
