"""A step of a run, told to the trackers that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from autoscale.distribution import require
from autoscale.tracking.point import Plain, Point, Subject
from autoscale.tracking.process import TrackerProcess
from autoscale.tracking.tensorboard import TensorBoard
from autoscale.tracking.tracker import Tracker
from autoscale.tracking.writer import told_of


def require_trackers(names: Sequence[str]) -> None:
    """Refuse at once what could not be written later.

    Raises:
        InvalidSetting: if a tracker's package is not installed.
    """
    for name in names:
        require(name, f"--track {name}")


def open_tracker(name: str, subject: Subject) -> Tracker:
    """The tracker of a name in `names.TRACKERS`."""
    return TensorBoard(subject) if name == "tensorboard" else TrackerProcess(name, subject)


class Tracking:
    """Tells trackers of a step. Nothing that befalls one reaches the step: a line says so.

    Within `with`; without trackers it does nothing.

    Args:
        tell: told in one line when a tracker fails; it is told no more in this call then.
    """

    def __init__(
        self, trackers: Mapping[str, Tracker], tell: Callable[[str], None] = lambda text: None
    ) -> None:
        self._trackers = dict(trackers)
        self._tell = tell
        self._points: list[Point] = []

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        *,
        run: Path,
        step: str,
        command: str,
        settings: Mapping[str, Any],
        tell: Callable[[str], None],
    ) -> Self:
        """That of a step of a run directory.

        Args:
            names: of `names.TRACKERS`; twice is once.
            settings: of the command, as plain data.
        """
        subject = Subject(run=str(run.resolve()), step=step, command=command, settings=settings)
        return cls({name: open_tracker(name, subject) for name in names}, tell)

    def __bool__(self) -> bool:
        """Whether anybody is told."""
        return bool(self._trackers)

    def begin(self, points: Sequence[Point]) -> None:
        """The points of earlier calls, before those of this one."""
        self._points = list(points)
        self._each(lambda tracker: tracker.bring(self._points))

    def add(self, point: Point) -> None:
        """One more point."""
        self._points.append(point)
        self._each(lambda tracker: tracker.bring(self._points))

    def conclude(self, answer: Mapping[str, bool | int | float | str | None]) -> None:
        """What the work came to; what is None is left out."""
        plain: Plain = {name: value for name, value in answer.items() if value is not None}
        self._each(lambda tracker: tracker.conclude(plain))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._each(lambda tracker: tracker.close(finished=kind is None))
        self._trackers = {}

    def _each(self, do: Callable[[Tracker], None]) -> None:
        for name, tracker in [*self._trackers.items()]:
            try:
                do(tracker)
            except Exception as problem:  # of a library, a disk, a server
                del self._trackers[name]
                with suppress(Exception):
                    tracker.close(finished=False)
                self._tell(
                    f"warning: {name} fails ({told_of(problem)}) and is told no more; the work "
                    "goes on, and the same command brings what it lacks"
                )
