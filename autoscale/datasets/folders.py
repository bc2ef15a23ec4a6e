"""Images in folders: one sub-folder for each class."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from autoscale.datasets.layout import find_layout
from autoscale.datasets.other_layouts import told
from autoscale.datasets.pictures.pictures import (
    Listing,
    Pictures,
    listing,
    shown,
    size_of,
    unknown_class,
)
from autoscale.datasets.splits import Split
from autoscale.datasets.tree import Folder, content_of, require_no_lost_folder
from autoscale.errors import DataProblem


class Files(NamedTuple):
    """Where the files of a tree are, by their paths."""

    size: Callable[[str], int]  # bytes
    read: Callable[[str], bytes]


#: Those of the file system.
ON_DISK = Files(size_of, content_of)


def list_folders(tree: Folder, files: Files = ON_DISK) -> Listing:
    """What a folder holds; see `source.list_source` for the layouts.

    Raises:
        DataProblem: if it is laid out otherwise.
    """
    layout = find_layout(tree)
    first = layout.classes.get("train") or next(iter(layout.classes.values()))
    classes = tuple(first)
    if len(classes) < 2 and "train" in layout.classes:
        raise DataProblem(
            told(tree, flat=not classes)
            or f"{shown(layout.start)} has {len(classes)} class sub-folders; at least 2 are needed"
            ": give a folder with one sub-folder of images for each class"
        )
    for name, folder in layout.classes.get("train", {}).items():
        if not folder.count:
            raise DataProblem(
                f"class {name!r} in {shown(layout.start)} has 0 images; add some or remove the "
                "folder"
            )
    parts: dict[Split, Pictures] = {}
    skipped: list[str] = []
    for split, folders in layout.classes.items():
        _require_known(tree.path, folders, classes)
        parts[split] = _list_split(tree.path, folders, classes, skipped, files)
    return listing(
        parts,
        classes,
        splits=layout.named,
        skipped=tuple(skipped),
        unused=layout.unused,
        loose=layout.loose,
        notices=layout.notices,
    )


def _require_known(root: Path, folders: Mapping[str, Folder], classes: tuple[str, ...]) -> None:
    for name, folder in folders.items():
        if name not in classes:
            split = shown(folder.path.parent.relative_to(root).as_posix())
            raise unknown_class(name, split, classes)


def _list_split(
    root: Path,
    folders: Mapping[str, Folder],
    classes: tuple[str, ...],
    skipped: list[str],
    files: Files,
) -> Pictures:
    paths: list[str] = []
    labels: list[int] = []
    for name, folder in folders.items():
        own = list(folder.pictures())
        paths += own
        labels += [classes.index(name)] * len(own)
        for one in folder.walk():
            require_no_lost_folder(one)
            place = shown(one.path.relative_to(root).as_posix())
            skipped += [
                f"{place}/{shown(other)}: {os.path.splitext(other)[1]} is no picture"
                for other in one.others
            ]
            skipped += [f"{place}/{shown(loop)}: a link to a folder above it" for loop in one.loops]
    start = len(f"{root}/") if str(root) != "/" else 1
    return Pictures(
        [shown(path[start:]) for path in paths],
        [files.size(path) for path in paths],
        np.array(labels, dtype=np.int64),
        lambda i: files.read(paths[i]),
    )
