"""An axis: from values to shares of its length, and the round values that it shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

#: Ticks within a decade of a logarithmic axis, from few to many.
DECADES = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7),
           (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis."""

    title: str  # with its unit
    low: float
    high: float
    logarithmic: bool = False
    whole: bool = False  # ticks at whole numbers only
    text: Callable[[float], str] = "{:g}".format  # of a tick

    @classmethod
    def around(
        cls,
        values: Sequence[float],
        *,
        title: str,
        text: Callable[[float], str],
        logarithmic: bool = False,
        limits: tuple[float, float] = (float("-inf"), float("inf")),
    ) -> "Axis":
        """An axis with a little room beside the finite values, within the limits."""
        finite = [value for value in values if isfinite(value)] or [0.0]
        low, high = min(finite), max(finite)
        if logarithmic:
            room = max((high / low) ** 0.08, 1.05)
            return cls(title=title, low=low / room, high=high * room, logarithmic=True, text=text)
        room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
        return cls(
            title=title,
            low=max(low - room, limits[0]),
            high=min(high + room, limits[1]),
            text=text,
        )

    def share(self, value: float) -> float:
        """Where a value lies between the ends, 0..1; what is beyond them lies at the end."""
        if self.logarithmic:
            share = log10(value / self.low) / log10(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(max(share, 0.0), 1.0)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values within the ends: at most so many, or one more on a linear axis."""
        return self._decades(most) if self.logarithmic else self._steps(most)

    def _decades(self, most: int) -> list[float]:
        decades = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
        found = [[m * 10.0**e for e in decades for m in each] for each in DECADES]
        found += [[10.0**e for e in decades if e % every == 0] for every in (2, 3, 4)]
        within = [[v for v in ticks if self.low <= v <= self.high] for ticks in found]
        return max((ticks for ticks in within if len(ticks) <= most), key=len)

    def _steps(self, most: int) -> list[float]:
        span = self.high - self.low
        power = 10.0 ** floor(log10(span / most))
        step = next(
            m * power
            for m in (1, 2, 2.5, 5, 10, 20)
            if span / (m * power) <= most and not (self.whole and (m * power) % 1)
        )
        first = ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, floor(self.high / step + 1e-9) + 1)]
