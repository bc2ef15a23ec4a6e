"""The costs and the limits that a command names, with the files that they need."""

from collections.abc import Iterable
from pathlib import Path

from autoscale.design.measures.limits import Limit, most_macs, parse_limits
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.measures.registry import measure_named
from autoscale.errors import InvalidSetting
from autoscale.runs.store import read_text


def cost_from(text: str) -> CostMeasure:
    """The cost that a text such as `macs` or `NAME:FILE` names.

    Raises:
        InvalidSetting: if there is none; the message lists them.
        StorageProblem: if its file cannot be read.
    """
    return measure_named(text, _read)


def limits_from(texts: Iterable[str], *, max_macs: int | None = None) -> tuple[Limit, ...]:
    """All limits that a network has to keep.

    Args:
        texts: such as `params=250K`.
        max_macs: the limit on multiply-adds that has an option of its own.

    Raises:
        InvalidSetting: for a text that is no limit, or two limits on one cost.
        StorageProblem: if a file cannot be read.
    """
    limits = (*most_macs(max_macs), *parse_limits(texts, _read))
    if len({limit.measure.name for limit in limits}) < len(limits):
        raise InvalidSetting("macs is limited twice; keep the lower limit")
    return limits


def _read(path: str) -> str:
    return read_text(Path(path))
