"""A tracker whose library works in a process of its own, so that nothing it does reaches ours."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import autoscale
from autoscale.tracking.point import Plain, Point, Subject
from autoscale.tracking.writer import LIBRARIES

#: Seconds that the end of the work waits for a tracker.
PATIENCE = 60.0


class TrackerFailed(Exception):
    """A tracker's process said what went wrong, or ended without a word."""


class TrackerProcess:
    """Tells a tracker's process what to send. The work never waits for it but at its end."""

    def __init__(self, name: str, subject: Subject) -> None:
        self._name, self._subject = name, subject
        self._sent = 0
        self._process: subprocess.Popen[str] | None = None

    def bring(self, points: Sequence[Point]) -> None:
        """Send those that were not sent in this call; the process knows those of earlier ones.

        Raises:
            TrackerFailed: if the process has failed.
        """
        self._start(spent=points[-1].seconds if points else 0.0)
        for point in points[self._sent :]:
            self._tell({"point": point.to_dict()})
        self._sent = len(points)
        self._require_well()

    def conclude(self, answer: Plain) -> None:
        """Send what the work came to."""
        self._start(spent=0.0)
        self._tell({"answer": dict(answer)})

    def close(self, *, finished: bool) -> None:
        """Wait until all is sent.

        Raises:
            TrackerFailed: if the process has failed, or is not done in time.
        """
        if self._process is None:
            return
        try:
            self._tell({"finished": finished})
            self._lines.put(None)
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise TrackerFailed(f"it was not done after {PATIENCE:g} s") from None
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._lines.put(None)  # where it failed before it was told so
            for thread in self._threads:
                thread.join()
        self._require_well()

    def _start(self, *, spent: float) -> None:
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            # -P: a folder named like the library, such as one that it left, is not the library.
            [sys.executable, "-P", "-m", "autoscale.tracking.writer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(self._name, self._subject),
            start_new_session=True,  # Ctrl-C is for the work, which then closes this
            text=True,
            encoding="utf-8",
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._said = ""
        self._threads = [
            threading.Thread(target=work, args=[self._process], daemon=True)
            for work in (self._listen, self._write)
        ]
        for thread in self._threads:
            thread.start()
        subject = asdict(self._subject)
        self._tell({"tracker": self._name, "subject": subject, "begun": time.time() - spent})

    def _tell(self, told: dict[str, Any]) -> None:
        self._lines.put(json.dumps(told) + "\n")

    def _write(self, process: subprocess.Popen[str]) -> None:
        """Hand the lines over as fast as the process reads them."""
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as pipe:  # one that ended is asked why
            while (line := self._lines.get()) is not None:
                pipe.write(line)
                pipe.flush()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as pipe:
            self._said = pipe.read().strip()

    def _require_well(self) -> None:
        assert self._process is not None
        code = self._process.poll()
        if code:
            self._threads[0].join()  # what it said last
            raise TrackerFailed(self._said or f"its process ended with status {code}")


def _environment(name: str, subject: Subject) -> dict[str, str]:
    """The user's, and what keeps the library on this machine where that says nothing else."""
    given = dict(os.environ)
    package = str(Path(autoscale.__file__).parents[1])  # however this process found it
    places = [package, *filter(None, [given.get("PYTHONPATH")])]
    return {
        **given,
        **LIBRARIES[name].environment(subject, given),
        "PYTHONPATH": os.pathsep.join(places),
    }
