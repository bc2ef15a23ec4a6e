"""Every cost by its name. A new one is a file in this folder and its line here."""

from collections.abc import Callable, Mapping

from autoscale.design.measures.activations import Activations
from autoscale.design.measures.latency import Latency
from autoscale.design.measures.macs import Macs
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.measures.memory import Memory
from autoscale.design.measures.params import Params
from autoscale.errors import InvalidSetting

MEASURES: Mapping[str, type[CostMeasure]] = {
    kind.name: kind
    for kind in (
        Macs,
        Params,
        Activations,
        Memory,
        Latency,
    )
}


def kind_named(text: str) -> type[CostMeasure]:
    """The kind of cost that a text such as `macs` or `NAME:FILE` names.

    Raises:
        InvalidSetting: if there is none; the message lists them.
    """
    name = text.partition(":")[0].strip()
    if name not in MEASURES:
        raise InvalidSetting(f"no cost {name!r}; choose from {', '.join(MEASURES)}")
    return MEASURES[name]


def measure_named(text: str, read: Callable[[str], str]) -> CostMeasure:
    """The cost that a text such as `macs` or `NAME:FILE` names.

    Args:
        read: gives the text of the file that is named.

    Raises:
        InvalidSetting: if there is none, or its file is missing, not wanted or no such table.
    """
    return kind_named(text).asked(text.partition(":")[2].strip(), read)
