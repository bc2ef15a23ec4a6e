"""Two networks that answered the same images: which is ahead, by how much, and how sure that is.

It tells of other images of the same kind, not of other trainings of the same networks: for those,
train each with several seeds, as a race does.
"""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from autoscale.errors import InvalidSetting
from autoscale.racing.paired import LEVEL, Standing, points


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedAnswers:
    """How far one network is ahead of another, by the images that both answered.

    Attributes:
        both, own, other, neither: images that both, the first alone, the second alone or none
            answered right.
    """

    both: int
    own: int
    other: int
    neither: int

    @classmethod
    def of(cls, own: ArrayLike, other: ArrayLike) -> "PairedAnswers":
        """Of two networks' answers.

        Args:
            own, other: whether each image was answered right, in the same order.

        Raises:
            InvalidSetting: if there are no images, or not as many answers of both.
        """
        first, second = np.asarray(own, dtype=bool), np.asarray(other, dtype=bool)
        if first.shape != second.shape or first.ndim != 1 or not first.size:
            raise InvalidSetting(
                f"answers to {first.size} and {second.size} images cannot be paired; give those of "
                "both networks to the same images, one at least"
            )
        return cls(
            both=int((first & second).sum()),
            own=int((first & ~second).sum()),
            other=int((~first & second).sum()),
            neither=int((~first & ~second).sum()),
        )

    @property
    def images(self) -> int:
        """All that were answered."""
        return self.both + self.own + self.other + self.neither

    @property
    def lead(self) -> float:
        """Difference of the two accuracies."""
        return (self.own - self.other) / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """Of the lead at `paired.LEVEL`, over images.

        Wald's, with half an image more in each of the four counts: without them it is too narrow
        for few images, and has no width where no answer differs. Source: Agresti & Min 2005.
        """
        images, own, other = self.images + 2, self.own + 0.5, self.other + 0.5
        middle = (own - other) / images
        scatter = sqrt(own + other - (own - other) ** 2 / images) / images
        reach = NormalDist().inv_cdf((1 + LEVEL) / 2) * scatter
        return max(-1.0, middle - reach), min(1.0, middle + reach)

    @property
    def standing(self) -> Standing:
        """Of the first against the second."""
        low, high = self.interval
        if low > 0:
            return "better"
        return "worse" if high < 0 else "tied"

    def sentence(self, own: str, other: str) -> str:
        """What may be said of the two, by their names."""
        low, high = self.interval
        said = {
            "better": f"{own} is better than {other}",
            "tied": f"{own} and {other} are tied",
            "worse": f"{other} is better than {own}",
        }[self.standing]
        return (
            f"{said}: {points(self.lead)} points, {LEVEL:.0%} interval {points(low)} to "
            f"{points(high)} over {self.images:,} images ({self.own:,} right by {own} alone, "
            f"{self.other:,} by {other} alone)"
        )
