"""The command line run in this process, and what must hold of every answer."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autoscale.cli.app import main

#: Longest line that a refusal may have; what a user typed may be far longer.
LONGEST = 1200


def seeds(fast: int, every: int) -> list[Any]:
    """Numbers from 0 on for a parametrised test; `pytest -m slow` has those above the fast ones."""
    slow = (pytest.param(seed, marks=pytest.mark.slow) for seed in range(fast, every))
    return [*range(fast), *slow]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a command gave."""

    status: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The last line on standard error."""
        lines = self.err.splitlines()
        return lines[-1] if lines else ""


def attempt(*arguments: object) -> TrainingResult:
    """Run a command; what it raises comes through and is a mistake of the code."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(argument) for argument in arguments])
    return TrainingResult(status, out.getvalue(), err.getvalue())


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder by its name, None for a folder; locks hold nothing and do not
    count."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path.name != ".lock"
    }


def is_clear(answer: TrainingResult, *, partly: bool = False) -> bool:
    """Whether it is an answer, or a refusal in one printable line that says who speaks.

    Args:
        partly: of a command that may answer for some images and refuse others.

    Raises:
        AssertionError: saying what is wrong with it.
    """
    assert answer.status in (0, 1, 2), answer
    assert "Traceback" not in answer.err, answer.err
    if answer.status == 0:
        return True
    said = answer.refusal
    assert answer.out == "" or (partly and answer.status == 1), (
        f"an answer and a refusal: {answer.out:.300}"
    )
    assert said.startswith("autoscale: "), said
    assert said.isprintable(), f"control characters: {said!r:.300}"
    assert 20 < len(said) <= LONGEST, f"{len(said)} characters: {said:.300}"
    return True


def told(arguments: Sequence[object]) -> str:
    """A command as it would be typed, for the message of a failed test."""
    return " ".join(map(str, arguments))[:500]
