"""Images in folders: one sub-folder for each class."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from autoscale.errors import DataProblem
from autoscale.training.pictures import Listing, Pictures, unknown_class

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
VALIDATION_NAMES = ("validation", "val", "valid")
_LITTER = ("thumbs.db", "desktop.ini")
_SIDE_EXTENSIONS = (".txt", ".json", ".csv", ".md")  # notes and annotations beside the images


def list_folders(root: Path, *, test: bool) -> Listing:
    """What a folder holds; see `data.load` for the layouts.

    Raises:
        DataProblem: if it is laid out otherwise.
    """
    # A class may be called "train": a split holds folders, a class holds images.
    loose = [path.suffix.lower() for path in _files(root / "train", nested=False)]
    splits = bool(_folders(root / "train")) and not set(loose) & set(EXTENSIONS)
    start = root / "train" if splits else root
    classes = tuple(folder.name for folder in _folders(start))
    if len(classes) < 2:
        raise DataProblem(
            f"{start} has {len(classes)} class sub-folders; at least 2 are needed: give a folder "
            "with one sub-folder of images for each class"
        )
    skipped: list[str] = []
    train = _list_split(root, start, classes, skipped)
    for label, name in enumerate(classes):
        if not np.any(train.labels == label):
            raise DataProblem(
                f"class {name!r} in {start} has 0 images; add some ({', '.join(EXTENSIONS)}) or "
                "remove the folder"
            )
    validation = held_out = None
    if splits:
        present = [root / name for name in VALIDATION_NAMES if (root / name).is_dir()]
        if len(present) > 1:
            names = " and ".join(folder.name for folder in present)
            raise DataProblem(f"{root} has {len(present)} validation splits, {names}; keep one")
        if present:
            validation = _list_split(root, present[0], classes, skipped)
        if test and (root / "test").is_dir():
            held_out = _list_split(root, root / "test", classes, skipped)
    return Listing(train, validation, held_out, classes, splits, tuple(skipped))


def _list_split(root: Path, split: Path, classes: tuple[str, ...], skipped: list[str]) -> Pictures:
    number = {name: label for label, name in enumerate(classes)}
    paths: list[Path] = []
    labels: list[int] = []
    for folder in _folders(split):
        if folder.name not in number:
            raise unknown_class(folder.name, split.name, classes)
        for path in _files(folder, nested=True):
            if path.suffix and path.suffix.lower() not in EXTENSIONS:
                skipped.append(f"{path.relative_to(root)}: {path.suffix} is no image extension")
            else:
                paths.append(path)
                labels.append(number[folder.name])
    return Pictures(
        [path.relative_to(root).as_posix() for path in paths],
        [path.stat().st_size if path.exists() else 0 for path in paths],
        np.array(labels, dtype=np.int64),
        lambda i: _content(paths[i]),
    )


def _content(path: Path) -> bytes:
    # Reading a pipe or a device may never end.
    if path.exists() and not path.is_file():
        raise ValueError("not a regular file")
    return path.read_bytes()


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))


def _files(folder: Path, *, nested: bool) -> list[Path]:
    """Sorted, without hidden files, side files and what file managers leave behind."""

    def counts(name: str) -> bool:
        return name.lower() not in _LITTER and not name.lower().endswith(_SIDE_EXTENSIONS)

    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if nested and not f.startswith(".")]
        found += [Path(parent, n) for n in names if not n.startswith(".") and counts(n)]
    return sorted(found)
