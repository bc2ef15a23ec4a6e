"""A cost as a value: its name, its unit, how it is read and written, and what a network costs."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from autoscale.design.amounts import format_count, parse_count
from autoscale.design.architecture import Architecture
from autoscale.design.cost import Cost, cost, row_of
from autoscale.design.numbers import Number
from autoscale.design.walk import Place
from autoscale.errors import InvalidSetting

Fold = Literal["sum", "max"]


@dataclass(frozen=True, slots=True)
class CostMeasure:
    """What one image costs in a network, in one unit.

    A measure is plain data: equal measures give every network equal costs, and one goes to worker
    processes and into run directories as it is. Most follow from a network's counts, so a subclass
    gives `count` and is done; one that does not gives `of` and `at`. What is made here is whole
    numbers whose unit is that of `noun`; other measures say how they are read and shown.
    """

    #: What commands and records call it.
    name: ClassVar[str]
    #: The column of a table that holds it.
    column: ClassVar[str]
    #: What stands after a number.
    unit: ClassVar[str]
    #: What is counted, in full, for headings.
    noun: ClassVar[str]
    #: Whether it follows from the design alone; else it is measured on a device.
    counted: ClassVar[bool] = True
    #: Whether it comes in whole numbers.
    whole: ClassVar[bool] = True
    #: How each of the numbers that `shares` gives of a network's parts makes one of the network,
    #: whose cost is the sum of these.
    parts: ClassVar[tuple[Fold, ...]] = ("sum",)
    #: The fields of `Cost` that `count` reads.
    reads: ClassVar[frozenset[str]] = frozenset()

    def count(self, counts: Cost) -> Number:
        """The cost of a network, or of a part, with these counts; takes arrays of them too.

        Raises:
            InvalidSetting: if it does not follow from counts.
        """
        raise InvalidSetting(
            f"{self.name} is measured on a device, and no count of a design tells it; take a cost "
            "that is counted, such as macs"
        )

    def of(self, architecture: Architecture) -> float:
        """The cost of a design, before any training.

        Raises:
            InvalidSetting: if it does not follow from the design.
        """
        found: float = self.count(cost(architecture))
        return found

    def at(self, place: Place) -> float:
        """The cost of one part of a design where it stands: the sum of its `shares`.

        Raises:
            InvalidSetting: if it does not follow from the design.
        """
        found: float = self.count(place_cost(place))
        return found

    def shares(self, place: Place) -> tuple[float, ...]:
        """Numbers of one part of a design where it stands, one for each of `parts`.

        Of all a design's places each is added up, or the largest counts; together they are the
        design's cost, or the least that it can be where parts do not tell all.

        Raises:
            InvalidSetting: if it does not follow from the design.
        """
        return (self.at(place),)

    @property
    def heading(self) -> str:
        """The heading of a column: multiply-adds, predicted ms."""
        return self.noun if self.counted else f"predicted {self.unit}"

    @property
    def title(self) -> str:
        """The title of an axis: Multiply-adds, Predicted milliseconds."""
        return (
            f"{self.noun[:1].upper()}{self.noun[1:]}"
            if self.counted
            else (f"Predicted {self.noun}")
        )

    @classmethod
    def parse(cls, text: str) -> float:
        """An amount as people write it, such as 800M.

        Raises:
            InvalidSetting: for anything else.
        """
        return parse_count(text)

    @classmethod
    def write(cls, amount: float) -> str:
        """An amount as a text that `parse` reads back."""
        return f"{amount:.15g}"

    @classmethod
    def show(cls, amount: float) -> str:
        """An amount as people read it: 1.5M multiply-adds."""
        return f"{format_count(amount)} {cls.unit}"

    @classmethod
    def exactly(cls, amount: float) -> str:
        """An amount with all its digits, if it is a whole number: 1,500,000 multiply-adds."""
        if not cls.whole:
            return cls.show(amount)
        unit = re.sub(r"s\b", "", cls.unit, count=1) if round(amount) == 1 else cls.unit
        return f"{round(amount):,} {unit}"

    @classmethod
    def asked(cls, argument: str, read: Callable[[str], str]) -> Self:
        """The measure that a command names, by what stands behind its name and a colon.

        Args:
            argument: the text behind the colon; empty where there is none.
            read: gives the text of a file.

        Raises:
            InvalidSetting: for an argument that the measure does not take, or one that it lacks.
        """
        if argument:
            raise InvalidSetting(
                f"{cls.name} takes no table, got {argument!r}; write {cls.name} alone"
            )
        return cls()

    def to_dict(self) -> dict[str, Any]:
        """What the measure knows besides its name, as plain data."""
        return {}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "CostMeasure":
        """Read what `to_dict` gave."""
        return cls(**plain)


def place_cost(place: Place) -> Cost:
    """The counts of a stem, a stage or a head where it stands."""
    return Cost(*row_of(place))
