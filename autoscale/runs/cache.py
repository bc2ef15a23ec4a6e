"""Files that can be made again, kept outside run directories for every run of this user."""

import fcntl
import os
from collections.abc import Callable
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


def cached(name: str, make: Callable[[Path], None], *, folder: Path | None = None) -> Path:
    """The file `name` of the cache; if it is not there, `make` is asked to write it to a path.

    The name must change with whatever decides the content. A file appears whole or not at all, and
    of several processes that want it at once one makes it while the others wait.

    Raises:
        StorageProblem: if the folder cannot be written.
    """
    folder = cache_folder() if folder is None else folder
    path = folder / name
    if path.exists():
        return path
    with guarded(path):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f".{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                temporary = folder / f".{name}.{os.getpid()}.tmp"
                try:
                    make(temporary)
                    temporary.replace(path)
                finally:
                    temporary.unlink(missing_ok=True)
    return path
