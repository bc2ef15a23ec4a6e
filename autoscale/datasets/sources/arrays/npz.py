"""Arrays of a .npz file, as MedMNIST and Keras write them; nothing that is pickled is ever read."""

from __future__ import annotations

import re
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscale.datasets.pictures.pictures import Listing, shown
from autoscale.datasets.sources.arrays.rasters import raster_table
from autoscale.datasets.sources.labels import labels_by_name
from autoscale.datasets.sources.tables import Table, join
from autoscale.datasets.splits import Split, read_name, words
from autoscale.errors import DataProblem, first_line

_IMAGES = words("x images image imgs img pictures pixels data")
_LABELS = words("y labels label targets target classes class")
_NAMES = words("class_names label_names classes_names names")


def is_arrays(name: str) -> bool:
    """Whether a file is called like one of several arrays of numpy."""
    return name.lower().endswith(".npz")


@dataclass(frozen=True, slots=True)
class _Head:
    """An array without its numbers."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool


def list_arrays(path: Path) -> Listing:
    """What the arrays of a file are: images and labels, for each split or for all.

    Images are uint8 of (N, H, W), (N, H, W, 1) or (N, H, W, 3), or with the channels second.

    Raises:
        DataProblem: if they are something else.
    """
    heads = _heads(path)
    pairs: dict[Split | None, dict[str, _Head]] = {}
    unused: list[str] = []
    for name, head in heads.items():
        split, role = _role(name)
        if role is None or role in pairs.get(split, {}):
            if name.lower() not in _NAMES:
                unused.append(f"{name}.npy")
            continue
        pairs.setdefault(split, {})[role] = head
    if not any("images" in own for own in pairs.values()):
        raise DataProblem(
            f"{shown(path)} holds the arrays {', '.join(heads) or '(none)'}; train_images and "
            "train_labels, x_train and y_train, or images and labels are needed"
        )
    if None in pairs and len(pairs) > 1:
        unused += [f"{head.name}.npy" for head in pairs.pop(None).values()]
    classes = _class_names(path, heads)
    tables: dict[Split, list[Table]] = {}
    for split in ("train", "validation", "test", None):
        own = pairs.get(split)
        if own is not None and "images" in own:
            tables[split or "train"] = [_table(path, split or "", own, classes)]
        elif own is not None:
            unused += [f"{head.name}.npy" for head in own.values()]
    return join(tables, splits=None not in pairs, unused=tuple(unused))


def _role(name: str) -> tuple[Split | None, str | None]:
    """Which split an array is of, and whether it holds images or labels."""
    parts = [part.lower() for part in re.split(r"[^A-Za-z]+", name) if part]
    kinds = {"images" for part in parts if part in _IMAGES}
    kinds |= {"labels" for part in parts if part in _LABELS}
    rest = "_".join(part for part in parts if part not in _IMAGES | _LABELS)
    told = read_name(rest) if rest else None
    if len(kinds) != 1 or (told is not None and not told.plain):
        return None, None
    role = None if told is None else told.role
    return ("validation" if role == "evaluation" else role), kinds.pop()


def _table(path: Path, split: str, own: dict[str, _Head], classes: tuple[str, ...] | None) -> Table:
    head = own["images"]
    count, side_bytes = head.shape[0] if head.shape else 0, int(np.prod(head.shape[1:]))
    pixels = _pixels(path, head)
    labels: list[Any] = [None] * count
    if "labels" in own:
        labels = _labels(path, own["labels"], count, classes)
    return raster_table(path, split, labels, pixels, size=side_bytes, classes=classes)


def _pixels(path: Path, head: _Head) -> Callable[[int], NDArray[np.uint8]]:
    """What gives the picture of a row; the array is read once, when the first is asked for.

    Raises:
        DataProblem: if the array holds no pictures.
    """
    if head.dtype != np.uint8:
        reason = (
            "pickled objects, which may run code and are not read"
            if head.dtype.hasobject
            else f"numbers of {head.dtype}, of which black and white are not known"
        )
        raise DataProblem(
            f"{head.name} of {shown(path)} holds {reason}; write its pictures as uint8 of 0 to 255"
        )
    shape = head.shape
    first = len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3)
    if not (len(shape) == 3 or (len(shape) == 4 and (first or shape[3] in (1, 3)))) or 0 in shape:
        raise DataProblem(
            f"{head.name} of {shown(path)} has the shape {shape}; pictures are (N, H, W), "
            "(N, H, W, 3) or (N, 3, H, W)"
        )
    guard = threading.Lock()
    kept: list[NDArray[np.uint8]] = []

    def pixels(i: int) -> NDArray[np.uint8]:
        with guard:
            if not kept:
                kept.append(_array(path, head.name))
        picture = kept[0][i]
        if first:
            picture = np.moveaxis(picture, 0, 2)
        return picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture

    return pixels


def _labels(path: Path, head: _Head, count: int, classes: tuple[str, ...] | None) -> list[Any]:
    """
    Raises:
        DataProblem: if there is not one number or text for each image.
    """
    place = f"{head.name} of {shown(path)}"
    if head.dtype.kind not in "iufUb":
        what = "pickled objects, which may run code" if head.dtype.hasobject else str(head.dtype)
        raise DataProblem(f"{place} holds {what}; write labels as whole numbers or texts")
    if head.shape not in ((count,), (count, 1)):
        raise DataProblem(
            f"{place} has the shape {head.shape} for {count:,} images; one label for each is needed"
        )
    values = _array(path, head.name).reshape(count)
    if values.dtype.kind == "f" and not np.all(values == np.floor(values)):
        raise DataProblem(f"{place} holds numbers with a fraction; a class is a whole number")
    plain = values.astype(np.int64).tolist() if values.dtype.kind == "f" else values.tolist()
    return labels_by_name(plain, classes, lambda row: f"{place}, row {row},")


def _class_names(path: Path, heads: dict[str, _Head]) -> tuple[str, ...] | None:
    for name, head in heads.items():
        if name.lower() in _NAMES and head.dtype.kind == "U" and len(head.shape) == 1:
            found = tuple(map(str, _array(path, name)))
            return found if len(set(found)) == len(found) else None
    return None


def _array(path: Path, name: str) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as opened:
            found: NDArray[Any] = opened[name]
    except Exception as problem:  # damaged archives make numpy and zipfile raise many kinds
        raise DataProblem(_damaged(path, problem)) from None
    return found


def _damaged(path: Path, problem: Exception) -> str:
    return f"cannot read {shown(path)}: {first_line(problem)}; fetch or write the file again"


def _heads(path: Path) -> dict[str, _Head]:
    """The arrays of a file by their names, none of which is read.

    Raises:
        DataProblem: if it is no such file.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if not member.endswith(".npy"):
                    continue
                name = member.removesuffix(".npy")
                with archive.open(member) as handle:
                    version = np.lib.format.read_magic(handle)
                    read = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, fortran, dtype = read(handle)
                found[name] = _Head(name, tuple(map(int, shape)), dtype, fortran)
    except Exception as problem:  # damaged archives make numpy and zipfile raise many kinds
        raise DataProblem(_damaged(path, problem)) from None
    return found
