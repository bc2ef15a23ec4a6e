"""Every cost by its name. A new one is a file in this folder and its line here."""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

from autoscale.errors import InvalidSetting

if TYPE_CHECKING:
    from autoscale.design.measures.measure import CostMeasure

#: Module and class of each, imported when it is first asked for: names are known at once.
_HOMES = {
    "macs": "macs:Macs",
    "params": "params:Params",
    "activations": "activations:Activations",
    "memory": "memory:Memory",
    "latency": "latency:Latency",
    "energy": "energy:Energy",
    "flash": "flash:Flash",
    "ram": "ram:Ram",
}
COSTS = tuple(_HOMES)
#: Those that a budget may be of: formulas tell them of many networks at once, or they are measured.
BUDGETS = tuple(name for name in COSTS if name not in ("flash", "ram"))


class _Registry(Mapping[str, "type[CostMeasure]"]):
    """The kinds of costs by their names, in the order of `_HOMES`."""

    def __getitem__(self, name: str) -> "type[CostMeasure]":
        module, _, kind = _HOMES[name].partition(":")
        home = import_module(f"autoscale.design.measures.{module}")
        return cast("type[CostMeasure]", getattr(home, kind))

    def __iter__(self) -> Iterator[str]:
        return iter(_HOMES)

    def __len__(self) -> int:
        return len(_HOMES)


MEASURES: Mapping[str, "type[CostMeasure]"] = _Registry()


def kind_named(text: str) -> "type[CostMeasure]":
    """The kind of cost that a text such as `macs` or `NAME:FILE` names.

    Raises:
        InvalidSetting: if there is none; the message lists them.
    """
    name = text.partition(":")[0].strip()
    if name not in _HOMES:
        raise InvalidSetting(f"no cost {name!r}; choose from {', '.join(COSTS)}")
    return MEASURES[name]


def with_file(text: str, change: Callable[[str], str]) -> str:
    """A cost, or a limit such as `NAME:FILE=MOST`, with a change made to the file that it names."""
    name, colon, rest = text.partition(":")
    if not colon:
        return text
    file, sign, most = rest.rpartition("=")
    return f"{name}:{change(file)}={most}" if sign else f"{name}:{change(rest)}"


def measure_named(text: str, read: Callable[[str], str]) -> "CostMeasure":
    """The cost that a text such as `macs` or `NAME:FILE` names.

    Args:
        read: gives the text of the file that is named.

    Raises:
        InvalidSetting: if there is none, or its file is missing, not wanted or no such table.
    """
    return kind_named(text).asked(text.partition(":")[2].strip(), read)
