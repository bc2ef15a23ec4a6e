"""What a metric is: a number for a network's predictions, and how sure that number is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from autoscale.errors import InvalidSetting
from autoscale.metrics.intervals import Interval, bootstrapped, bootstrapped_by_group
from autoscale.metrics.predictions import Predictions

#: How often each image counts, shape (draws, images).
Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Metric(ABC):
    """A metric for the classes of one network. Equal ones give equal numbers."""

    name: str  # as it is typed: "recall:cat"
    higher_is_better: ClassVar[bool] = True
    #: Images that each class must have, for the metric to say something.
    least: ClassVar[int] = 0

    @property
    def label(self) -> str:
        """As a sentence has it: "recall of cat"."""
        return self.name

    @property
    def column(self) -> str:
        """As the heading of a table has it: "balanced_accuracy"."""
        return self.name.replace("-", "_")

    @abstractmethod
    def weighted(self, predictions: Predictions, weights: Weights) -> NDArray[np.float64]:
        """A number for each draw of images, shape (draws,); NaN where it says nothing."""

    def of(self, predictions: Predictions) -> float:
        """The number for all images, each counted once."""
        return float(self.weighted(predictions, np.ones((1, len(predictions))))[0])

    def interval(self, predictions: Predictions, *, seed: int = 0) -> Interval:
        """Where endless images of this kind would put it, at `intervals.LEVEL`.

        In closed form where there is one, else by a bootstrap over images, whose draws `seed`
        decides.
        """
        return bootstrapped(
            lambda weights: self.weighted(predictions, weights),
            len(predictions),
            seed=seed,
            work=predictions.classes,
        )

    def interval_by_group(
        self, predictions: Predictions, groups: Sequence[str], *, seed: int = 0
    ) -> Interval:
        """The same where images of a group are alike: a bootstrap over groups."""
        return bootstrapped_by_group(
            lambda weights: self.weighted(predictions, weights),
            groups,
            seed=seed,
            work=predictions.classes,
        )

    def lead(
        self, own: Predictions, other: Predictions, *, seed: int = 0
    ) -> tuple[float, Interval]:
        """How far one network is ahead of another on the same images, and the interval of that.

        Above 0 is better, whichever way the metric counts. The interval is a bootstrap over images,
        each of which both networks answer in a draw or neither.
        """
        sign = 1 if self.higher_is_better else -1

        def ahead(weights: Weights) -> NDArray[np.float64]:
            return sign * (self.weighted(own, weights) - self.weighted(other, weights))

        middle = float(ahead(np.ones((1, len(own))))[0])
        return middle, bootstrapped(ahead, len(own), seed=seed, work=2 * own.classes)

    def quality(self, value: float) -> float:
        """A share in 0..1 of which more is better, as `names.Quality` says of what."""
        return value

    def of_quality(self, share: float) -> float:
        """The value whose share that is."""
        return share

    def image_weights(self, labels: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """How much each image counts, where the value is a weighted share of those answered right.

        Shape (N,), with the sum 1; None of a metric that is something else.
        """
        return None

    def better(self, one: float, other: float) -> bool:
        """Whether one value is better than another."""
        return one > other if self.higher_is_better else one < other

    def of_one_answer(self, labels: NDArray[np.int64], classes: int) -> float | None:
        """The best that a network reaches which says the same of every image.

        None where that is no measure of having learned nothing.
        """
        counts = np.bincount(labels, minlength=classes)
        shares = (counts + 1e-9) / (counts + 1e-9).sum()
        same = np.broadcast_to(np.log(shares), (len(labels), classes))
        return self.of(Predictions(labels, same))

    def show(self, value: float) -> str:
        """A value as people read it."""
        return f"{value:.4f}"

    def require(
        self,
        labels: NDArray[np.int64],
        names: Sequence[str],
        *,
        part: str,
        expected: Sequence[str] | None = None,
    ) -> None:
        """Refuse images of which it says nothing.

        Args:
            labels: of the images, positions in `names`.
            names: of the classes that the network tells apart.
            part: what the images are called: "validation", or nothing.
            expected: of `names`, those that the images should show; by default all.

        Raises:
            InvalidSetting: naming what is lacking.
        """
        counts = dict(zip(names, np.bincount(labels, minlength=len(names)), strict=True))
        asked = names if expected is None else expected
        lacking = [name for name in asked if counts[name] < self.least]
        if lacking:
            held, others = int(counts[lacking[0]]), len(lacking) - 1
            more = f", and too few of {others} more" if others else ""
            needed = f"{self.least} {part} image{'s' * (self.least > 1)}".replace("  ", " ")
            raise InvalidSetting(
                f"{self.name} needs {needed} of each class; there "
                f"{'is' if held == 1 else 'are'} {held} of {lacking[0]}{more}. Take another "
                "--metric, or add images"
            )

    def require_several(self, labels: NDArray[np.int64], *, part: str) -> None:
        """
        Raises:
            InvalidSetting: for fewer than two images, whose mean has no interval.
        """
        if len(labels) < 2:
            needed = f"2 {part} images".replace("  ", " ")
            raise InvalidSetting(
                f"{self.name} needs {needed}; there is {len(labels)}. Take another --metric, or "
                "add images"
            )
