"""What a tracker is to the work that it follows, and to the library that it speaks with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from autoscale.tracking.point import Plain, Point, Subject


class Tracker(Protocol):
    """Who is told of a step. It may raise what it likes, see `tracking.Tracking`."""

    def bring(self, points: Sequence[Point]) -> None:
        """All points so far; those that it does not hold are added."""

    def conclude(self, answer: Plain) -> None:
        """What the work came to."""

    def close(self, *, finished: bool) -> None:
        """Nothing more is told in this call; `finished` if the work is done."""


class Session(Protocol):
    """A run in a tracker's library, open in a process of its own.

    Attributes:
        reference: by which the library finds it again.
        resumed: whether it was there before.
        held: how many points it holds; None where that is what was noted.
    """

    reference: str
    resumed: bool
    held: int | None

    def add(self, point: Point, when: float) -> None:
        """One more point; `when` is its time in seconds since 1970."""

    def conclude(self, answer: Plain) -> None:
        """What the work came to."""

    def close(self, *, finished: bool) -> None:
        """End it, as finished or as broken off."""


class Library(Protocol):
    """A module that speaks with a tracker's library."""

    def environment(self, subject: Subject, given: Mapping[str, str]) -> dict[str, str]:
        """Variables that keep it on this machine, without those that the user has given."""

    def open_session(self, subject: Subject, reference: str | None) -> Session:
        """Its run for this work: the one of `reference` if it is still there, else a new one."""
