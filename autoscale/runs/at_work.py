"""What a step's process is doing at this moment, for another process that looks at the run.

A courtesy and no record: it is not forced onto the disk, a disk that does not take it changes
nothing, and it counts only as long as the process that wrote it holds the step.
"""

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from autoscale.errors import AutoscaleError
from autoscale.runs.store import StepFolder, read_json, write_json

FILE = "at-work.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of work that is not done yet."""

    name: str
    seconds: float  # since it was handed out


class AtWork:
    """Keeps the list of what is at work, from any thread; it is gone at the end."""

    def __init__(self, step: StepFolder) -> None:
        self._path = step.file(FILE)
        self._pieces: dict[int, tuple[str, float]] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def begin(self, name: str) -> Callable[[], None]:
        """Note that a piece of work has begun; call the answer when it is done."""
        with self._lock:
            number = next(self._numbers)
            self._pieces[number] = (name, time.time())
            self._write()
        return lambda: self._end(number)

    def _end(self, number: int) -> None:
        with self._lock:
            del self._pieces[number]
            self._write()

    def _write(self) -> None:
        pieces = [{"name": name, "since": since} for name, since in self._pieces.values()]
        with contextlib.suppress(AutoscaleError):
            write_json(self._path, {"process": os.getpid(), "pieces": pieces}, durable=False)


def at_work(step: StepFolder) -> tuple[Piece, ...]:
    """What is at work in a step that a process holds, the longest first; nothing if none tells."""
    try:
        found = read_json(step.file(FILE))
        if found is None or found["process"] != step.holder():
            return ()
        now = time.time()
        pieces = [
            Piece(name=str(one["name"]), seconds=max(0.0, now - float(one["since"])))
            for one in found["pieces"]
        ]
    except (AutoscaleError, KeyError, TypeError, ValueError, OverflowError):
        return ()  # whatever somebody else wrote there
    return tuple(sorted(pieces, key=lambda piece: -piece.seconds))
