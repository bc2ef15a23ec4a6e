"""What a step that begins networks with weights says of whether they help."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from autoscale.jobs.start import Start
from autoscale.jobs.starts.result import advice_in
from autoscale.jobs.starts.settings import TryWeightsSettings


def on_weights(
    run: str | Path, start: Start, *, weights: str | None, data: str, sizes: Sequence[str]
) -> tuple[str, ...]:
    """The advice on weights that a run holds, else which command would give some; one line each.

    Args:
        start: of the step's networks; nothing is said of one without weights of another design.
        weights: as the user named them; nothing is said where the step was not told.
        data: where its images lie.
        sizes: the words of the command line that say which networks to try.
    """
    if start.origin is None or weights is None:
        return ()
    if advice := advice_in(run, start.digest):
        return tuple(f"advice of this run: {sentence}" for sentence in advice)
    words = [TryWeightsSettings.command, weights, "--data", data, *sizes, "--run", str(run)]
    return (f"whether these weights help here was not tried: {shlex.join(['autoscale', *words])}",)
