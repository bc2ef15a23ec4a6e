"""Epochs by which one training costs the CPU-seconds of another."""

from collections.abc import Mapping

from autoscale.errors import RunConflict
from autoscale.runs.store import Journal
from autoscale.search.objective import Score


def epochs_by_one(aim: float, first: Score) -> int:
    """Epochs, at least one, whose training costs nearest to `aim` CPU-seconds.

    Args:
        first: of a training of one epoch.
    """
    each = first.epoch_cpu_seconds or first.training_cost
    once = first.training_cost - each  # of what does not grow with the epochs, such as evaluation
    return max(1, round((aim - once) / each)) if each > 0 else 1


def epochs_by_whole(aim: float, first: Score, *, epochs: int) -> int:
    """Epochs, at least one, whose training costs about `aim` CPU-seconds.

    In proportion to a whole training, evaluation included.

    Args:
        first: of a training of `epochs` epochs.
    """
    cost = first.training_cost
    return max(1, round(epochs * aim / cost)) if cost > 0 else epochs


def decided_epochs(journal: Journal) -> Mapping[str, int]:
    """Epochs that were decided before, by the network's key.

    Raises:
        RunConflict: naming the line that holds none.
    """
    found: dict[str, int] = {}
    for number, record in enumerate(journal.read(), start=1):
        try:
            found.setdefault(str(record["key"]), int(record["epochs"]))
        except (KeyError, TypeError, ValueError) as problem:
            raise RunConflict(
                f"{journal.path}:{number}: not the epochs of a network ({problem}); restore the "
                "file from a copy or choose another --run"
            ) from None
    return found
