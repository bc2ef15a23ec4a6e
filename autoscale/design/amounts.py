"""Amounts as people write them: `2x`, `800M`, `1.5G`, `20000`, `256KiB`, `12ms`."""

import re

from autoscale.errors import InvalidSetting

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}
_BINARY = {"KI": 2**10, "MI": 2**20, "GI": 2**30}
_FORM = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", re.IGNORECASE)

#: Bytes of a number in float32.
BYTES = 4


def parse_count(text: str) -> int:
    """Read `800M`, `1.5G` or `20000` as a whole number.

    Raises:
        InvalidSetting: for anything else.
    """
    number, unit = _split(text)
    if number is None or unit not in _UNITS:
        raise InvalidSetting(f"not a count: {text!r}; write 800M, 1.5G or a whole number")
    return round(number * _UNITS[unit])


def parse_bytes(text: str) -> int:
    """Read `256KiB` (262,144), `1MiB`, `256K` (256,000) or `20000` as bytes.

    Raises:
        InvalidSetting: for anything else; `KB`, which some take for 1,000 and others for 1,024, is
            one of them.
    """
    number, unit = _split(text)
    if number is not None and unit.removesuffix("B") in _BINARY:
        return round(number * _BINARY[unit.removesuffix("B")])
    if number is None or unit not in _UNITS or unit == "B":
        raise InvalidSetting(
            f"not a number of bytes: {text!r}; write 256KiB for 262,144, 256K for 256,000 or a "
            "whole number"
        )
    return round(number * _UNITS[unit])


def parse_milliseconds(text: str) -> float:
    """Read `12ms` or `0.5s` as milliseconds.

    Raises:
        InvalidSetting: for anything else.
    """
    number, unit = _split(text)
    if number is None or unit not in ("MS", "S"):
        raise InvalidSetting(f"not a latency: {text!r}; write 12ms or 0.5s")
    return number * (1000 if unit == "S" else 1)


def parse_ratio(text: str) -> float | None:
    """Read `2x` as 2; None for what is no ratio."""
    found = _FORM.fullmatch(text.strip())
    return float(found.group(1)) if found and found.group(2).upper() == "X" else None


def format_count(count: float) -> str:
    """A count in three or four significant digits with its unit: 385.8M."""
    for unit in ("T", "G", "M", "K"):
        if abs(count) >= _UNITS[unit]:
            return f"{count / _UNITS[unit]:.4g}{unit}"
    return f"{count:.4g}"


def several(count: int, noun: str) -> str:
    """A number of things in words whose plural ends in s: 1 epoch, 2,000 epochs."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _split(text: str) -> tuple[float | None, str]:
    """A number and the letters behind it in capitals; no number in what has another form."""
    found = _FORM.fullmatch(text.strip())
    return (float(found.group(1)), found.group(2).upper()) if found else (None, "")
