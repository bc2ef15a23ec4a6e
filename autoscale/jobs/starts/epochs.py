"""How long a network is trained afresh, so that it costs what one that begins with weights does."""

from collections.abc import Mapping

from autoscale.errors import RunConflict
from autoscale.runs.store import Journal


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
