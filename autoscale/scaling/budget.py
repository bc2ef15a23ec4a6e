"""What a network may cost, held against what its base costs."""

from dataclasses import dataclass
from typing import Any

from autoscale.design.amounts import parse_ratio
from autoscale.design.measures.macs import MACS
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.numbers import Number
from autoscale.errors import InvalidSetting

#: A limit no larger than this, of a base more than so many times as large, was meant as a ratio.
_RATIOS = 1000


@dataclass(frozen=True, slots=True)
class Budget:
    """What a network may cost, and what its base costs, in one measure."""

    limit: float
    base: float
    measure: CostMeasure = MACS

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
        return self.measure.show(self.limit)

    def to_dict(self) -> dict[str, Any]:
        """As plain data, the measure by its name."""
        return {"limit": self.limit, "base": self.base, "measure": self.measure.name}


def parse_budget(text: str, *, base: float, measure: CostMeasure = MACS) -> Budget:
    """Read `2x` as a ratio to `base`, anything else as an absolute cost.

    Args:
        base: what the base costs, in the measure.

    Raises:
        InvalidSetting: for anything that is neither, or not above 0; for a number without a unit so
            far below the base that a ratio was meant.
    """
    ratio = parse_ratio(text)
    try:
        limit = measure.parse(text) if ratio is None else base * ratio
    except InvalidSetting as problem:
        raise InvalidSetting(f"the budget is {problem}, or 2x for twice the base") from None
    if measure.whole:
        limit = round(limit)
    if limit <= 0:
        raise InvalidSetting(f"a budget must be above 0, got {text!r}")
    if ratio is None and limit <= _RATIOS and limit < base / _RATIOS:
        raise InvalidSetting(
            f"a budget of {text} is {measure.show(limit)}, and the base has {measure.show(base)}; "
            f"write {text.strip()}x for a ratio to it"
        )
    return Budget(limit, base, measure)
