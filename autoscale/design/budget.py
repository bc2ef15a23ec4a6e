"""Budgets as people write them: `2x`, `800M`, `1.5G`, `20000`, `12ms`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from autoscale.design.cost import Cost
from autoscale.design.numbers import Number
from autoscale.errors import InvalidSetting

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}
_FORM = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", re.IGNORECASE)

#: Bytes of a number in float32.
BYTES = 4

#: What a budget may limit that is counted, each a function of a `Cost`.
MEASURES: Mapping[str, Callable[[Cost], Number]] = {
    "macs": lambda cost: cost.macs,
    "params": lambda cost: cost.params,
    "activations": lambda cost: cost.activations,
    # Bytes of the most activations alive at once for one image in float32.
    "memory": lambda cost: cost.peak * BYTES,
}

#: What a budget may limit that is measured on a device, in milliseconds.
LATENCY = "latency"

#: How people call what is limited.
MEANINGS: Mapping[str, str] = {
    "macs": "multiply-adds",
    "params": "parameters",
    "activations": "activations",
    "memory": "bytes of activations",
    LATENCY: "ms",
}


@dataclass(frozen=True, slots=True)
class Budget:
    """What a network may cost, and what its base costs; a whole number but for latency."""

    limit: float
    base: float
    measure: str = "macs"  # a name in `MEANINGS`

    @property
    def ratio(self) -> float:
        """Growth of the base's cost."""
        return self.limit / self.base

    def distance(self, growth: Number) -> Number:
        """How much more than the budget a growth is, signed: 0.05 is 5 % more; arrays too."""
        return growth / self.ratio - 1

    @property
    def text(self) -> str:
        """For people: `771.6M multiply-adds`."""
        return f"{format_count(self.limit)} {MEANINGS[self.measure]}"


def parse_budget(text: str, *, base: float, measure: str = "macs") -> Budget:
    """Read `2x` as a ratio to `base`, anything else as an absolute cost.

    Args:
        base: what the base costs, in the measure.
        measure: a name in `MEANINGS`.

    Raises:
        InvalidSetting: for anything that is neither, or not above 0, or an unknown measure.
    """
    if measure not in MEANINGS:
        raise InvalidSetting(f"no measure {measure!r}; choose from {', '.join(MEANINGS)}")
    number, unit = _split(text)
    if unit == "X":
        limit = base * number
    elif measure == LATENCY:
        limit = _milliseconds(number, unit, text)
    else:
        limit = _count(number, unit, text)
    if measure != LATENCY:
        limit = round(limit)
    if limit <= 0:
        raise InvalidSetting(f"a budget must be above 0, got {text!r}")
    return Budget(limit, base, measure)


def parse_count(text: str) -> int:
    """Read `800M`, `1.5G` or `20000` as a whole number.

    Raises:
        InvalidSetting: for anything else.
    """
    number, unit = _split(text)
    return _count(number, unit, text)


def parse_cost(text: str, measure: str) -> float:
    """Read an absolute cost: `12ms` of latency, else a count such as `800M`.

    Raises:
        InvalidSetting: for anything else.
    """
    number, unit = _split(text)
    return _milliseconds(number, unit, text) if measure == LATENCY else _count(number, unit, text)


def format_count(count: float) -> str:
    """A count in three or four significant digits with its unit: 385.8M."""
    for unit in ("T", "G", "M", "K"):
        if abs(count) >= _UNITS[unit]:
            return f"{count / _UNITS[unit]:.4g}{unit}"
    return f"{count:.4g}"


def several(count: int, noun: str) -> str:
    """A number of things in words whose plural ends in s: 1 epoch, 2,000 epochs."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _split(text: str) -> tuple[float, str]:
    found = _FORM.fullmatch(text.strip())
    unit = found.group(2).upper() if found else "?"
    if found is None or unit not in (*_UNITS, "X", "MS", "S"):
        raise InvalidSetting(f"not a budget: {text!r}; write 2x, 800M, 1.5G or a whole number")
    return float(found.group(1)), unit


def _count(number: float, unit: str, text: str) -> int:
    if unit not in _UNITS:
        raise InvalidSetting(f"not a count: {text!r}; write 800M, 1.5G or a whole number")
    return round(number * _UNITS[unit])


def _milliseconds(number: float, unit: str, text: str) -> float:
    if unit not in ("MS", "S"):
        raise InvalidSetting(f"not a latency: {text!r}; write 12ms or 0.5s")
    return number * (1000 if unit == "S" else 1)
