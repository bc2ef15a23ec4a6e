"""A member of a family that grew out of the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autoscale.jobs.nested.result import MemberResult
from autoscale.runs.store import StepFolder
from autoscale.training.state import Epoch

STEP = "grown"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrownMember(MemberResult):
    """How good a member is that was trained with weights of its own, and how it got there."""

    epochs: int
    # Accuracy on the validation images before the first step; None of one with random weights.
    begins_at: float | None
    # The first epoch after which it was at least as accurate, on these images, as the member before
    # was at its best; None if it never was, and of the smallest.
    overtakes_after: int | None
    seconds: float  # of its epochs by the clock, evaluations included


def member_folder(run: Path, name: str) -> StepFolder:
    """The folder of a member's training in a run, as `train` writes one."""
    return StepFolder(run, f"{STEP}/{name}")


def first_as_good(epochs: Sequence[Epoch], accuracy: float) -> int | None:
    """The first of the epochs after which a network was at least so accurate; None if none is."""
    known = (e.number for e in epochs if e.accuracy is not None and e.accuracy >= accuracy)
    return next(known, None)
