"""MNIST's files and those like them: idx, packed by gzip or not.

Source: LeCun, Cortes and Burges, "The MNIST database", file formats: a magic number of 0x08 for
unsigned bytes and the number of dimensions, each dimension in 4 bytes, big end first, then the
numbers.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoscale.datasets.pictures.pictures import Listing, shown
from autoscale.datasets.sources.arrays.rasters import raster_table
from autoscale.datasets.sources.tables import Table, join
from autoscale.datasets.splits import Split
from autoscale.datasets.tree import Folder
from autoscale.errors import DataProblem, first_line

_NAME = re.compile(r"(.*?)(train|test|t10k)-(images|labels)[-.]idx[13]-ubyte(\.gz)?", re.I)
_UBYTE = 0x08


@dataclass(frozen=True, slots=True)
class Idx:
    """The files of each split, by "images" and "labels"."""

    files: Mapping[Split, Mapping[str, Path]]
    unused: tuple[str, ...]


def find_idx(tree: Folder) -> Idx | None:
    """The files of a folder, or of one lone folder in it; None if it holds none.

    Raises:
        DataProblem: if they are of several data sets, or lack labels.
    """
    names = [*tree.files, *tree.others]
    found = [(told, name) for name in names if (told := _NAME.fullmatch(name))]
    if not found:
        return find_idx(tree.folders[0]) if len(tree.folders) == 1 and not names else None
    kinds = sorted({told[1] for told, _ in found})
    if len(kinds) > 1:
        raise DataProblem(
            f"{shown(tree.path)} holds idx files of {len(kinds)} data sets ({kinds[0]}..., "
            f"{kinds[1]}...); put those of one into a folder"
        )
    files: dict[Split, dict[str, Path]] = {}
    # An unpacked file stands before a packed one of the same name.
    for told, name in sorted(found, key=lambda one: one[1].endswith(".gz")):
        split: Split = "train" if told[2].lower() == "train" else "test"
        files.setdefault(split, {}).setdefault(told[3].lower(), tree.path / name)
    for own in files.values():
        if lacking := {"images", "labels"} - {*own}:
            there = next(iter(own.values()))
            raise DataProblem(
                f"{shown(there)} lies there without its {lacking.pop()}; fetch that file too"
            )
    rest = (shown(name) for name in names if not _NAME.fullmatch(name))
    return Idx(files, tuple(rest))


def list_idx(found: Idx, *, test: bool) -> Listing:
    """What the files hold.

    Args:
        test: whether the files of the test split are read.

    Raises:
        DataProblem: if they are damaged or do not belong together.
    """
    tables: dict[Split, list[Table]] = {}
    for split in ("train", "test"):
        if split in found.files and (test or split == "train" or len(found.files) == 1):
            tables[split] = [_table(split, found.files[split])]
    return join(tables, splits=True, unused=found.unused)


def _table(split: str, files: Mapping[str, Path]) -> Table:
    pixels = _read(files["images"], dimensions=3)
    labels = _read(files["labels"], dimensions=1)
    if len(pixels) != len(labels):
        raise DataProblem(
            f"{shown(files['images'])} holds {len(pixels):,} images and "
            f"{files['labels'].name} {len(labels):,} labels; fetch both again"
        )
    return raster_table(
        files["images"], "", labels.tolist(), lambda i: pixels[i], size=int(pixels[0].size)
        if len(pixels) else 0,
    )  # fmt: skip


def _read(path: Path, *, dimensions: int) -> NDArray[np.uint8]:
    """
    Raises:
        DataProblem: if it is no such file, or cut off.
    """
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except (OSError, EOFError, ValueError, zlib.error) as problem:
        raise DataProblem(
            f"cannot read {shown(path)}: {first_line(problem)}; fetch it again"
        ) from None
    head = 4 + 4 * dimensions
    if len(content) < head or content[:4] != bytes((0, 0, _UBYTE, dimensions)):
        raise DataProblem(
            f"{shown(path)} begins with {content[:4].hex()}, and idx files of unsigned bytes in "
            f"{dimensions} dimensions with 00000{_UBYTE}0{dimensions}; fetch it again"
        )
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", dimensions, 4))
    size = 1
    for side in shape:
        size *= side
    if len(content) - head != size:
        raise DataProblem(
            f"{shown(path)} holds {len(content) - head:,} numbers of the {size:,} of its shape "
            f"{shape}; fetch it again"
        )
    return np.frombuffer(content, np.uint8, size, head).reshape(shape)
