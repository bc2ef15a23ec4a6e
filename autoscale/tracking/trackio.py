"""Runs in Trackio: a database in the run directory, unless the user's environment says otherwise.

A step is a run, named by its folder, in the project of the run directory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoscale.tracking.point import Plain, Point, Subject

#: Of the run directory.
FOLDER = "trackio"


def environment(subject: Subject, given: Mapping[str, str]) -> dict[str, str]:
    """In the run directory; without a Space, Hugging Face is not asked who the user is."""
    own = {"TRACKIO_DIR": str(Path(subject.run) / FOLDER)}
    if not is_remote(given):
        own["HF_HUB_OFFLINE"] = "1"
    return {name: value for name, value in own.items() if name not in given}


def is_remote(given: Mapping[str, str]) -> bool:
    """Whether the user sends runs to a Space or a server."""
    return any(given.get(name) for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"))


def project_named(name: str) -> str:
    """A project's name as Trackio takes one."""
    return re.sub(r"[^\w\- ]", "_", name) or "autoscale"


def open_session(subject: Subject, reference: str | None) -> TrackioSession:
    """The step's run."""
    return TrackioSession(subject, reference)


class TrackioSession:
    """A run. Trackio writes what it is told a little later, so what is there is asked of it."""

    def __init__(self, subject: Subject, reference: str | None) -> None:
        import trackio

        self._run: Any = trackio.init(
            project=project_named(subject.name),
            name=subject.step,
            resume="never" if reference is None else "allow",
            config={"command": subject.command, **subject.settings},
            auto_log_gpu=False,
            auto_log_cpu=False,
            embed=False,
        )
        self.reference = str(self._run.id)
        self.resumed = self.reference == reference
        self._local = not is_remote(os.environ)
        self.held = self._steps_there() if self._local else None
        self._told = self.held or 0
        self._last = 0

    def add(self, point: Point, when: float) -> None:
        """One row, with the choices of a trial as columns."""
        choices = {f"choices/{name}": value for name, value in point.chosen.items()}
        self._run.log({**point.values, "seconds": point.seconds, **choices}, step=point.step)
        self._told, self._last = self._told + 1, point.step

    def conclude(self, answer: Plain) -> None:
        """One row at the last step."""
        told = {f"answer/{name}": value for name, value in answer.items()}
        self._run.log(told, step=self._last)

    def close(self, *, finished: bool) -> None:
        """Wait until all is written.

        Raises:
            OSError: if it was not; Trackio itself only warns.
        """
        self._run.finish()
        if self._local and (there := self._steps_there()) < self._told:
            raise OSError(f"Trackio has written {there} of {self._told} points")

    def _steps_there(self) -> int:
        """Points of this run in the database."""
        from trackio.sqlite_storage import SQLiteStorage

        rows = SQLiteStorage.get_logs(self._run.project, self._run.name, run_id=self._run.id)
        return len({row["step"] for row in rows if "seconds" in row})
