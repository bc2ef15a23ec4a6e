"""Decoded images, kept for every run: each picture is decoded once at each size.

A file of the cache is an array as numpy writes it, of uint8 (N, H, W, C), followed by JSON of what
else is known of the pictures. It is mapped into memory, so that processes share its pages. Its
name is a digest of what was decoded. The files are no run's own: any may be deleted at any time.
"""

import contextlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from autoscale.aspect import ImageSize
from autoscale.datasets.pictures.decoding import Decoded
from autoscale.errors import InvalidSetting, StorageProblem
from autoscale.runs.cache import cache_folder, cached, make_folder

#: Names the most that the cached images may take, in GiB; 0 keeps none.
VARIABLE = "AUTOSCALE_CACHE_GIB"
DEFAULT_GIB = 16.0
_GIB = 1024**3
_ABANDONED = 24 * 3600  # seconds without a change, after which nobody writes a temporary file


class ImageCache:
    """Keeps images in a folder of `cache_folder`, as `training.decoding.Keep` wants it.

    Images whose file would not fit into the limit, or take more than half of the free disk, are not
    kept. Room is made by deleting the files that were used least recently, as far as this user may
    delete them. Users share the folder where its mode lets them.

    Args:
        notice: is told, in a sentence, when images that should be kept cannot be.

    Raises:
        InvalidSetting: if the environment's limit is no number of at least 0.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        limit: int | None = None,  # bytes
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.folder = cache_folder() / "images" if folder is None else folder
        self.limit = _limit() if limit is None else limit
        self.notice = notice

    def __call__(
        self, name: str, shape: tuple[int, ...], chunks: Callable[[], Iterator[Decoded]]
    ) -> Decoded | None:
        """The images called `name`, made and kept if they are not there; None if that fails."""
        if self.limit == 0:
            return None
        name = f"{name}.npy"
        path = self.folder / name
        try:
            if (found := _read(path)) is None:
                self._make_room(math.prod(shape))
                cached(
                    name,
                    lambda to: _write(to, shape, chunks()),
                    folder=self.folder,
                    usable=lambda there: _read(there) is not None,  # not damaged either
                )
                found = _read(path)
            if found is not None:
                with contextlib.suppress(FileNotFoundError, PermissionError):
                    os.utime(path)  # tells when it was used
        except (OSError, StorageProblem) as problem:
            self.notice(f"decoded images are not kept, every start decodes them again: {problem}")
            return None
        return found

    def _make_room(self, needed: int) -> None:
        """Delete what was used least recently until `needed` bytes more are within the limit.

        Raises:
            StorageProblem: if they cannot be.
        """
        if needed > self.limit:
            raise StorageProblem(
                f"{needed / _GIB:.1f} GiB are over the limit of {self.limit / _GIB:.1f} GiB; raise "
                f"{VARIABLE}"
            )
        make_folder(self.folder)
        for path in self.folder.glob(".*.tmp"):
            # Another process may be here too, and another user's files may not be ours to delete.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                if time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()
        kept = []
        for path in self.folder.glob("*.npy"):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                kept.append((path.stat().st_mtime, path.stat().st_size, path))
        total = needed + sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if total <= self.limit:
                break
            with contextlib.suppress(PermissionError):
                path.unlink(missing_ok=True)  # who has it mapped goes on with it
                path.with_name(f".{path.name}.lock").unlink(missing_ok=True)
                total -= size
        free = shutil.disk_usage(self.folder).free
        if needed > free / 2:
            raise StorageProblem(
                f"{needed / _GIB:.1f} GiB are more than half of the {free / _GIB:.1f} GiB that are "
                f"free in {self.folder}; free some space or choose another folder"
            )


def _limit() -> int:
    text = os.environ.get(VARIABLE, "").strip()
    try:
        gib = float(text) if text else DEFAULT_GIB
    except ValueError:
        gib = math.nan
    if not 0 <= gib < math.inf:
        raise InvalidSetting(f"{VARIABLE} must be a number of GiB of at least 0; got {text!r}")
    return int(gib * _GIB)


def _write(path: Path, shape: tuple[int, ...], chunks: Iterator[Decoded]) -> None:
    unread: dict[int, str] = {}
    shapes: list[tuple[int, int]] = []
    peaks: list[int] = []
    count = 0
    with path.open("wb") as handle:
        start = _write_header(handle, shape)
        for chunk in chunks:
            handle.write(np.ascontiguousarray(chunk.pixels).data)
            count += len(chunk.pixels)
            unread |= chunk.unread
            shapes += chunk.shapes
            peaks += chunk.peaks
        handle.write(json.dumps({"unread": unread, "shapes": shapes, "peaks": peaks}).encode())
        handle.seek(0)
        # numpy leaves room in the header for a first dimension of any length.
        if _write_header(handle, (count, *shape[1:])) != start:
            raise StorageProblem(f"{path}: numpy writes headers of different lengths")
        handle.flush()
        os.fsync(handle.fileno())


def _write_header(handle: BinaryIO, shape: tuple[int, ...]) -> int:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(handle, header)
    return handle.tell()


def _read(path: Path) -> Decoded | None:
    """None if there is no such file, or it is damaged."""
    try:
        # Copy on write: torch takes no memory that cannot be written, though nobody writes here.
        pixels = np.load(path, mmap_mode="c")
        with path.open("rb") as handle:
            handle.seek(pixels.offset + pixels.nbytes)
            known = json.loads(handle.read())
        return Decoded(
            pixels.view(np.ndarray),
            {int(i): reason for i, reason in known["unread"].items()},
            tuple(ImageSize(*shape) for shape in known.get("shapes", ())),  # older files have none
            tuple(known["peaks"]),
        )
    except (FileNotFoundError, ValueError, EOFError, KeyError):
        return None
