"""Folders that save_to_disk of Hugging Face's datasets wrote, read without that library.

Source: `Dataset.save_to_disk` and `DatasetDict.save_to_disk` of datasets: state.json names the
.arrow files of a data set, dataset_info.json its columns, dataset_dict.json its splits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoscale.datasets.pictures.pictures import Listing, shown
from autoscale.datasets.sources.columns import Columns
from autoscale.datasets.sources.parquet import list_parquet
from autoscale.datasets.splits import Split, read_name
from autoscale.datasets.tree import Folder
from autoscale.errors import DataProblem, first_line

_STATE, _INFO, _DICT = "state.json", "dataset_info.json", "dataset_dict.json"


@dataclass(frozen=True, slots=True)
class Saved:
    """Where the data sets lie."""

    folders: dict[Split, Path]
    named: bool  # whether the source names its splits
    unused: tuple[str, ...]


def find_saved(tree: Folder) -> Saved | None:
    """What of a folder save_to_disk wrote: a data set, or one for each split; None if nothing.

    Raises:
        DataProblem: if a split is not there, or it cannot be told which is which.
    """
    if {_STATE, _INFO} <= {*tree.notes}:
        return Saved({"train": tree.path}, False, ())
    if _DICT not in tree.notes:
        lone = tree.folders[0] if len(tree.folders) == 1 and not tree.count else None
        return None if lone is None else find_saved(lone)
    names = _json(tree.path / _DICT).get("splits")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataProblem(f"{shown(tree.path / _DICT)} names no splits; save the data set again")
    there = {folder.name: folder for folder in tree.folders}
    found: dict[Split, Path] = {}
    unused: list[str] = []
    told: dict[Split, str] = {}
    for name in names:
        folder = there.get(name)
        if folder is None or not {_STATE, _INFO} <= {*folder.notes}:
            raise DataProblem(
                f"{shown(tree.path)} names the split {name!r}, and no such data set is there; save "
                "it again, or copy all of it"
            )
        role = read_name(name)
        split: Split | None = "validation" if role.role == "evaluation" else role.role
        if split is None or not role.plain:
            unused.append(f"{shown(name)}/")
        elif split in told:
            raise DataProblem(
                f"{shown(tree.path)} has two {split} splits, {told[split]!r} and {name!r}; save "
                "one of them alone"
            )
        else:
            found[split], told[split] = folder.path, name
    if not found:
        raise DataProblem(
            f"{shown(tree.path)} has the splits {', '.join(map(repr, names))}, of which none is "
            "for training; name the folder of one of them"
        )
    return Saved(found, True, tuple(unused))


def list_saved(saved: Saved, *, columns: Columns, test: bool) -> Listing:
    """What the files of arrow hold.

    Args:
        columns: those to read.
        test: whether the files of a test split are read.

    Raises:
        DataProblem: if a file is not there, or cannot be used.
    """
    files: dict[Split, list[Path]] = {}
    features: Mapping[str, Any] = {}
    for split in ("train", "validation", "test"):
        folder = saved.folders.get(split)
        if folder is None or (split == "test" and not test and len(saved.folders) > 1):
            continue
        files[split] = _files(folder)
        if not features:
            found = _json(folder / _INFO).get("features")
            features = found if isinstance(found, dict) else {}
    plain = {name: one for name, one in features.items() if isinstance(one, dict | list)}
    return list_parquet(
        files, splits=saved.named, columns=columns, unused=saved.unused, features=plain
    )


def _files(folder: Path) -> list[Path]:
    state = _json(folder / _STATE)
    try:
        names = [one["filename"] for one in state["_data_files"]]
        if state.get("_indices_data_files") or not all(isinstance(n, str) for n in names):
            raise ValueError("it selects rows by a file of its own")
        if any(Path(name).name != name for name in names):
            raise ValueError("it names files in other folders")
    except (KeyError, TypeError, ValueError) as problem:
        raise DataProblem(
            f"{shown(folder / _STATE)} does not name .arrow files ({first_line(problem)}); save "
            "the data set again with a newer version of datasets"
        ) from None
    paths = [folder / name for name in names]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise DataProblem(
            f"{len(missing)} of the {len(paths)} files that {shown(folder / _STATE)} names are not "
            f"there, the first {missing[0]}; copy all of it"
        )
    if not paths:
        raise DataProblem(f"{shown(folder)} holds a data set without rows; save one with some")
    return paths


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise DataProblem(
            f"cannot read {shown(path)}: {first_line(problem)}; save the data set again"
        ) from None
    return found if isinstance(found, dict) else {}
