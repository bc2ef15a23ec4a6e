"""Tar files: WebDataset shards, or folders of classes within; read at an offset, never unpacked.

Source: webdataset's "The WebDataset Format": files whose paths are the same up to the first dot of
their names are one sample; what follows that dot says what each file is.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from PIL import Image

from autoscale.datasets.folders import Files, list_folders
from autoscale.datasets.pictures.pictures import Listing, shown
from autoscale.datasets.sources.class_names import CLASS_FILES, names_in
from autoscale.datasets.sources.columns import LABEL_COLUMNS, Columns, usual_names
from autoscale.datasets.sources.labels import in_numbers, labels_by_name, require_single
from autoscale.datasets.sources.tables import Table, groups_in, join
from autoscale.datasets.splits import Split
from autoscale.datasets.tree import tree_of
from autoscale.errors import DataProblem, first_line

_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
#: How compressed files begin, and what undoes it.
_COMPRESSED = ((b"\x1f\x8b", "gzip -dk"), (b"BZh", "bzip2 -dk"), (b"\xfd7zXZ", "xz -dk"),
               (b"\x28\xb5\x2f\xfd", "zstd -dk"))  # fmt: skip
#: Endings of files that hold a label, the first that is there; of JSON a field does.
_LABELS = ("cls", "label", "class", "target", "json", "txt")
_BLOCK = 512  # bytes
_LONGEST = 2**20  # bytes of a label or of what is known of a sample


def is_tar(name: str) -> bool:
    """Whether a file is called like a tar file, compressed or not."""
    return name.lower().endswith(_ENDINGS)


class Member(NamedTuple):
    """A file within a tar file."""

    name: str
    offset: int  # where its content begins
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Tar:
    """What a tar file holds."""

    path: Path
    members: tuple[Member, ...]
    skipped: tuple[str, ...]  # a line for each member that is no file

    def read(self, member: Member) -> bytes:
        """The content of a file in it."""
        with self.path.open("rb") as handle:
            handle.seek(member.offset)
            content = handle.read(member.size)
        if len(content) < member.size:
            raise ValueError("the tar file has become shorter; fetch it again")
        return content


def list_tars(
    files: Mapping[Split, Sequence[Path]],
    root: Path,
    *,
    splits: bool,
    columns: Columns,
    unused: tuple[str, ...] = (),
) -> Listing:
    """What tar files hold.

    Args:
        files: by split.
        root: the folder that they lie in, where a file may name the classes.
        splits: whether the source names its own training split.
        columns: the endings, or fields of JSON, that hold pictures, labels and groups.
        unused: what else lies in the source, for the listing.

    Raises:
        DataProblem: if one is damaged, compressed, or holds neither samples nor folders of classes.
    """
    tars = {split: [_index(path) for path in paths] for split, paths in files.items()}
    every = [tar for own in tars.values() for tar in own]
    samples = {tar.path: _samples(tar) for tar in every}
    pictured = [own for found in samples.values() for own in found.values() if _pictures(own)]
    labelled = sum(bool(_label_ending(own, columns)) for own in pictured)
    if not labelled or 2 * labelled < len(pictured):
        return _of_folders(tars, root, splits=splits, columns=columns, unused=unused)
    beside = names_in({path.name: path.read_bytes() for name in CLASS_FILES
                       if (path := root / name).is_file()}, root)  # fmt: skip
    skipped = [line for tar in every for line in tar.skipped]
    tables = {
        split: [_table(tar, samples[tar.path], columns, beside, skipped) for tar in own]
        for split, own in tars.items()
    }
    return join(tables, splits=splits, columns=columns, unused=unused, skipped=tuple(skipped))


# The archive


def _index(path: Path) -> Tar:
    """
    Raises:
        DataProblem: if it cannot be read to its end.
    """
    try:
        with path.open("rb") as handle:
            start = handle.read(8)
        for magic, undo in _COMPRESSED:
            if start.startswith(magic):
                raise DataProblem(
                    f"{shown(path)} is compressed, so nothing in it can be read where it lies; "
                    f"{undo} '{shown(path.name)}' gives the tar file itself (pictures hardly get "
                    "smaller by it)"
                )
        members, skipped, end = _members(path)
        _require_end(path, members, end)
    except DataProblem:
        raise
    except Exception as problem:  # damaged headers make tarfile raise many kinds
        raise DataProblem(
            f"cannot read {shown(path)}: {first_line(problem)}; fetch the file again"
        ) from problem
    return Tar(path, tuple(members), tuple(skipped))


def _members(path: Path) -> tuple[list[Member], list[str], int]:
    """Its files, a line for each other member that is no folder, and where reading ended."""
    members: list[Member] = []
    skipped: list[str] = []
    with tarfile.open(path, "r:") as tar:
        for info in tar:
            name = PurePosixPath(info.name.lstrip("/"))
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                what = "a sparse file" if info.isreg() else "a link or a device"
                skipped.append(f"{path.name}/{shown(info.name)}: {what} in the tar file")
            elif ".." in name.parts or not name.parts:
                skipped.append(f"{path.name}/{shown(info.name)}: a path that leads out of it")
            else:
                members.append(Member(name.as_posix(), info.offset_data, info.size))
        return members, skipped, tar.offset


def _require_end(path: Path, members: Sequence[Member], end: int) -> None:
    """Refuse a file that is cut off, or goes on where `tarfile` stopped reading without a word.

    Raises:
        DataProblem: saying which.
    """
    size = path.stat().st_size
    last = max((member.offset + member.size for member in members), default=0)
    with path.open("rb") as handle:
        handle.seek(end)
        first = handle.read(_BLOCK)
        if last > size or len(first) < _BLOCK:
            raise DataProblem(
                f"{shown(path)} is cut off after {len(members):,} files: the mark of its end is "
                "missing; fetch it again"
            )
        if any(first):
            raise DataProblem(
                f"{shown(path)} is damaged at byte {end:,}, after {len(members):,} files; fetch it "
                "again"
            )
        while chunk := handle.read(2**20):
            if any(chunk):
                raise DataProblem(
                    f"{shown(path)} goes on behind the mark of its end, as when tar files are put "
                    "together by cat; keep them apart, in one folder"
                )


# Folders of classes within


def _of_folders(
    tars: Mapping[Split, Sequence[Tar]],
    root: Path,
    *,
    splits: bool,
    columns: Columns,
    unused: tuple[str, ...],
) -> Listing:
    every = [(split, tar) for split, own in tars.items() for tar in own]
    lone = every[0][1].path if len(every) == 1 else root
    if columns.named or columns.group is not None:
        raise DataProblem(
            f"{shown(lone)} holds no samples with labels of their own, so nothing is there to name "
            "as a column; leave that out"
        )
    stems = {tar.path.stem.rstrip("0123456789-_.") for _, tar in every}
    where: dict[str, tuple[Tar, Member]] = {}
    for split, tar in every:
        # Tar files that differ by numbers alone are one set; else each is a folder of its name.
        folder = f"{split}/" if splits else f"{tar.path.stem}/" if len(stems) > 1 else ""
        for member in tar.members:
            name = folder + member.name
            if name in where:
                raise DataProblem(
                    f"{shown(member.name)} lies twice in {shown(where[name][0].path.name)}"
                    f"{'' if where[name][0] is tar else f' and {shown(tar.path.name)}'}; keep one"
                )
            where[name] = (tar, member)
    start = len(f"{lone}/")

    def found(path: str) -> tuple[Tar, Member]:
        return where[path[start:]]

    def read(path: str) -> bytes:
        tar, member = found(path)
        return tar.read(member)

    from dataclasses import replace

    listing = list_folders(tree_of(lone, where), Files(lambda path: found(path)[1].size, read))
    skipped = [line for _, tar in every for line in tar.skipped]
    return replace(listing, skipped=(*skipped, *listing.skipped), unused=(*unused, *listing.unused))


# Samples


def _samples(tar: Tar) -> dict[str, dict[str, Member]]:
    """The files of each sample by their endings, in the order of the tar file.

    Raises:
        DataProblem: if a sample has two files of an ending.
    """
    found: dict[str, dict[str, Member]] = {}
    for member in tar.members:
        place = PurePosixPath(member.name)
        stem, dot, ending = place.name.partition(".")
        if not stem or not dot:
            continue
        own = found.setdefault(str(place.parent / stem), {})
        if ending.lower() in own:
            raise DataProblem(f"{shown(tar.path.name)} holds {shown(member.name)} twice; keep one")
        own[ending.lower()] = member
    return found


def _is_picture(ending: str) -> bool:
    return f".{ending.rpartition('.')[2]}" in Image.registered_extensions()


def _pictures(sample: Mapping[str, Member]) -> list[str]:
    """The endings of its pictures; of several the plain ones alone, as jpg beside mask.png."""
    found = [ending for ending in sample if _is_picture(ending)]
    plain = [ending for ending in found if "." not in ending]
    return plain if len(plain) == 1 else found


def _label_ending(sample: Mapping[str, Member], columns: Columns) -> str | None:
    """The ending of the file that holds its label."""
    for ending in ([columns.label] if columns.label else []) + list(_LABELS):
        for own in sample:
            if own.partition(".")[0] == ending and not _is_picture(own):
                return own
    return None


def _table(
    tar: Tar,
    samples: Mapping[str, Mapping[str, Member]],
    columns: Columns,
    beside: tuple[str, ...] | None,
    skipped: list[str],
) -> Table:
    keys: list[str] = []
    members: list[Member] = []
    for key, sample in samples.items():
        ending = _picture_of(sample, columns, f"{tar.path.name}/{shown(key)}")
        if ending is not None:
            keys.append(key)
            members.append(sample[ending])
        elif _label_ending(sample, columns) and not _is_note(key):
            skipped.append(f"{tar.path.name}/{shown(key)}: a label without a picture")

    def place(row: int) -> str:
        return f"{tar.path.name}/{shown(keys[row])}"

    known = [_known(tar, samples[key], columns, place(row)) for row, key in enumerate(keys)]
    within = names_in({m.name: tar.read(m) for m in tar.members if m.name in CLASS_FILES}, tar.path)
    classes = beside if beside is not None else within
    labels = [one.label for one in known]
    require_single(labels, place)
    if all(one.text for one in known):
        labels = in_numbers(labels)
    group = columns.group
    return Table(
        path=tar.path,
        labels=labels_by_name(labels, classes, place),
        read=lambda i: tar.read(members[i]),
        sizes=lambda: [member.size for member in members],
        classes=classes,
        names=[f"{tar.path.name}/{shown(member.name)}" for member in members],
        places=[place(row) for row in range(len(keys))],
        splits=[one.about.get(columns.split) for one in known] if columns.split else None,
        groups=groups_in([one.about.get(group) for one in known], group, place) if group else None,
    )


def _is_note(key: str) -> bool:
    return any(key == name.partition(".")[0] for name in CLASS_FILES) or key.lower() == "readme"


def _picture_of(sample: Mapping[str, Member], columns: Columns, place: str) -> str | None:
    """The ending of its picture.

    Raises:
        DataProblem: if there are several.
    """
    if columns.image is not None:
        return columns.image if columns.image in sample else None
    found = _pictures(sample)
    if len(found) > 1:
        raise DataProblem(
            f"{place} has several pictures ({', '.join(found)}); name one behind the path, as "
            f"?image={found[0]}"
        )
    return found[0] if found else None


class _Known(NamedTuple):
    label: Any  # None without one
    text: bool  # whether the label was written as a text
    about: dict[str, Any]  # what its JSON says


def _known(tar: Tar, sample: Mapping[str, Member], columns: Columns, place: str) -> _Known:
    """
    Raises:
        DataProblem: if what says it cannot be read.
    """
    about: dict[str, Any] = {}
    if (member := sample.get("json")) is not None:
        about = _json(tar, member, place)
    ending = _label_ending(sample, columns)
    if ending is None:
        return _Known(None, True, about)
    if columns.label is not None and columns.label not in (ending.partition(".")[0], ending):
        if columns.label not in about:
            raise DataProblem(
                f"{place} has neither a file .{columns.label} nor that field in its JSON "
                f"({', '.join(about) or 'it has none'}); name another behind the path, as "
                "?label=cls"
            )
        return _Known(about[columns.label], False, about)
    if ending == "json":
        names = usual_names(tuple(about), LABEL_COLUMNS)
        return _Known(about[names[0]] if names else None, False, about)
    text = _text(tar, sample[ending], place)
    if "\n" in text or len(text) > 200:
        raise DataProblem(
            f"{place}.{ending} holds a text and no class; name what holds the class behind the "
            "path, as ?label=cls"
        )
    return _Known(text or None, True, about)


def _json(tar: Tar, member: Member, place: str) -> dict[str, Any]:
    try:
        found = json.loads(_text(tar, member, place))
    except (ValueError, RecursionError) as problem:
        raise DataProblem(
            f"{place}.json is no JSON: {first_line(problem)}; write it again"
        ) from None
    return found if isinstance(found, dict) else {LABEL_COLUMNS[0]: found}


def _text(tar: Tar, member: Member, place: str) -> str:
    try:
        if member.size > _LONGEST:
            raise ValueError(f"{member.size:,} bytes are no label")
        return tar.read(member).decode("utf-8-sig").strip()
    except (OSError, ValueError) as problem:
        reason = "it is not UTF-8" if isinstance(problem, UnicodeError) else first_line(problem)
        raise DataProblem(
            f"cannot read the label of {place}: {reason}; write it as a text"
        ) from problem
