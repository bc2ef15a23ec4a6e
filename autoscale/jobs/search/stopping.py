"""Early stopping as the user asks for it, and what it saved."""

from collections.abc import Sequence

from autoscale.errors import InvalidSetting
from autoscale.search.engine import Trial
from autoscale.search.rungs import Rungs


def epochs_spent(trials: Sequence[Trial], epochs: int) -> tuple[int, int]:
    """Epochs that were trained, and that would have been without stopping; broken ones left out."""
    kept = [trial for trial in trials if trial.status in ("finished", "stopped")]
    spent = sum(epochs if trial.score else max(trial.rungs) for trial in kept)
    return spent, epochs * len(kept)


def rungs_of(rungs: Sequence[int], caution: float | None, epochs: int) -> Rungs | None:
    """The rungs that a user asked for, of trainings of `epochs`; None if none were.

    Raises:
        InvalidSetting: for rungs that do not rise or lie above `epochs`, or for caution without
            rungs.
    """
    if not rungs:
        if caution is not None:
            raise InvalidSetting(f"caution {caution:g} needs rungs to stop at; add --rungs")
        return None
    below = tuple(number for number in rungs if number != epochs)
    if below and max(below) > epochs:
        raise InvalidSetting(
            f"rungs must be below the {epochs} epochs of a training, got {max(below)}; "
            "lower them or raise --epochs"
        )
    whole = (*below, epochs)
    return Rungs(epochs=whole) if caution is None else Rungs(epochs=whole, caution=caution)
