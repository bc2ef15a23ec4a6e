"""Pictures that are named one by one, by their folders, or in lists."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscale.datasets.pictures.decoding import Decoded, Keep, decode, decoded_chunks
from autoscale.datasets.pictures.formats import is_of_a_format
from autoscale.datasets.pictures.pictures import Pictures, shown, size_of
from autoscale.datasets.pictures.preparation import OURS, Preparation
from autoscale.datasets.tree import holds_arrays, scan
from autoscale.errors import DataProblem, InvalidSetting, NothingThere


class Named(NamedTuple):
    """Files that may be pictures, and one line for each name that stands for none."""

    paths: tuple[str, ...]
    refused: tuple[str, ...]


class Chunk(NamedTuple):
    """Some pictures, decoded."""

    pixels: NDArray[np.uint8]  # (N, S, S, C)
    names: tuple[str, ...]  # of the N, printable
    refused: tuple[str, ...]  # one line for each of the others
    peaks: tuple[int, ...]  # the largest number of each that has 16 bits


def find_pictures(names: Iterable[str | Path]) -> Named:
    """The files of that name, and all below the folders of that name, in the order given.

    Of folders, litter and notes are passed over as in a data set; links are followed.
    """
    paths: list[str] = []
    refused: list[str] = []
    for name in (os.fspath(name) for name in names):
        try:
            mode = os.stat(name).st_mode
        except FileNotFoundError:
            refused.append(f"{shown(name)}: no such file")
            continue
        except (OSError, ValueError) as problem:  # a name with NUL in it is a ValueError
            refused.append(f"{shown(name)}: {getattr(problem, 'strerror', None) or problem}")
            continue
        if stat.S_ISDIR(mode):
            try:
                tree = scan(Path(name))
                tree = scan(Path(name), arrays=True) if holds_arrays(tree) else tree
                found = list(tree.pictures())
            except DataProblem as problem:
                refused.append(str(problem))
                continue
            paths += found
            if not found:
                refused.append(f"{shown(name)}: a folder without pictures")
        elif stat.S_ISREG(mode):
            paths.append(name)
        else:
            refused.append(f"{shown(name)}: not a regular file")
    return Named(tuple(paths), tuple(refused))


def require_any(names: Sequence[str]) -> None:
    """Refuse names of pictures and folders, at least one, of which none is there.

    Raises:
        NothingThere: naming the first.
    """
    if not any(os.path.exists(name) for name in names):
        raise NothingThere(f"no such file: {shown(names[0])}; name pictures, or folders of them")


class Unlabelled:
    """The pictures of a folder, at any depth, whose classes nobody told.

    Raises:
        NothingThere: if there is no such folder.
        DataProblem: if no picture is in it.
    """

    def __init__(self, folder: str) -> None:
        named = find_pictures([folder])
        if not os.path.isdir(folder):
            raise NothingThere(
                f"no such folder of unlabelled pictures: {shown(folder)}; name one that holds "
                "pictures, at any depth"
            )
        if not named.paths:
            raise DataProblem(f"{named.refused[0]}; name a folder of unlabelled pictures")
        self.folder = folder
        self._paths = sorted(named.paths)

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def fingerprint(self) -> str:
        """Of names within the folder and byte sizes, not of the bytes themselves."""
        digest = hashlib.sha256()
        for path in self._paths:
            name = os.fsencode(os.path.relpath(path, self.folder))
            digest.update(b"%d:%s:%d;" % (len(name), name, size_of(path)))
        return digest.hexdigest()[:12]

    def load(
        self,
        *,
        size: int,
        strict: bool = False,
        keep: Keep | None = None,
        preparation: Preparation = OURS,
    ) -> Decoded:
        """The pictures as images, as `data.load` decodes those of a data set.

        Raises:
            DataProblem: if none can be read, or if `strict` and one cannot.
        """
        pictures = _pictures(self._paths)
        found = decode(pictures, size, strict=strict, keep=keep, preparation=preparation)
        if not len(found.pixels):
            raise DataProblem(
                f"none of the {len(self)} unlabelled pictures in {shown(self.folder)} could be read"
                f" ({next(iter(found.unread.values()))}); repair them"
            )
        return found


def _pictures(paths: Sequence[str]) -> Pictures:
    return Pictures(
        [shown(path) for path in paths],
        [size_of(path) for path in paths],
        np.zeros(len(paths), dtype=np.int64),
        lambda i: Path(paths[i]).read_bytes(),
    )


def names_in(content: bytes) -> list[str]:
    """The names of a list: one a line, or with NUL between them as `find -print0` writes it.

    Raises:
        InvalidSetting: if it is no list but a picture or another file of bytes.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        content = content.decode("utf-16", "replace").encode()
    if is_of_a_format(content):
        raise InvalidSetting(
            "the list of names is no text; give a picture itself by its name, and as a list a file "
            "with one name a line"
        )
    separator = b"\0" if b"\0" in content else b"\n"
    lines = content.removeprefix(b"\xef\xbb\xbf").split(separator)
    if separator == b"\n":
        lines = [line.removesuffix(b"\r") for line in lines]
    return [os.fsdecode(line) for line in lines if line.strip()]


def read_pictures(paths: Sequence[str], *, size: int, preparation: Preparation) -> Iterator[Chunk]:
    """Files decoded exactly as those of a data set, some hundred at a time."""
    pictures = _pictures(paths)
    start = 0
    for chunk in decoded_chunks(pictures, size, preparation):
        positions = range(start, start + len(chunk.pixels) + len(chunk.unread))
        start = positions.stop
        yield Chunk(
            chunk.pixels,
            tuple(pictures.names[i] for i in positions if i not in chunk.unread),
            tuple(f"{pictures.names[i]}: {shown(why)}" for i, why in chunk.unread.items()),
            chunk.peaks,
        )
