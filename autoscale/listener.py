"""How a long job tells what it is doing."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a long job stands after one more piece of work."""

    done: int
    total: int
    note: str  # what was just finished, one line
    best: str  # the best so far, one line
    seconds_left: float | None  # None before anything was timed
    failed: int = 0  # pieces of work that gave nothing
    front: tuple[str, ...] = ()  # networks of a search, cheapest first


class Listener(Protocol):
    """Who wants to hear."""

    def notice(self, text: str) -> None:
        """A line worth reading: a plan, a choice made, a warning."""

    def progress(self, progress: Progress) -> None:
        """One more piece of work is done."""


class Silent:
    """A listener that hears nothing."""

    def notice(self, text: str) -> None:
        """Ignore it."""

    def progress(self, progress: Progress) -> None:
        """Ignore it."""


def duration(seconds: float) -> str:
    """Seconds as people say them: 42 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
