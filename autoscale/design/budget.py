"""Budgets as people write them: `2x`, `800M`, `1.5G`, `20000`."""

import re
from dataclasses import dataclass

from autoscale.errors import InvalidSetting

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}
_FORM = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Budget:
    """Multiply-adds that a network may cost, as the ratio to a base."""

    macs: int
    base_macs: int

    @property
    def ratio(self) -> float:
        """Growth of the base's multiply-adds."""
        return self.macs / self.base_macs


def parse_budget(text: str, *, base_macs: int) -> Budget:
    """Read `2x` as a ratio to `base_macs`, anything else as multiply-adds.

    Raises:
        InvalidSetting: for anything that is neither, or not above 0.
    """
    number, unit = _split(text)
    macs = round(base_macs * number) if unit == "X" else _count(number, unit, text)
    if macs < 1:
        raise InvalidSetting(f"a budget must be above 0, got {text!r}")
    return Budget(macs, base_macs)


def parse_count(text: str) -> int:
    """Read `800M`, `1.5G` or `20000` as a whole number.

    Raises:
        InvalidSetting: for anything else.
    """
    number, unit = _split(text)
    return _count(number, unit, text)


def format_count(count: float) -> str:
    """A count in three or four significant digits with its unit: 385.8M."""
    for unit in ("T", "G", "M", "K"):
        if abs(count) >= _UNITS[unit]:
            return f"{count / _UNITS[unit]:.4g}{unit}"
    return f"{count:.4g}"


def _split(text: str) -> tuple[float, str]:
    found = _FORM.fullmatch(text.strip())
    unit = found.group(2).upper() if found else "?"
    if found is None or unit not in (*_UNITS, "X"):
        raise InvalidSetting(f"not a budget: {text!r}; write 2x, 800M, 1.5G or a whole number")
    return float(found.group(1)), unit


def _count(number: float, unit: str, text: str) -> int:
    if unit == "X":
        raise InvalidSetting(f"not a count: {text!r}; write 800M, 1.5G or a whole number")
    return round(number * _UNITS[unit])
