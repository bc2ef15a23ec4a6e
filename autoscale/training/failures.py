"""What can go wrong with a training: each failure names its cause and a way out."""

from __future__ import annotations

import torch

from autoscale.errors import AutoscaleError


class TrainingFailed(AutoscaleError):
    """A training that gave no network; the message is the cause."""


class TrainingDiverged(TrainingFailed):
    """The loss stopped being a number."""


class OutOfMemory(TrainingFailed):
    """A step did not fit into memory, not even in two halves."""


class OutOfTime(TrainingFailed):
    """The training took longer than it was given."""


def out_of_memory(problem: Exception) -> bool:
    """Whether memory ran out, of the machine or of a device."""
    return isinstance(problem, MemoryError | torch.OutOfMemoryError) or any(
        sign in str(problem) for sign in ("can't allocate memory", "not enough memory")
    )
