"""Files that can be made again, kept outside run directories for every run.

Several users may share the folder, where it lets them: its mode decides who reads and writes what
lies in it, whichever user made that.
"""

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

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
