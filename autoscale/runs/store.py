"""A run directory: one folder for each step of the recipe, safe against a death at any moment.

    RUN/
      search/  settings.json  trials.jsonl  optuna.journal  baseline.yaml  trials.csv
      grid/    settings.json  trainings.jsonl  grid.csv  coefficients.json
      family/  settings.json  family.csv  one YAML file a member

A file is written whole or not at all. A journal grows by one durable line for each finished piece
of work; a line that a crash tore is not read, and cut off before the next one is written. Reading
changes nothing, so a run may be looked at while another process works on it.

`settings.json` carries the version of its folder: of its journals too, which have none of their
own. Results, designs and weights, which may be copied alone, carry it themselves. Tables are for
people and other programs and are never read again.
"""

import contextlib
import errno
import fcntl
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from autoscale.design.versions import FORMAT, version_problem
from autoscale.errors import InvalidSetting, RunConflict, StorageProblem
from autoscale.runs.settings import RECORD_FORMAT, difference, environment, in_this_format
from autoscale.settings.setting import Setting


class StepFolder:
    """One step's folder in a run directory.

    Raises:
        RunConflict: if the folder holds the work of other settings or of another version.
    """

    def __init__(self, run: Path, name: str) -> None:
        self.run = run
        self.name = name
        self.path = run / name

    def begin(
        self,
        settings: Mapping[str, Any],
        *,
        notes: Mapping[str, Any],
        journal: "Journal",
        instead_of: Mapping[str, Any] | None = None,
        known: Iterable[Setting] = (),
        read: Callable[["Journal"], Any] = lambda journal: journal.read(),
    ) -> Any:
        """Claim the folder for `settings`, or go on with earlier work of the same settings.

        Args:
            settings: what decides the results; must be the same to go on.
            notes: what may change between two calls, such as where the images lie.
            journal: the work so far; as long as it is empty, settings bind nobody.
            instead_of: earlier settings that may give way to these.
            known: the settings of the command, to say as they are typed which differ.
            read: the work so far as the caller wants it. Asked once the settings agree and before
                anything is written, so that a damaged folder stays as it was.

        Returns:
            What `read` gave.

        Raises:
            RunConflict: naming the settings that differ, or if work is there without settings.
            StorageProblem: if the folder cannot be written.
        """
        asked = in_this_format(json.loads(json.dumps(settings)))
        now = {"settings": asked, "notes": json.loads(json.dumps(notes))}
        earlier = self.read()
        begun = bool(journal.read())
        if begun and earlier is None:
            raise RunConflict(
                f"{journal.path} holds work, but its settings.json is gone; restore that file or "
                "choose another --run"
            )
        if begun and earlier is not None:
            differing = difference(earlier, now, known)
            if differing and earlier["settings"] != instead_of:
                raise RunConflict(
                    f"{self.path} was begun with other settings: {differing}; "
                    "repeat the command that began it or choose another --run"
                )
        work = read(journal)
        content = {"format": RECORD_FORMAT, **now, "environment": environment()}
        if content != earlier:
            write_json(self.path / "settings.json", content)
        return work

    def forget(self, *names: str) -> None:
        """Remove files that no longer say what is true.

        Raises:
            StorageProblem: if one cannot be removed.
        """
        for name in names:
            with guarded(self.path / name):
                (self.path / name).unlink(missing_ok=True)

    def read(self) -> dict[str, Any] | None:
        """What `begin` wrote: settings, notes and environment; None if it was never called.

        Raises:
            RunConflict: if the file is not ours or of another version.
        """
        path = self.path / "settings.json"
        found = read_json(path)
        if found is None:
            return None
        version = found.get("format") if isinstance(found, dict) else None
        _require_version(path, version, reads=RECORD_FORMAT)
        if not isinstance(found.get("settings"), dict) or not isinstance(found.get("notes"), dict):
            raise RunConflict(
                f"{path} holds no settings and notes; restore it from a copy or choose another "
                "--run"
            )
        try:
            return {**found, "settings": in_this_format(found["settings"])}
        except TypeError:
            raise RunConflict(
                f"{path} is damaged (task holds no settings); restore it from a copy or choose "
                "another --run"
            ) from None

    def write_result(self, name: str, data: Mapping[str, Any]) -> None:
        """Write plain data with its version as the JSON file `name`, whole or not at all.

        Raises:
            StorageProblem: if the disk does not take it.
        """
        write_json(self.path / name, {"format": FORMAT, **data})

    def read_result(self, name: str) -> dict[str, Any] | None:
        """What `write_result` wrote; None if there is no such file.

        Raises:
            RunConflict: if it is something else, or of another version.
        """
        path = self.path / name
        found = read_json(path)
        if found is None:
            return None
        if not isinstance(found, dict):
            raise RunConflict(
                f"{path} holds no keys and values; restore it from a copy or choose another --run"
            )
        _require_version(path, found.get("format", 1))
        return found

    def file(self, name: str) -> Path:
        """The path of a file of this step."""
        return self.path / name

    def held(self) -> bool | None:
        """Whether a process holds the step now; None where the system does not tell.

        Nothing is locked to find out: that could refuse a process that begins at this moment.
        """
        try:
            found = (self.path / ".lock").stat()
            # Source: proc_locks(5); "1: FLOCK ADVISORY WRITE pid major:minor:inode start end".
            lines = Path("/proc/locks").read_text().splitlines()
        except FileNotFoundError as problem:
            return False if problem.filename != "/proc/locks" else None
        except OSError:
            return None
        device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
        return any(f" {device}:{found.st_ino} " in line and "FLOCK" in line for line in lines)

    def holder(self) -> int | None:
        """The process that held the step last, by what it wrote; None if that says nothing."""
        try:
            return int(_read(self.path / ".lock"))
        except (OSError, ValueError):
            return None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the step for this process alone.

        Raises:
            RunConflict: if another process holds it.
            StorageProblem: if the folder cannot be made.
        """
        require_folder(self.path)
        with guarded(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            handle = (self.path / ".lock").open("a+")
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                handle.seek(0)
                who = f"process {number}" if (number := handle.read(20).strip()) else "another one"
                raise RunConflict(
                    f"another process works in {self.path} ({who}); wait for it, give it more "
                    "--workers, or choose another --run"
                ) from None
            with contextlib.suppress(OSError):  # only a courtesy to whom we refuse
                handle.truncate(0)
                handle.write(f"{os.getpid()}\n")
                handle.flush()
            yield


class Journal:
    """An append-only file of JSON lines, each on disk before `append` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        """Every whole record; a torn last line is no record.

        Raises:
            RunConflict: if a line before the last is no record.
            StorageProblem: if the file cannot be read.
        """
        with guarded(self.path):
            if not os.path.lexists(self.path):
                return []
            content = _read(self.path)
        *lines, torn = content.split(b"\n")
        if b"\r" in torn:  # other ends of lines: to take all for one torn line would lose it
            lines.append(torn)
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                record = _from_json(line)
            except ValueError:
                record = None
            if not isinstance(record, dict):
                raise RunConflict(
                    f"{self.path}:{number}: not a record; restore the file from a copy or choose "
                    "another --run"
                )
            records.append(record)
        return records

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record durably.

        Raises:
            StorageProblem: if the disk does not take it; what was there before stays as it was.
        """
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        with guarded(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b", buffering=0) as handle:
                before = _whole_lines(handle)
                handle.truncate(before)  # a line that a crash tore
                try:
                    if handle.write(line) != len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(handle.fileno())
                except OSError:
                    with contextlib.suppress(OSError):
                        handle.truncate(before)
                    raise


def _whole_lines(handle: io.FileIO) -> int:
    """Bytes up to the end of the last whole line."""
    end = handle.seek(0, os.SEEK_END)
    size = 4096  # most torn lines are shorter, and so is all that is read of a whole file
    while end:
        start = max(0, end - size)
        handle.seek(start)
        found = handle.read(end - start).rfind(b"\n")
        if found >= 0 or start == 0:
            return start + found + 1
        size *= 2
    return end


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a text file whole or not at all; see `write_bytes`.

    Raises:
        StorageProblem: if the disk does not take it.
    """
    write_bytes(path, text.encode(), durable=durable)


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file whole or not at all.

    Args:
        durable: return when the disk has it.

    Raises:
        StorageProblem: if the disk does not take it.
    """
    if not path.name:
        raise StorageProblem(f"cannot write a file at {path}, which is a folder; name a file in it")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with guarded(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as handle:
                handle.write(content)
                handle.flush()
                if durable:
                    os.fsync(handle.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_json(path: Path, data: Any, *, durable: bool = True) -> None:
    """Write plain data as JSON, whole or not at all; see `write_bytes`."""
    write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n", durable=durable)


def read_json(path: Path) -> Any:
    """Plain data from a JSON file; None if there is no such file.

    Raises:
        RunConflict: if it is not JSON.
        StorageProblem: if it cannot be read.
    """
    with guarded(path):
        if not os.path.lexists(path):
            return None
        text = _read(path).decode(errors="replace")
    try:
        return _from_json(text)
    except ValueError as problem:
        raise RunConflict(
            f"{path}: not readable as JSON: {problem}; restore it from a copy or choose another "
            "--run"
        ) from None


def _from_json(text: str | bytes) -> Any:
    """Plain data from JSON as the standard has it: no NaN, nothing too deep to be read.

    Raises:
        ValueError: if it is something else.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("values lie too deep in each other") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _require_version(path: Path, found: Any, *, reads: int = FORMAT) -> None:
    if reason := version_problem(found, reads=reads):
        raise RunConflict(f"{path} {reason}; upgrade autoscale, or choose another --run")


