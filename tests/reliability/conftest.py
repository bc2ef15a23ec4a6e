"""What the tests of reliability share: rehearsed commands in processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.designs import two_stages

REHEARSAL = Path(__file__).with_name("rehearsal.py")


class Rehearsal:
    """Starts rehearsed commands, each in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._begun: list[subprocess.Popen[str]] = []

    def start(
        self, *arguments: object, fault: str = "", seconds: float = 0.03, **environment: str
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(REHEARSAL), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env=os.environ
            | {"REHEARSAL_FAULT": fault, "REHEARSAL_SECONDS": str(seconds)}
            | {"OMP_NUM_THREADS": "1"}
            | environment,
        )
        self._begun.append(process)
        return process

    def run(self, *arguments: object, expect: int = 0, **options: object) -> str:
        """What the command printed, once it has ended with that status."""
        process = self.start(*arguments, **options)  # type: ignore[arg-type]
        said, _ = process.communicate(timeout=600)
        assert process.returncode == expect, said
        assert "Traceback" not in said
        return said

    @staticmethod
    def kill(process: subprocess.Popen[str]) -> None:
        """kill -9 of the whole tree."""
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def end(self) -> None:
        for process in self._begun:
            if process.poll() is None:
                self.kill(process)
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[Rehearsal]:
    made = Rehearsal(tmp_path)
    yield made
    made.end()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A design to scale."""
    path = tmp_path / "small.yaml"
    path.write_text(two_stages(3))
    return path


def unwrapped(said: str) -> str:
    """What a log says, without the ends of its lines."""
    return " ".join(said.split())


def lines_of(journal: Path) -> int:
    """Whole records of a journal so far."""
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def wait_for(process: subprocess.Popen[str], journal: Path, lines: int) -> bool:
    """Wait until the journal has so many records; False if the process ended before."""
    while lines_of(journal) < lines:
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    return True
