"""CIFAR-10 and CIFAR-100 as they are given out: the binary version, and the Python version.

Source: Krizhevsky, "The CIFAR-10 dataset": records of a label (CIFAR-100: coarse and fine) and 3072
bytes, red, green and blue planes of 32 x 32; or pickled dictionaries of the same. The pickles are
read by a machine of our own classes, so that nothing in them can run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoscale.datasets.pictures.pictures import Listing, shown
from autoscale.datasets.sources.arrays.pickles import read_pickle
from autoscale.datasets.sources.arrays.rasters import raster_table
from autoscale.datasets.sources.columns import Columns
from autoscale.datasets.sources.labels import labels_by_name
from autoscale.datasets.sources.tables import Table, join
from autoscale.datasets.splits import Split
from autoscale.datasets.tree import Folder
from autoscale.errors import DataProblem, first_line

_BATCH = re.compile(r"data_batch_(\d+)(\.bin)?")
_BATCHES = 5  # of CIFAR-10's training images
_PIXELS = 3 * 32 * 32
#: Of CIFAR-100, which of the two labels.
_LABELS = ("fine", "coarse")
_PLANES = (3, 32, 32)


@dataclass(frozen=True, slots=True)
class Cifar:
    """Where the files are."""

    folder: Path
    files: Mapping[Split, tuple[Path, ...]]
    binary: bool
    hundred: bool  # whether it is CIFAR-100


def find_cifar(tree: Folder) -> Cifar | None:
    """The files of a folder, or of the lone folder in it; None if it holds none."""
    names = {*tree.files, *tree.others}
    batches = sorted(name for name in names if _BATCH.fullmatch(name))
    if batches:
        binary = batches[0].endswith(".bin")
        own = [tree.path / name for name in batches if name.endswith(".bin") == binary]
        files: dict[Split, tuple[Path, ...]] = {"train": tuple(own)}
        if (test := "test_batch.bin" if binary else "test_batch") in names:
            files["test"] = (tree.path / test,)
        return Cifar(tree.path, files, binary, False)
    hundred_python = "train" in names and "meta" in names
    hundred_binary = "train.bin" in names and "fine_label_names.txt" in tree.notes
    if hundred_python or hundred_binary:
        ending = "" if hundred_python else ".bin"
        files = {"train": (tree.path / f"train{ending}",)}
        if f"test{ending}" in names:
            files["test"] = (tree.path / f"test{ending}",)
        return Cifar(tree.path, files, not hundred_python, True)
    if len(tree.folders) == 1 and not names:
        return find_cifar(tree.folders[0])
    return None


def list_cifar(found: Cifar, *, columns: Columns) -> Listing:
    """What the files hold.

    Args:
        columns: of CIFAR-100 the label may be named: fine or coarse.

    Raises:
        DataProblem: if a file is damaged, or there is no such label.
    """
    label = columns.label or _LABELS[0]
    if columns.image or columns.split or columns.group:
        raise DataProblem(
            f"{shown(found.folder)} has no columns of images, splits or groups; leave them out"
        )
    if columns.label and (not found.hundred or label not in _LABELS):
        which = "fine and coarse labels" if found.hundred else "one label of each image"
        raise DataProblem(f"{shown(found.folder)} has {which}; ?label={label} names none of them")
    classes = _classes(found, label)
    tables = {
        split: [_table(found, path, label, classes) for path in paths]
        for split, paths in found.files.items()
    }
    notices = []
    count = len(found.files["train"])
    if not found.hundred and count < _BATCHES:
        notices.append(
            f"{count} of the {_BATCHES} files data_batch_1 to data_batch_{_BATCHES} are there"
        )
    return join(tables, splits="test" in found.files, columns=Columns(label=label), notices=notices)


def _classes(found: Cifar, label: str) -> tuple[str, ...] | None:
    """The names in the file beside the batches; None without one."""
    if found.binary:
        name = f"{label}_label_names.txt" if found.hundred else "batches.meta.txt"
        path = found.folder / name
        if not path.is_file():
            return None
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as problem:
            raise DataProblem(f"cannot read {shown(path)}: {first_line(problem)}") from None
        names = [line.strip() for line in lines if line.strip()]
    else:
        path = found.folder / ("meta" if found.hundred else "batches.meta")
        if not path.is_file():
            return None
        key = f"{label}_label_names" if found.hundred else "label_names"
        given = read_pickle(path).get(key)
        if not isinstance(given, list) or not all(isinstance(n, str | bytes) for n in given):
            raise DataProblem(f"{shown(path)} holds no list {key}; fetch it again")
        names = [n.decode("utf-8", "replace") if isinstance(n, bytes) else n for n in given]
    if not names or len(set(names)) < len(names):
        raise DataProblem(f"{shown(path)} must name different classes; fetch it again")
    return tuple(names)


def _table(found: Cifar, path: Path, label: str, classes: tuple[str, ...] | None) -> Table:
    read = _binary if found.binary else _pickled
    labels, planes = read(path, label, found.hundred)

    def place(row: int) -> str:
        return f"{path.name} {row}"

    return raster_table(
        path,
        "",
        labels_by_name(labels, classes, place),
        lambda i: np.ascontiguousarray(np.moveaxis(planes[i].reshape(_PLANES), 0, 2)),
        size=_PIXELS,
        classes=classes,
    )


def _binary(path: Path, label: str, hundred: bool) -> tuple[list[int], NDArray[np.uint8]]:
    """Labels, and pixels of shape (N, 3072)."""
    record = 1 + hundred + _PIXELS
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as problem:
        raise DataProblem(f"cannot read {shown(path)}: {first_line(problem)}") from None
    if not len(content) or len(content) % record:
        raise DataProblem(
            f"{shown(path)} has {len(content):,} bytes, and each image takes {record:,}: it is cut "
            "off or of another kind; fetch it again"
        )
    rows = content.reshape(-1, record)
    column = 1 if hundred and label == "fine" else 0
    return rows[:, column].tolist(), rows[:, -_PIXELS:]


def _pickled(path: Path, label: str, hundred: bool) -> tuple[list[int], NDArray[np.uint8]]:
    """Labels, and pixels of shape (N, 3072)."""
    found = read_pickle(path)
    pixels = found.get("data")
    labels = found.get(f"{label}_labels" if hundred else "labels")
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise DataProblem(f"{shown(path)} holds no array of uint8 called data; fetch it again")
    if pixels.shape[1] != _PIXELS:
        raise DataProblem(
            f"{shown(path)} holds images of {pixels.shape[1]:,} numbers, where 3 x 32 x 32 are "
            f"{_PIXELS:,}; fetch it again"
        )
    given = labels if isinstance(labels, list) else []
    if len(given) != len(pixels) or not all(type(one) is int for one in given):
        raise DataProblem(
            f"{shown(path)} holds {len(pixels):,} images and {len(given):,} labels that are whole "
            "numbers; fetch it again"
        )
    return given, pixels
