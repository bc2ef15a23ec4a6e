"""Latency of one image on one device, predicted so that networks need not all be timed.

A search predicts with a table of operations (`LatencyTable`), a grid with a line through the counts
of networks that it has timed already (`LatencyLine`), which answers for thousands of points at once
and for a user's model too.

What a runtime runs is a row of operations, and the time of a network is the sum of theirs. An
operation of one kind takes a fixed time, plus a time for each multiply-add, each number that it
reads or writes, and each weight. Those rates are fitted once for a device, a runtime and a type of
numbers, to networks that were measured so; a sum of operations is then priced: a network, a stage
or a block.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscale.design.amounts import parse_milliseconds
from autoscale.design.architecture import Architecture
from autoscale.design.cost import Cost
from autoscale.design.measures.measure import CostMeasure
from autoscale.design.numbers import Number
from autoscale.design.walk import Place, places_of
from autoscale.design.workload import Feature, Workload, work_at
from autoscale.errors import InvalidSetting

#: Most networks that a table is fitted to.
MOST_MEASUREMENTS = 500


@dataclass(frozen=True, slots=True)
class Latency(CostMeasure):
    """Milliseconds of one image on a device, not yet measured: it says only how they are read."""

    name = "latency"
    column = "latency_ms"
    unit = "ms"
    noun = "milliseconds"
    counted = False
    whole = False

    @classmethod
    def parse(cls, text: str) -> float:
        """Milliseconds, from `12ms` or `0.5s`.

        Raises:
            InvalidSetting: for anything else.
        """
        return parse_milliseconds(text)

    @classmethod
    def write(cls, amount: float) -> str:
        """Milliseconds as a text that `parse` reads back."""
        return f"{amount!r}ms"

    @classmethod
    def show(cls, amount: float) -> str:
        """Milliseconds as people read them: 3.2 ms."""
        return f"{amount:.3g} ms"

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> CostMeasure:
        """The table that was fitted, from plain data."""
        return LatencyTable.from_dict(plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedIn:
    """What the networks were timed in that predictions come from."""

    runtime: str  # eager, litert, ...
    dtype: str
    threads: int
    version: str  # of the runtime: "onnxruntime 1.32.0"
    hardware: str  # the name of the processor or graphics card


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTable(Latency):
    """What each kind of operation takes on one device in one runtime, in milliseconds."""

    rates: Mapping[Feature, float] = field(hash=False)
    error: float  # median of |predicted / measured - 1| over the networks left out in turn
    measurements: int  # networks that it was fitted to
    timed_in: TimedIn | None = None  # None in runs of older versions: eager torch, float32
    _prices: dict[Place, float] = field(default_factory=dict, repr=False, compare=False)

    def price(self, work: Workload) -> float:
        """Milliseconds of so much work.

        Raises:
            InvalidSetting: if a kind of operation is in it that no measured network ran.
        """
        known = {kind for kind, _ in self.rates}
        if unknown := sorted({kind for kind, _ in work} - known):
            raise InvalidSetting(
                f"no measured network ran {', '.join(unknown)}; fit the table to networks that do"
            )
        return sum(amount * self.rates.get(feature, 0.0) for feature, amount in work.items())

    def of(self, architecture: Architecture) -> float:
        """Milliseconds of one pass of one image.

        Raises:
            InvalidSetting: if it runs a kind of operation that no measured network ran.
        """
        return sum([self.at(place) for place in places_of(architecture)])

    def at(self, place: Place) -> float:
        """Milliseconds of one part where it stands.

        Remembered, for a search asks for thousands of networks that share most stages.

        Raises:
            InvalidSetting: if it runs a kind of operation that no measured network ran.
        """
        found = self._prices.get(place)
        if found is None:
            found = self._prices[place] = self.price(work_at(place))
        return found

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        rates: dict[str, dict[str, float]] = {}
        for (kind, what), rate in self.rates.items():
            rates.setdefault(kind, {})[what] = rate
        found = {"rates": rates, "error": self.error, "measurements": self.measurements}
        return found | ({"timed_in": asdict(self.timed_in)} if self.timed_in else {})

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "LatencyTable":
        """Read what `to_dict` gave."""
        rates = {(k, w): float(r) for k, row in plain["rates"].items() for w, r in row.items()}
        timed_in = TimedIn(**plain["timed_in"]) if "timed_in" in plain else None
        return cls(
            rates=rates,
            error=plain["error"],
            measurements=plain["measurements"],
            timed_in=timed_in,
        )


@dataclass(frozen=True, slots=True)
class LatencyLine(Latency):
    """Milliseconds as a sum of counts with weights that are not negative, times a factor."""

    weights: tuple[float, ...]  # of 1, multiply-adds, activations, parameters
    factor: float = 1.0  # a correction, learnt where the line was wrong

    reads = frozenset({"macs", "activations", "params"})

    @classmethod
    def fit(cls, costs: Sequence[Cost], milliseconds: Sequence[float]) -> "LatencyLine":
        """The line with the smallest relative errors; no weight is negative, so that a larger
        network is never predicted to be faster."""
        rows = np.array([_features(found) for found in costs], dtype=float)
        times = np.asarray(milliseconds, dtype=float)
        return cls(tuple(_fit(rows, times, ridge=1e-12).tolist()))

    def count(self, counts: Cost) -> Number:
        """Milliseconds of a network, or of many."""
        first, *rest = [w * part for w, part in zip(self.weights, _features(counts), strict=True)]
        return sum(rest, first) * self.factor


def _features(counts: Cost) -> list[Number]:
    return [1.0, counts.macs, counts.activations, counts.params]


def fit_latency_table(
    work: Sequence[Mapping[Feature, float]],
    latencies_ms: Sequence[float],
    *,
    folds: int = 10,
    timed_in: TimedIn | None = None,
) -> LatencyTable:
    """Fit the rates to measured networks; none is below 0, and relative errors count.

    Args:
        work: of each network; see `workload`.
        folds: parts of the networks that are left out in turn to state the error.
        timed_in: where they were measured.

    Raises:
        InvalidSetting: for too few or too many networks, or a latency that is none.
    """
    count = len(work)
    if count != len(latencies_ms) or not 2 * folds <= count <= MOST_MEASUREMENTS:
        raise InvalidSetting(
            f"a table is fitted to {2 * folds} to {MOST_MEASUREMENTS} networks with one latency "
            f"each, got {count} and {len(latencies_ms)}"
        )
    if not all(math.isfinite(value) and value > 0 for value in latencies_ms):
        raise InvalidSetting("a latency must be finite and above 0")
    features = sorted({feature for row in work for feature in row})
    table = np.array([[row.get(feature, 0.0) for feature in features] for row in work])
    measured = np.array(latencies_ms, dtype=float)
    errors = np.empty(count)
    for fold in range(folds):
        left_out = np.arange(count) % folds == fold
        rates = _fit(table[~left_out], measured[~left_out])
        errors[left_out] = np.abs(table[left_out] @ rates / measured[left_out] - 1)
    rates = _fit(table, measured)
    return LatencyTable(
        rates=dict(zip(features, map(float, rates), strict=True)),
        error=float(np.median(errors)),
        measurements=count,
        timed_in=timed_in,
    )


def _fit(
    table: NDArray[np.float64], measured: NDArray[np.float64], ridge: float = 1e-6
) -> NDArray[np.float64]:
    """Rates of at least 0 with the least squares of relative errors.

    Args:
        ridge: a little of each rate's square, which keeps features apart that always come together.
    """
    scale = table.max(axis=0)
    scale[scale == 0] = 1.0
    rows = table / scale / measured[:, None]
    gram, target = rows.T @ rows, rows.sum(axis=0)
    gram[np.diag_indices_from(gram)] += ridge * np.trace(gram) / len(gram)
    fitted: NDArray[np.float64] = _nonnegative(gram, target) / scale
    return fitted


def _nonnegative(gram: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The x of at least 0 that minimises x' gram x / 2 - target' x, for a positive definite gram.

    Source: Lawson & Hanson 1974, "Solving Least Squares Problems", chapter 23.
    """
    x = np.zeros(len(target))
    free = np.zeros(len(target), dtype=bool)  # the entries that may be above 0
    for _ in range(10 * len(target)):  # far more than it takes
        slope = np.where(free, -np.inf, target - gram @ x)
        if slope.max() <= 1e-10 * np.abs(target).max():
            break
        free[slope.argmax()] = True
        while True:
            best = np.zeros(len(target))
            best[free] = np.linalg.solve(gram[np.ix_(free, free)], target[free])
            below = free & (best <= 0)
            if not below.any():
                x = best
                break
            step = (x[below] / (x[below] - best[below])).min()
            x = x + step * (best - x)
            free &= x > 1e-14
            x[~free] = 0.0
    return x
