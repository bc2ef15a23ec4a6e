"""What the costs of a network as a TensorFlow Lite file have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from autoscale.design.amounts import format_count, parse_bytes
from autoscale.design.architecture import Architecture
from autoscale.design.cost import Cost
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.numbers import Number
from autoscale.design.style import Padding
from autoscale.design.tflite.graph import PRECISIONS, Precision
from autoscale.design.walk import Place
from autoscale.errors import InvalidSetting


@dataclass(frozen=True, slots=True)
class Deployed(CostMeasure, ABC):
    """Bytes of a network as a TensorFlow Lite file of one precision.

    They follow from the operations of that file, not from counts, so a design tells them and a
    traced module does not.
    """

    precision: Precision = "int8"
    padding: Padding = "symmetric"  # of convolutions with a stride; see `design.style`

    def count(self, counts: Cost) -> Number:
        """Refused: it does not follow from counts.

        Raises:
            InvalidSetting: always.
        """
        raise InvalidSetting(
            f"{self.name} follows from the operations of a design's file, and no count tells it; "
            f"limit it instead, as in --limit {self.name}=200K, and take macs for a budget"
        )

    @abstractmethod
    def of(self, architecture: Architecture) -> float:
        """The bytes of a design."""

    @abstractmethod
    def shares(self, place: Place) -> tuple[float, ...]:
        """What one part of a design tells of them, a number for each of `parts`."""

    def at(self, place: Place) -> float:
        """The bytes of one part of a design where it stands."""
        return sum(self.shares(place))

    def padded(self, padding: Padding) -> Self:
        """The same for networks that pad otherwise."""
        return replace(self, padding=padding)

    @classmethod
    def parse(cls, text: str) -> float:
        """Bytes, from `256K` (256,000), `256KiB` (262,144) or a number.

        Raises:
            InvalidSetting: for anything else.
        """
        return parse_bytes(text)

    @classmethod
    def show(cls, amount: float) -> str:
        """Bytes as people read them: 18.2K bytes of RAM."""
        return f"{format_count(amount)} {cls.unit}"

    @classmethod
    def asked(cls, argument: str, read: Callable[[str], str]) -> Self:
        """The measure of a precision, int8 where none is named.

        Raises:
            InvalidSetting: for another word.
        """
        if not argument:
            return cls()
        if argument not in PRECISIONS:
            raise InvalidSetting(
                f"{cls.name} of {argument!r} is not known; write {cls.name}:"
                f"{' or '.join(PRECISIONS)}, or {cls.name}, which is of {PRECISIONS[0]}"
            )
        return cls(argument)

    def to_dict(self) -> dict[str, Any]:
        """What differs from the usual, as plain data."""
        return asdict(self)
