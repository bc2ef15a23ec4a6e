"""How long a network is trained afresh, so that it costs what one that begins with weights does."""

import statistics
from collections.abc import Mapping, Sequence

from autoscale.errors import RunConflict
from autoscale.runs.store import Journal
from autoscale.search.objective import Score


def fresh_epochs(epochs: int, begun: Sequence[Score]) -> int:
    """Epochs whose CPU-seconds come nearest to those of trainings that began with weights.

    Args:
        epochs: of each of these, which give the weights besides.
        begun: what those trainings came to, one at least.
    """
    giving = statistics.mean(score.inheriting_cpu_seconds or 0.0 for score in begun)
    each = statistics.mean(score.epoch_cpu_seconds or 0.0 for score in begun)
    return epochs + (round(giving / each) if each > 0 else 0)


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
