"""The process that speaks with a tracker's library: python -m autoscale.tracking.writer.

It reads lines of JSON: whose work it is, then points, an answer, and how the work ended. It says
nothing but what went wrong, in one line. Whatever the library prints, prompts for, patches or
leaves behind, it does here and not in the process that trains.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from autoscale.runs.store import read_json, write_json
from autoscale.tracking import mlflow, trackio, wandb
from autoscale.tracking.point import Point, Subject
from autoscale.tracking.tracker import Library

#: The modules that speak with a library, by the name of the tracker.
LIBRARIES: dict[str, Library] = {"mlflow": mlflow, "wandb": wandb, "trackio": trackio}


def note_of(subject: Subject, name: str) -> Path:
    """The file by which a resumed step finds its run in a tracker again."""
    return subject.place / f"{name}.json"


class Writer:
    """Brings a run in a tracker up to date, and notes how far that got."""

    def __init__(self, name: str, subject: Subject, *, begun: float) -> None:
        self._file = note_of(subject, name)
        noted = read_json(self._file) or {}
        self._session = LIBRARIES[name].open_session(subject, noted.get("run"))
        if not self._session.resumed:
            noted = {}
        self._begun = float(noted.get("begun", begun))
        held = self._session.held
        self._held = int(noted.get("points", 0)) if held is None else held
        self._answer = noted.get("answer")
        self._seen = 0
        self._note()

    def take(self, told: dict[str, Any]) -> None:
        """One line of what is told."""
        if "point" in told:
            self._seen += 1
            if self._seen > self._held:
                point = Point(**told["point"])
                self._session.add(point, self._begun + point.seconds)
                self._held = self._seen
                self._note()
        elif told["answer"] != self._answer:
            self._session.conclude(told["answer"])
            self._answer = told["answer"]
            self._note()

    def close(self, *, finished: bool) -> None:
        """End the run for now."""
        self._session.close(finished=finished)

    def _note(self) -> None:
        content = {"run": self._session.reference, "points": self._held, "begun": self._begun}
        answer = {} if self._answer is None else {"answer": self._answer}
        write_json(self._file, {**content, **answer}, durable=False)


def follow(lines: Iterable[str]) -> None:
    """Carry out what the lines tell; where they end without a word, the work was broken off."""
    told = (json.loads(line) for line in lines)
    first = next(told)
    writer = Writer(first["tracker"], Subject(**first["subject"]), begun=first["begun"])
    finished = False
    for one in told:
        if "finished" in one:
            finished = one["finished"]
            break
        writer.take(one)
    writer.close(finished=finished)


def told_of(problem: BaseException) -> str:
    """What went wrong, in one line."""
    lines = str(problem).strip().splitlines()
    return (lines[0] if lines else type(problem).__name__)[:300]


def _apart() -> tuple[TextIO, TextIO]:
    """The lines of the process that trains and the way back, out of the library's reach."""
    heard, back = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    return heard, back


def main() -> None:
    """Follow the lines of standard input."""
    heard, back = _apart()
    try:
        follow(heard)
    except BaseException as problem:
        back.write(told_of(problem) + "\n")
        back.flush()
        # Not what libraries do at the end: it may wait for what just failed.
        os._exit(1)
    sys.exit(0)


if __name__ == "__main__":
    main()
