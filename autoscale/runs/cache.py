"""Files that can be made again, kept outside run directories for every run.

Several users may share the folder, where it lets them: its mode decides who reads and writes what
lies in it, whichever user made that.
"""

import contextlib
import fcntl
import io
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoscale.errors import StorageProblem
from autoscale.runs.store import guarded

#: Names the folder of the cache; without it `autoscale` in the user's cache folder is taken.
VARIABLE = "AUTOSCALE_CACHE"


def cache_folder() -> Path:
    """Where the cache is; not made yet."""
    if named := os.environ.get(VARIABLE, "").strip():
        return Path(named).expanduser()
    users = os.environ.get("XDG_CACHE_HOME", "").strip() or "~/.cache"
    return Path(users).expanduser() / "autoscale"


def cached(
    name: str,
    make: Callable[[Path], None],
    *,
    folder: Path | None = None,
    usable: Callable[[Path], bool] = Path.exists,
) -> Path:
    """The file `name` of the cache; if it is not there, `make` is asked to write it to a path.

    The name must change with whatever decides the content. A file appears whole or not at all, and
    of several processes that want it at once one makes it while the others wait.

    Args:
        folder: instead of the cache's own.
        usable: tells of the file whether it need not be made again.

    Raises:
        StorageProblem: if the folder cannot be written.
    """
    folder = cache_folder() if folder is None else folder
    path = folder / name
    with guarded(path):
        if usable(path):
            return path
        make_folder(folder)
        with _locked(folder / f".{name}.lock"):
            if not usable(path):
                temporary = folder / f".{name}.{os.getpid()}.tmp"
                try:
                    make(temporary)
                    _let_in(temporary)
                    temporary.replace(path)
                finally:
                    temporary.unlink(missing_ok=True)
    return path


class KeptRows:
    """A table of float32 numbers in the cache that is made some rows at a time.

    What an interrupted call has made is not made again, and of several processes that want the
    table at once one makes it while the others wait.

    Args:
        folder: within the cache.
        name: must change with whatever decides the numbers.
        shape: rows and columns.
        step: rows are made in steps of so many from the first one on, the last step aside.
    """

    def __init__(self, folder: str, name: str, shape: tuple[int, int], *, step: int) -> None:
        self._folder, self._shape, self._step = cache_folder() / folder, shape, step
        self._path = self._folder / f"{name}.npy"
        self._part = self._folder / f".{name}.part"
        content = io.BytesIO()
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(content, header)
        self._header = content.getvalue()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KeptRows):
            return NotImplemented
        return (self._path, self._shape) == (other._path, other._shape)

    def __hash__(self) -> int:
        return hash((self._path, self._shape))

    @property
    def rows(self) -> int:
        """How many are there: whole steps, or all."""
        if self.whole() is not None:
            return self._shape[0]
        try:
            with self._part.open("rb") as handle:
                if handle.read(len(self._header)) != self._header:
                    return 0
                written = os.fstat(handle.fileno()).st_size - len(self._header)
        except OSError:
            return 0
        rows = min(self._shape[0], written // (4 * self._shape[1]))
        return rows // self._step * self._step

    def all(self, make: Callable[[int], Iterable[NDArray[np.float32]]]) -> NDArray[np.float32]:
        """The table, mapped into memory; `make` gives its steps from a row on.

        Raises:
            StorageProblem: if the cache cannot be written, or half of its free disk is too little.
        """
        if (found := self.whole()) is not None:
            return found
        with guarded(self._path):
            make_folder(self._folder)
            with _locked(self._folder / f".{self._path.name}.lock"):
                if (found := self.whole()) is not None:  # by another process
                    return found
                self._require_room()
                self._write(make)
        found = self.whole()
        assert found is not None
        return found

    def _write(self, make: Callable[[int], Iterable[NDArray[np.float32]]]) -> None:
        begun = self.rows
        with self._part.open("r+b" if begun else "wb") as handle:
            handle.write(self._header)
            handle.truncate(len(self._header) + begun * 4 * self._shape[1])
            handle.seek(0, os.SEEK_END)
            for rows in make(begun):
                handle.write(np.ascontiguousarray(rows, dtype="<f4").data)
                handle.flush()
                os.fsync(handle.fileno())
        _let_in(self._part)
        self._part.replace(self._path)

    def _require_room(self) -> None:
        needed = 4 * self._shape[0] * self._shape[1]
        free = shutil.disk_usage(self._folder).free
        if needed > free / 2:
            raise StorageProblem(
                f"{self._folder}: {needed / 2**30:.1f} GiB are more than half of the "
                f"{free / 2**30:.1f} GiB that are free; free some space, or name another folder by "
                f"{VARIABLE}"
            )

    def whole(self) -> NDArray[np.float32] | None:
        """The table, mapped into memory; None as long as rows are missing."""
        try:
            found = np.load(self._path, mmap_mode="c")  # torch takes no memory that is read-only
        except (FileNotFoundError, ValueError, EOFError):
            return None
        if found.shape != self._shape or found.dtype != np.float32:
            return None
        table: NDArray[np.float32] = found.view(np.ndarray)
        return table


def make_folder(folder: Path) -> None:
    """Make a folder, within the cache's with the mode of that; its permissions hold here too."""
    if folder.exists():
        return
    shared = folder.parent == cache_folder() and folder.parent.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if shared:
        with contextlib.suppress(PermissionError):  # another user was faster
            folder.chmod(stat.S_IMODE(folder.parent.stat().st_mode))


def _let_in(path: Path) -> None:
    """Give the file the permissions of its folder, despite the umask."""
    with contextlib.suppress(PermissionError):
        path.chmod(stat.S_IMODE(path.parent.stat().st_mode) & 0o666 | 0o600)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone among those that want the same file.

    A lock that another user keeps to himself is passed over: the file is then made twice, whole
    each time.
    """
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        _let_in(path)
    except PermissionError:
        try:
            lock = os.open(path, os.O_RDONLY)
        except (PermissionError, FileNotFoundError):
            yield
            return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
