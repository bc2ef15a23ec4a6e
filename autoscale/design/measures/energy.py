"""Energy of one image, by a table of what an operation and a byte take."""

import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Self

from autoscale.design.cost import Cost
from autoscale.design.document import NO_UNKNOWN_KEYS, parse
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.numbers import Number
from autoscale.errors import InvalidSetting

#: Microjoules of each unit.
_UNITS = {"pj": 1e-6, "nj": 1e-3, "uj": 1.0, "µj": 1.0, "mj": 1e3, "j": 1e6}
#: Picojoules that an operation or a byte may take at most: a joule, so that sums stay finite.
_MOST = 1e12
_FORM = re.compile(r"(\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+)\s*([a-zµ]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy(CostMeasure):
    """Microjoules of the multiply-adds of one image and of the bytes that they move.

    Each weight is read once; each output of a convolution and of the classifier is written once and
    read once, by the layer after it. Norms, activation functions and additions are taken as done on
    the way. All figures are the user's: what an operation takes depends on the chip, what a byte
    takes on the memory that holds it.

    Raises:
        InvalidSetting: for a figure below 0 or too large, figures that are all 0, or a number of no
            or of too many bytes.
    """

    multiply: float  # picojoules of one multiplication
    add: float  # picojoules of one addition
    weight_byte: float  # picojoules of reading a byte of weights
    activation_byte: float  # picojoules of reading or writing a byte of activations
    bytes: int = 4  # of a number

    name = "energy"
    column = "energy_uj"
    unit = "uJ"
    noun = "microjoules"
    whole = False
    reads = frozenset({"macs", "params", "activations"})

    __pydantic_config__ = NO_UNKNOWN_KEYS

    def __post_init__(self) -> None:
        figures = {name: value for name, value in asdict(self).items() if name != "bytes"}
        for name, value in figures.items():
            if not (math.isfinite(value) and 0 <= value <= _MOST):
                raise InvalidSetting(f"{name} must be 0 to {_MOST:g} picojoules, got {value}")
        if not 1 <= self.bytes <= 16:
            raise InvalidSetting(f"bytes of a number must be 1 to 16, got {self.bytes}")
        if not any(figures.values()):
            raise InvalidSetting(
                f"{', '.join(figures)} are all 0, so that no network takes energy; give one of them"
            )

    def count(self, counts: Cost) -> Number:
        """Microjoules of one image."""
        weights = self.weight_byte * self.bytes * counts.params
        maps = 2 * self.activation_byte * self.bytes * counts.activations
        return 1e-6 * ((self.multiply + self.add) * counts.macs + weights + maps)

    @classmethod
    def parse(cls, text: str) -> float:
        """Microjoules, from `40uJ`, `1.5mJ` or `900nJ`.

        Raises:
            InvalidSetting: for anything else.
        """
        found = _FORM.fullmatch(text.strip())
        if found is None or found.group(2).lower() not in _UNITS:
            raise InvalidSetting(f"not an energy: {text!r}; write 40uJ, 1.5mJ or 900nJ")
        return float(found.group(1)) * _UNITS[found.group(2).lower()]

    @classmethod
    def write(cls, amount: float) -> str:
        """Microjoules as a text that `parse` reads back."""
        return f"{amount!r}uJ"

    @classmethod
    def show(cls, amount: float) -> str:
        """Microjoules as people read them: 41.2 uJ, 1.5 mJ."""
        unit = "J" if amount >= 1e6 else "mJ" if amount >= 1e3 else "uJ"
        return f"{amount / _UNITS[unit.lower()]:.4g} {unit}"

    @classmethod
    def asked(cls, argument: str, read: Callable[[str], str]) -> Self:
        """The energy by the table in a YAML file.

        Args:
            argument: the file.
            read: gives its text.

        Raises:
            InvalidSetting: for no file, or one that is no such table; it names the line.
        """
        if not argument:
            raise InvalidSetting("energy needs a table of picojoules; name it as energy:FILE.yaml")
        return parse(read(argument), cls, source=argument, error=InvalidSetting)

    def to_dict(self) -> dict[str, Any]:
        """The table as plain data."""
        return asdict(self)
