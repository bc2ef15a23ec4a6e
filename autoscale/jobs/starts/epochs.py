"""How long a network is trained afresh, so that it costs what one that begins with weights does."""

from collections.abc import Mapping

from autoscale.errors import RunConflict
from autoscale.runs.store import Journal
from autoscale.search.objective import Score


def epochs_for(aim: float, first: Score, *, epochs: int) -> int:
    """Epochs, at least one, whose training costs about `aim` CPU-seconds.

    In proportion to a whole training, evaluation included: shares of a training are told by the
    time, which says little of them on a busy machine.

    Args:
        first: of a training of `epochs` epochs.
    """
    cost = first.training_cost
    return max(1, round(epochs * aim / cost)) if cost > 0 else epochs


def decided(journal: Journal) -> Mapping[str, int]:
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
