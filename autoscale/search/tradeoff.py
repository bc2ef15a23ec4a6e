"""What a doubling of cost buys in accuracy, learnt from trials.

MnasNet's exponent w makes its reward blind along the trade that good networks offer: if a doubling
buys the share g of accuracy, a (1 + g) (2 l / T)^w = a (l / T)^w, so w = -log2(1 + g) (Tan et al.
2019, section 3; g = 5 % gave -0.07). Where accuracy grows as cost^s among good networks, 1 + g is
2^s and w is -s.

Good networks are told from others by regression quantiles (Koenker and Bassett 1978): the line of
log accuracy over log cost that three of four networks lie below. The front itself would be worse:
it is picked by its scores, so it rises even where nothing is to be had. The interval is the
percentile bootstrap over networks (Efron 1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from autoscale.errors import NotEnoughTrials

#: Share of the networks that are worse than those along which the trade is measured.
QUANTILE = 0.75
CONFIDENCE = 0.9
LEAST_NETWORKS = 10
LEAST_SPREAD = 2.0  # of the most expensive to the cheapest network: one doubling
_STEEPEST = 10.0  # exponents looked for lie within plus and minus this
_RESAMPLES = 500
_ROUNDS = 44  # of the golden section: 20 * 0.618^44 is 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Tradeoff:
    """The exponent w that makes MnasNet's reward blind along the trade of good networks.

    Attributes:
        w: the exponent; above 0 where more expensive networks are worse.
        low, high: the interval of `confidence`.
        networks: how many it was learnt from.
        cheap, expensive: the exponent of the cheaper and of the more expensive half of the
            networks; None for too few.
            Where they differ much, one exponent does not describe the data.
    """

    w: float
    low: float
    high: float
    confidence: float
    networks: int
    cheap: float | None
    expensive: float | None

    @property
    def gain(self) -> float:
        """Share of accuracy that a doubling buys."""
        return float(2**-self.w - 1)


def fit_tradeoff(
    macs: Sequence[float], accuracies: Sequence[float], *, confidence: float = CONFIDENCE
) -> Tradeoff:
    """Learn the trade from one cost and one accuracy for each network; those at 0 are left out.

    Raises:
        NotEnoughTrials: for too few networks, or if all cost about the same.
    """
    cost, share = np.asarray(macs, dtype=float), np.asarray(accuracies, dtype=float)
    cost, share = cost[share > 0], share[share > 0]
    if len(cost) < LEAST_NETWORKS:
        raise NotEnoughTrials(
            f"{len(cost)} networks with an accuracy above 0 are too few to tell what a doubling "
            f"buys; at least {LEAST_NETWORKS} are needed: search on with more --trials"
        )
    spread = cost.max() / cost.min()
    if spread < LEAST_SPREAD:
        raise NotEnoughTrials(
            f"the most expensive network costs {spread:.2f} times the cheapest, which says nothing "
            f"of a doubling; {LEAST_SPREAD:g} times are needed: search with --objective front, or "
            "without --max-flops"
        )
    order = np.argsort(cost, kind="stable")
    x, y = np.log(cost[order]), np.log(share[order])
    middle = len(x) // 2
    rng = np.random.default_rng(0)
    rows = rng.integers(0, len(x), (_RESAMPLES, len(x)))
    rows = rows[np.ptp(x[rows], axis=1) > 0]
    slopes = quantile_slopes(x[rows], y[rows])
    tail = (1 - confidence) / 2
    high, low = -np.quantile(slopes, [tail, 1 - tail])

    def exponent(part: slice) -> float:
        return -float(quantile_slopes(x[part][None], y[part][None])[0])

    halves = len(x) >= 2 * LEAST_NETWORKS
    return Tradeoff(
        w=exponent(slice(None)),
        low=float(low),
        high=float(high),
        confidence=confidence,
        networks=len(x),
        cheap=exponent(slice(None, middle)) if halves else None,
        expensive=exponent(slice(middle, None)) if halves else None,
    )


def quantile_slopes(x: np.ndarray, y: np.ndarray, *, quantile: float = QUANTILE) -> np.ndarray:
    """Slopes of the lines that leave the share `quantile` of the points below.

    For a given slope the best line goes through the quantile of what is left over, and the sum of
    its tilted distances is convex in the slope, so a golden section finds the least.

    Shape: (samples, points), (samples, points) -> (samples,).
    """

    def distance(slopes: np.ndarray) -> np.ndarray:
        left = y - slopes[:, None] * x
        # With a level that is one of the points, as the optimum is.
        level = np.partition(left, place, axis=1)[:, place, None]
        return np.mean(np.maximum(quantile * (left - level), (quantile - 1) * (left - level)), 1)

    place = max(ceil(quantile * x.shape[1]) - 1, 0)
    x = x - x.mean(axis=1, keepdims=True)
    ratio = (np.sqrt(5) - 1) / 2
    low, high = np.full(len(x), -_STEEPEST), np.full(len(x), _STEEPEST)
    inner, outer = high - ratio * (high - low), low + ratio * (high - low)
    at_inner, at_outer = distance(inner), distance(outer)
    for _ in range(_ROUNDS):
        left = at_inner <= at_outer
        low, high = np.where(left, low, inner), np.where(left, outer, high)
        fresh = np.where(left, high - ratio * (high - low), low + ratio * (high - low))
        at_fresh = distance(fresh)
        inner, outer = np.where(left, fresh, outer), np.where(left, inner, fresh)
        at_inner, at_outer = np.where(left, at_fresh, at_outer), np.where(left, at_inner, at_fresh)
    return (low + high) / 2
