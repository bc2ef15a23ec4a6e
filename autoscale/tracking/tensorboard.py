"""Curves for TensorBoard: a file of events beside the other files of a step.

What a file holds follows from its points alone, and the clock of a point is the time that the work
had taken until then. So a step that was broken and resumed has the curves of the unbroken one. A
file that lacks points is appended to, for a TensorBoard that shows it follows the file; one that
holds anything else is written anew.
"""

import io
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from autoscale.runs.store import guarded
from autoscale.tracking.point import Plain, Point, Subject

#: The name by which TensorBoard knows such a file, and when its work began, in seconds since 1970.
NAME = "events.out.tfevents."


class TensorBoard:
    """The curves of a step in its folder, and of each trial in a folder below, with its choices.

    TensorBoard has no place for settings and answers; the files beside the curves say them.
    """

    def __init__(self, subject: Subject) -> None:
        self._folder = subject.place
        self._curves: Curves | None = None
        self._drawn = 0

    def bring(self, points: Sequence[Point]) -> None:
        """Write what the files lack of these points.

        Raises:
            StorageProblem: if the disk does not take it.
        """
        if self._curves is None:
            self._curves = Curves(self._folder, points)
        else:
            for point in points[self._drawn :]:
                self._curves.add(point)
        for point in points[self._drawn :]:
            if point.choices is not None:
                self._draw_trial(point, self._curves.begun)
        self._drawn = len(points)

    def conclude(self, answer: Plain) -> None:
        """Curves have no answer."""

    def close(self, *, finished: bool) -> None:
        """All is written."""

    def _draw_trial(self, point: Point, begun: int) -> None:
        own = Point(step=point.step, seconds=point.seconds, values=point.own)
        folder = self._folder / "trials" / f"{point.step:05}"
        Curves(folder, [own], begun=begun, choices=point.choices)


class Curves:
    """The file of one folder, brought up to date at once.

    Args:
        points: those that the file must hold so far.
        begun: when the work began, in seconds since 1970; by default what the name of the file
            says that is there, or now for a file that is not.
        choices: what was chosen for this work, as hyperparameters.

    Raises:
        StorageProblem: if the disk does not take it.
    """

    def __init__(
        self,
        folder: Path,
        points: Sequence[Point] = (),
        *,
        begun: int | None = None,
        choices: Mapping[str, object] | None = None,
    ) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        if begun is None:
            begun = _begun(folder)
        if begun is None:
            begun = int(time.time() - (points[-1].seconds if points else 0))
        self.begun = begun
        self._path = folder / f"{NAME}{begun}.autoscale"
        self._content = _record(Event(wall_time=begun, file_version="brain.Event:2"))
        if choices is not None:
            self._content += _record(Event(wall_time=begun, summary=_session(choices, begun)))
        for point in points:
            self._content += self._event(point)
        self._catch_up()

    def add(self, point: Point) -> None:
        """One more point.

        Raises:
            StorageProblem: if the disk does not take it.
        """
        self._content += self._event(point)
        self._catch_up()

    def _event(self, point: Point) -> bytes:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=n, simple_value=v) for n, v in point.values.items()]
        when = self.begun + point.seconds
        return _record(Event(wall_time=when, step=point.step, summary=Summary(value=values)))

    def _catch_up(self) -> None:
        with guarded(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b") as handle:
                handle.seek(0)
                there = handle.read()
                if not self._content.startswith(there):
                    handle.truncate(0)
                    there = b""
                handle.write(self._content[len(there) :])


def _begun(folder: Path) -> int | None:
    """What the name of the folder's file says; None without one."""
    pattern = re.compile(re.escape(NAME) + r"(\d{1,12})\.autoscale")
    with guarded(folder):
        found = [pattern.fullmatch(path.name) for path in folder.glob(f"{NAME}*")]
    return min((int(match[1]) for match in found if match), default=None)


def _record(event: "object") -> bytes:
    """An event as the file has it, framed by its length and checksums."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    framed = io.BytesIO()
    # Deterministic: the order of a map's keys would be anything else.
    RecordWriter(framed).write(event.SerializeToString(deterministic=True))  # type: ignore[attr-defined]
    return framed.getvalue()


def _session(choices: Mapping[str, object], begun: int) -> "object":
    """What the page of hyperparameters shows of the work in this folder."""
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    plain = {n: v if isinstance(v, bool | int | float) else str(v) for n, v in choices.items()}
    return hparams_pb(plain, start_time_secs=begun)
