"""How files of many images are laid out: which file belongs to which split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from autoscale.datasets.other_layouts import hive_partitions
from autoscale.datasets.pictures.pictures import shown
from autoscale.datasets.splits import Role, Split, read_name, spoken
from autoscale.datasets.tree import Folder, is_parquet
from autoscale.errors import DataProblem

_DEEPEST = 5  # parts of a path, as in repository/default/train/0000.parquet


@dataclass(frozen=True, slots=True)
class Shards:
    """The Parquet files of each split."""

    files: dict[Split, list[Path]]  # sorted; without splits all are "train"
    named: bool  # whether names tell splits
    unused: tuple[str, ...]  # relative to the root


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    base: str  # where its data set lies, relative to the root; "." is the root
    role: Role | None
    rest: tuple[str, ...]  # of its name, beside the split
    word: str  # its name without numbers


def find_shards(
    tree: Folder, is_one: Callable[[str], bool] = is_parquet, kind: str = "Parquet files"
) -> Shards | None:
    """The files of a kind below a folder by split; None if it holds none, or images in folders.

    Args:
        is_one: whether a file is called like one of them.
        kind: what they are called, for messages.

    Raises:
        DataProblem: if it cannot be told what belongs together.
    """
    files = _files(tree, is_one)
    home = [one for one in files if one.base in (".", "data") and one.role == "train"]
    folders_of_images = len(tree.live) > 1 or any(
        read_name(one.name).role == "train" and one.live for one in tree.live
    )
    if not files or (folders_of_images and not home):
        return None
    if partitions := hive_partitions(tree):
        raise DataProblem(partitions)
    base = _base(files, tree, kind)
    own = [one for one in files if one.base == base]
    unused = [one.path for one in files if one.base != base]
    by_role: dict[Role | None, list[_File]] = {}
    for one in own:
        by_role.setdefault(one.role, []).append(one)
    if set(by_role) == {None}:
        return Shards({"train": [one.path for one in own]}, False, _relative(unused, tree))
    unused += [one.path for one in by_role.pop(None, [])]
    parts: dict[Split, list[Path]] = {}
    for split in ("train", "validation", "test"):
        if found := by_role.get(split):
            parts[split] = _shards(split, found, tree)
    if found := by_role.get("evaluation"):
        free: list[Split] = [split for split in ("validation", "test") if split not in parts]
        if free:
            parts[free[0]] = _shards("evaluation", found, tree)
        else:
            unused += [one.path for one in found]
    return Shards(parts, True, _relative(unused, tree))


def _files(tree: Folder, is_one: Callable[[str], bool]) -> list[_File]:
    found = []
    for folder in tree.walk():
        for name in folder.others:
            path = folder.path / name
            place = PurePosixPath(path.relative_to(tree.path).as_posix())
            if is_one(name) and len(place.parts) <= _DEEPEST:
                found.append(_file(path, place))
    return found


def _file(path: Path, place: PurePosixPath) -> _File:
    """A file's own name tells its split, else the nearest folder that is called like one."""
    name = read_name(place.stem)
    if name.role is not None:
        parent = place.parent
        if read_name(parent.name).role == name.role:
            parent = parent.parent
        return _File(path, str(parent), name.role, name.rest, name.word)
    for folder in place.parents:
        told = read_name(folder.name)
        if told.role is not None:
            return _File(path, str(folder.parent), told.role, told.rest, told.word)
    return _File(path, str(place.parent), None, (), "")


def _base(files: list[_File], tree: Folder, kind: str) -> str:
    """Where the data set lies: the root or its data before others.

    Raises:
        DataProblem: if several folders hold data sets.
    """
    bases = sorted({one.base for one in files})
    training = sorted({one.base for one in files if one.role == "train"}) or bases
    for base in (".", "data"):
        if base in training:
            return base
    if len(training) > 1:
        raise DataProblem(
            f"{len(training)} data sets of {kind} lie in {shown(tree.path)}: "
            f"{', '.join(map(shown, training[:5]))}; name one of these folders"
        )
    return training[0]


def _shards(split: str, files: list[_File], tree: Folder) -> list[Path]:
    """The files of a split, which differ by numbers alone.

    Raises:
        DataProblem: if they do not.
    """
    kinds = {(one.word, one.rest, one.path.parent): one for one in files}
    if len(kinds) > 1:
        names = " and ".join(_relative([one.path for one in kinds.values()][:2], tree))
        raise DataProblem(
            f"{shown(tree.path)} has {len(kinds)} {spoken(split)} splits, {names}; keep one, or "
            "let the names of one split's files differ by numbers alone"
        )
    return sorted(one.path for one in files)


def _relative(paths: list[Path], tree: Folder) -> tuple[str, ...]:
    return tuple(shown(path.relative_to(tree.path).as_posix()) for path in paths)