def read_text(path: Path, *, wanted: str = "") -> str:
    """A text file.

    Args:
        wanted: of a file that the user has named, what it should be: "a recipe's YAML file".

    Raises:
        InvalidSetting: if there is nothing where the user has named something.
        StorageProblem: if it cannot be read.
    """
    if wanted and not path.exists():
        raise InvalidSetting(f"no such file: {path}; name {wanted}")
    with guarded(path):
        text = _read(path).decode(errors="replace")
    return io.StringIO(text, newline=None).read()  # whatever ends its lines


def _read(path: Path) -> bytes:
    """The content of a regular file; reading a pipe or a device may never end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "not a regular file")
    return path.read_bytes()


def require_folder(path: Path) -> None:
    """Ask before hours of work whether files can go into a folder; it need not be there.

    Raises:
        StorageProblem: if it, or what it would lie in, is a file or cannot be written.
    """
    with guarded(path):
        there = next(part for part in (path, *path.absolute().parents) if part.exists())
        if not there.is_dir():
            raise StorageProblem(f"{there} is a file, so nothing can be put into it; name a folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise StorageProblem(
                f"{there} cannot be written; change its owner or mode, or name another folder"
            )


@contextlib.contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one line with a way out."""
    try:
        yield
    except OSError as problem:
        reason = problem.strerror or str(problem)
        full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
        way_out = "; free some space and repeat the command, finished work is kept" if full else ""
        raise StorageProblem(f"{path}: {reason}{way_out}") from None
