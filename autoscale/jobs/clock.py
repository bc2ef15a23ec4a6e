"""The time that a run has taken, over all calls that made it, and what was decided in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any

from autoscale.listener import Listener, Progress
from autoscale.runs.store import Journal

#: Seconds between two notes of the time: what a killed process may take uncounted.
_OFTEN = 5.0


def now() -> float:
    """Seconds since some moment in the past."""
    return monotonic()


class Clock:
    """Counts seconds of this call and of those before, and notes them in a journal.

    It listens to the jobs, so that the time is noted whenever something happens.

    Attributes:
        worked: whether a piece of work was done in this call.

    Args:
        since: when this call began, by `now`; None for this moment.
    """

    def __init__(self, journal: Journal, listener: Listener, *, since: float | None = None) -> None:
        self._journal, self._listener = journal, listener
        self._before = max(
            (float(record.get("spent", 0)) for record in journal.read()), default=0.0
        )
        self._started = now() if since is None else since
        self._noted = self.spent
        self.worked = False

    @property
    def spent(self) -> float:
        """Seconds so far."""
        return self._before + now() - self._started

    def note(self, **decided: Any) -> None:
        """Keep the time, and with it what was decided."""
        self._noted = self.spent
        self._journal.append({**decided, "spent": round(self._noted, 3)})

    def last(self, name: str) -> Any:
        """What was decided last under a name; None if nothing was."""
        found: list[Mapping[str, Any]] = [r for r in self._journal.read() if name in r]
        return found[-1][name] if found else None

    def all(self, name: str) -> list[Any]:
        """Everything that was decided under a name, in order."""
        return [record[name] for record in self._journal.read() if name in record]

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note what a step took, finished or not."""
        began = self.spent
        try:
            yield
        finally:
            self.note(took={"step": name, "seconds": round(self.spent - began, 3)})

    def took(self) -> dict[str, float]:
        """Seconds of each step, over all calls."""
        found: dict[str, float] = {}
        for one in self.all("took"):
            found[one["step"]] = found.get(one["step"], 0.0) + one["seconds"]
        return found

    def notice(self, text: str, *, note: bool = True) -> None:
        """A line worth reading; `note` keeps the time too."""
        self._listener.notice(text)
        if note:
            self._tick()

    def progress(self, progress: Progress) -> None:
        """One more piece of work is done."""
        self.worked = True
        self._tick()
        self._listener.progress(progress)

    def _tick(self) -> None:
        if self.spent - self._noted >= _OFTEN:
            self.note()
