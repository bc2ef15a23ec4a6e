"""What lies below a folder, read once: links followed, what file managers leave behind passed."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from autoscale.datasets.pictures.pictures import shown
from autoscale.datasets.splits import words
from autoscale.errors import DataProblem

#: What file managers, shares and notebooks leave behind, beside all that begins with a dot.
_LITTER = words(
    "thumbs.db ehthumbs.db ehthumbs_vista.db desktop.ini @eadir @tmp #recycle @recycle #snapshot "
    "$recycle.bin __macosx __pycache__ lost+found"
) | {"system volume information", "icon\r"}
#: Endings of notes, annotations and programs that may lie beside pictures, unsaid.
_NOTES = words(
    ".txt .json .jsonl .ndjson .csv .tsv .md .rst .xml .yaml .yml .toml .html .htm .log .cfg .ini "
    ".py .ipynb .sh .bat .md5 .sha256 .lst .names .url .bib .tex"
)
#: Notes without an ending.
_NOTE_NAMES = words(
    "license licence readme copying notice authors changelog version makefile dockerfile "
    "md5sums sha256sums checksums"
)
#: Endings of Parquet files.
_PARQUET = words(".parquet .parq .pq")
#: Endings of what may be huge and is no picture: it is named, and not read to find out.
_NO_PICTURES = _PARQUET | words(
    ".zip .tar .gz .tgz .bz2 .xz .zst .7z .rar .mp4 .avi .mov .mkv .webm .mp3 .wav .npy .npz .h5 "
    ".hdf5 .mat .pkl .pickle .pt .pth .ckpt .safetensors .onnx .bin .db .sqlite .arrow "
    ".feather .tfrecord .lmdb .mdb .pdf .doc .docx .ppt .pptx .xls .xlsx .exe"
)
#: Ending of an array of bands.
ARRAY = ".npy"
#: Times that one folder is read, by as many links, before links are taken to go round.
_VISITS = 1000


@dataclass(frozen=True)
class Folder:
    """A folder and all below it, in the order of names."""

    path: Path
    folders: tuple[Folder, ...]
    files: tuple[str, ...]  # that may be pictures: their content decides
    others: tuple[str, ...]  # files that are none, by their ending
    notes: tuple[str, ...]  # notes, annotations and programs
    broken: tuple[str, ...]  # of `files`, links to nothing
    loops: tuple[str, ...]  # links to a folder above, not followed

    @property
    def name(self) -> str:
        """Its own, without the path."""
        return self.path.name

    @cached_property
    def count(self) -> int:
        """Files at any depth that may be pictures."""
        return len(self.files) + sum(folder.count for folder in self.folders)

    @cached_property
    def live(self) -> tuple[Folder, ...]:
        """The sub-folders that hold something that may be a picture."""
        return tuple(folder for folder in self.folders if folder.count)

    @cached_property
    def is_empty(self) -> bool:
        """Whether no file lies there at any depth, notes included."""
        own = self.files or self.others or self.notes
        return not own and all(folder.is_empty for folder in self.folders)

    def pictures(self) -> Iterator[str]:
        """Paths of all files that may be pictures, at any depth, sorted by their parts."""
        own = {folder.name: folder for folder in self.folders}
        for name in sorted([*own, *self.files]):
            if name in own:
                yield from own[name].pictures()
            else:
                yield f"{self.path}/{name}"

    def walk(self) -> Iterator[Folder]:
        """This folder and all below it."""
        yield self
        for folder in self.folders:
            yield from folder.walk()


def scan(root: Path, *, arrays: bool = False) -> Folder:
    """Everything below `root`.

    Args:
        arrays: take .npy files for pictures, as arrays of bands are.

    Raises:
        DataProblem: if a folder cannot be listed, or links go round.
    """
    others = _NO_PICTURES - {ARRAY} if arrays else _NO_PICTURES
    return _scan(root, frozenset(), Counter(), others)


def holds_arrays(tree: Folder) -> bool:
    """Whether a folder has no pictures, but arrays of bands in their place."""
    found = (_ending(name) == ARRAY for folder in tree.walk() for name in folder.others)
    return not tree.count and any(found)


def _scan(
    path: Path,
    above: frozenset[tuple[int, int]],
    visits: Counter[tuple[int, int]],
    no_pictures: frozenset[str],
) -> Folder:
    try:
        about = path.stat()
        with os.scandir(path) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        kinds = {entry.name: _kind(entry) for entry in entries if not _is_litter(entry.name)}
    except OSError as problem:
        place = os.fsdecode(problem.filename) if problem.filename else str(path)
        raise DataProblem(
            f"cannot list {shown(place)}: {problem.strerror}; mount it, change its mode or remove "
            "it from the data"
        ) from problem
    own = (about.st_dev, about.st_ino)
    visits[own] += 1
    if visits[own] > _VISITS:
        raise DataProblem(f"links lead to {shown(path)} again and again; remove some of them")
    above |= {own}
    folders, loops = [], []
    for name in (name for name, kind in kinds.items() if kind == "folder"):
        if _is_above(path / name, above):
            loops.append(name)
        else:
            folders.append(_scan(path / name, above, visits, no_pictures))
    files = [name for name, kind in kinds.items() if kind != "folder"]
    notes = tuple(name for name in files if _is_note(name))
    others = tuple(name for name in files if _ending(name) in no_pictures)
    left = tuple(name for name in files if not _is_note(name) and _ending(name) not in no_pictures)
    broken = tuple(name for name in left if kinds[name] == "broken")
    return Folder(path, tuple(folders), left, others, notes, broken, tuple(loops))


def _kind(entry: os.DirEntry[str]) -> str:
    """Folder, file (pipes and devices too), or broken: a link to nothing or to itself.

    Raises:
        OSError: if the system does not tell.
    """
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_symlink():
            entry.stat()
    except OSError as problem:
        if problem.errno in (errno.ENOENT, errno.ELOOP):
            return "broken"
        raise
    return "file"


def _is_above(path: Path, above: frozenset[tuple[int, int]]) -> bool:
    try:
        about = path.stat()
    except OSError:
        return False  # listing it says why
    return (about.st_dev, about.st_ino) in above


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LITTER


def _is_note(name: str) -> bool:
    return _ending(name) in _NOTES or name.lower() in _NOTE_NAMES


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def is_parquet(name: str) -> bool:
    """Whether a file is called like Parquet."""
    return _ending(name) in _PARQUET


def require_no_lost_folder(folder: Folder) -> None:
    """Nothing where folders of classes are expected may be a link that leads nowhere.

    Raises:
        DataProblem: naming it. A link that is called like a picture is none.
    """
    for name in folder.broken:
        if _ending(name) not in Image.registered_extensions():
            path = folder.path / name
            raise DataProblem(
                f"{shown(path)} is a link to {shown(os.readlink(path))}, which is not there; mount "
                "or restore it, or remove the link"
            )


def tree_of(root: Path, names: Iterable[str]) -> Folder:
    """The folders that paths stand for, of files that lie on no disk, as those of an archive.

    Args:
        root: what the paths, which have strokes and no `..`, begin in.
    """
    below: dict[str, list[str]] = {}
    own: list[str] = []
    for name in names:
        first, stroke, rest = name.partition("/")
        if _is_litter(first):
            continue
        if stroke:
            below.setdefault(first, []).append(rest)
        else:
            own.append(first)
    folders = tuple(tree_of(root / name, rest) for name, rest in sorted(below.items()))
    own.sort()
    notes = tuple(name for name in own if _is_note(name))
    others = tuple(name for name in own if _ending(name) in _NO_PICTURES)
    left = tuple(name for name in own if not _is_note(name) and _ending(name) not in _NO_PICTURES)
    return Folder(root, folders, left, others, notes, (), ())


def content_of(path: str) -> bytes:
    """The bytes of a file.

    Raises:
        ValueError: if it is a pipe or a device, which reading may never end.
        OSError: if it cannot be read.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError("not a regular file")
    return Path(path).read_bytes()
