"""Two ways to train one network, told apart by pairs of trainings and by images at once.

A pair shares its seed, and all trainings answer the same validation images. Of each pair and image
it is known which of the two ways was right. Other seeds would have given other differences, and so
would other images: both scatter, and with two or three pairs either may be the larger one. The
interval here covers both, as studies of several readers who judge the same cases have it.

Assumed is that seeds and images were drawn at random, each from many of their kind, and that the
two scatters add. Sources: Dorfman, Berbaum & Metz 1992 for the analysis, readers there being seeds
here; Hillis 2007 for the degrees of freedom. Why several sources of scatter are to be counted:
Bouthillier et al. 2021. A test simulates how often the interval holds the true difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autoscale.errors import InvalidSetting
from autoscale.racing.paired import LEVEL, Costs, points, student

#: Which start is advised: the weights, random numbers, or either; "unknown" below two pairs.
Advice = Literal["weights", "scratch", "either", "unknown"]

#: More pairs than this are called out of reach.
MOST_PAIRS = 30
#: More degrees of freedom than this change no digit that is shown.
_MOST_FREEDOM = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedLead:
    """How far one way to train is ahead of another, over seeds and images.

    Attributes:
        pairs: seeds that both were trained with.
        images: that all answered.
        lead: mean difference of the accuracies; None without a pair.
        low, high: the ends of its interval at `paired.LEVEL`; None below two pairs.
        of_seeds, of_images: standard errors of the lead that are due to each alone; None below two
            pairs. Squared they add up to the square of the whole.
    """

    pairs: int
    images: int
    lead: float | None = None
    low: float | None = None
    high: float | None = None
    of_seeds: float | None = None
    of_images: float | None = None

    @classmethod
    def of(cls, own: Sequence[ArrayLike], other: Sequence[ArrayLike]) -> "CrossedLead":
        """The lead of `own`.

        Args:
            own, other: of each pair, in the same order, which images were answered right: truth
                values, one an image.

        Raises:
            InvalidSetting: if there are no images, or not as many answers everywhere.
        """
        gains = _gains(own, other)
        pairs, images = gains.shape
        if pairs < 2:
            lead = float(gains.mean()) if pairs else None
            return cls(pairs=pairs, images=images, lead=lead)
        middle = float(gains.mean())
        by_seed, by_image, rest = _mean_squares(gains)
        of_seeds, of_images = by_seed / gains.size, max(0.0, by_image - rest) / gains.size
        reach = _reach(of_seeds, of_images, pairs)
        return cls(
            pairs=pairs,
            images=images,
            lead=middle,
            low=max(-1.0, middle - reach),
            high=min(1.0, middle + reach),
            of_seeds=sqrt(of_seeds),
            of_images=sqrt(of_images),
        )

    @property
    def advice(self) -> Advice:
        """Which start to take, where the first way begins with weights and the other afresh."""
        if self.low is None or self.high is None:
            return "unknown"
        if self.low > 0:
            return "weights"
        return "scratch" if self.high < 0 else "either"

    @property
    def pairs_to_show(self) -> int | None:
        """Pairs after which the interval would just leave out 0, if the lead and both scatters stay
        what they are; None if more than `MOST_PAIRS` would be needed, or nothing is known."""
        if self.lead is None or self.of_seeds is None or self.of_images is None:
            return None
        of_one = self.of_seeds**2 * self.pairs
        return next(
            (
                pairs
                for pairs in range(2, MOST_PAIRS + 1)
                if _reach(of_one / pairs, self.of_images**2, pairs) < abs(self.lead)
            ),
            None,
        )


def _reach(of_seeds: float, of_images: float, pairs: int) -> float:
    """Half of an interval's width, from the variances that are due to seeds and to images."""
    variance = of_seeds + of_images
    # As Hillis 2007 has it: the images' own degrees of freedom are taken to be many.
    freedom = (pairs - 1) * (variance / of_seeds) ** 2
    return student(min(int(freedom), _MOST_FREEDOM)) * sqrt(variance)


def advise(lead: CrossedLead, *, size: str, training: float) -> str:
    """What may be said of weights that trainings began with, in one sentence.

    Args:
        lead: of the trainings that began with them over those that began afresh.
        size: what the networks are, as "5.4M multiply-adds".
        training: CPU-seconds of a training that began with weights, as a multiple of the others'.
    """
    if lead.low is None or lead.high is None or lead.lead is None:
        return (
            f"at {size} nothing can be said of the weights: {several(lead.pairs)} of trainings "
            "succeeded, two are needed"
        )
    said = {
        "weights": "use the weights",
        "scratch": "begin from scratch",
        "either": f"the weights make no difference that {several(lead.pairs)} of trainings can "
        "show",
    }[lead.advice]
    costs, more = Costs(macs=1.0, training=training), ""
    if lead.advice == "either" and (needed := lead.pairs_to_show) is not None:
        more = f"; about {several(needed)} would show it if that is the difference"
    return (
        f"at {size} {said}: with them {points(lead.lead)} points, {LEVEL:.0%} interval "
        f"{points(lead.low)} to {points(lead.high)} over {several(lead.pairs)} and "
        f"{lead.images:,} images, at "
        + ("equal training cost" if costs.equal_training else "unequal training cost")
        + f" ({training:.2f}x){more}"
    )


def several(pairs: int) -> str:
    """1 pair, 3 pairs."""
    return f"{pairs} pair{'s' * (pairs != 1)}"


def _gains(own: Sequence[ArrayLike], other: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Of each pair and image 1 where only the first is right, -1 where only the second is."""
    if len(own) != len(other):
        raise InvalidSetting(f"a pair has two trainings; got {len(own)} and {len(other)}")
    first, second = (np.atleast_2d(np.asarray([*way], dtype=bool)) for way in (own, other))
    if first.shape != second.shape or (len(own) and first.shape[1] == 0):
        raise InvalidSetting(
            "all trainings must have answered the same images, at least 1; got "
            f"{first.shape[1]} and {second.shape[1]} answers"
        )
    return first[: len(own)].astype(float) - second[: len(own)]


def _mean_squares(gains: NDArray[np.float64]) -> tuple[float, float, float]:
    """Of pairs, of images and of what neither explains, with one value in each cell.

    The first is taken to be no smaller than the last: chance alone makes pairs differ by that much,
    and two or three that agree by luck do not show that seeds do not matter.
    """
    pairs, images = gains.shape
    middle = gains.mean()
    rows, columns = gains.mean(axis=1) - middle, gains.mean(axis=0) - middle
    by_seed = images * float((rows**2).sum()) / (pairs - 1)
    by_image = pairs * float((columns**2).sum()) / max(1, images - 1)
    left = gains - middle - rows[:, None] - columns
    rest = float((left**2).sum()) / max(1, (pairs - 1) * (images - 1))
    least = 1 / images  # a scatter of one image between pairs, at least
    return max(by_seed, rest, least), by_image, rest
