"""The law by which the error of a network falls with what its training gets.

Of a training with amounts as multiples of a base's, n images, s images seen (images * epochs), m
multiply-adds (at the base's pixels) and r pixels (per image, so the square of the side), the error
expected over seeds and images is

    error = ceiling * x / (1 + x)
    x = x0 * exp(-a g(n) - b g(s) - c g(m) - d g(r)),    g(t) = (t^k - 1) / k, log t where k = 0

So x are the odds of an error below the ceiling, which is that of guessing. Far below it errors are
powers of each amount, as found by Hestness et al. 2017 (Deep Learning Scaling is Predictable,
Empirically, arXiv 1712.00409), Kaplan et al. 2020 (arXiv 2001.08361; there of the steps for what is
here of images seen) and Rosenfeld et al. 2020 (arXiv 1909.12673), and near it they bend away from
these, as in the last. Each amount has a bend k of its own: below 0 its returns diminish, and
exp(a / k) is left of the odds however many there are; above 0 they grow, as at the beginning of a
training. The power a is what a doubling is worth at the base.

Rosenfeld et al. add powers of images and of size, and a rest. In short trainings that was measured
to foretell too little by far: what one amount lacks does not hold up the others there
(`experiments/advice`).

Powers may be below 0: a larger network or a longer training can be worse. In symbols:

    parameters     (draws, 2 * axes + 2)  log x0, powers, bends, log of the noise of a training
    positions      (points, axes)         logarithms of the amounts as multiples of the base's
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, log

import numpy as np
from numpy.typing import NDArray

from autoscale.errors import InvalidSetting

#: What an error falls with, in the order of the parameters, each with the amount by which trainings
#: vary it: images seen are told from different images by the epochs.
VARIED = {"images": "images", "seen": "epochs", "macs": "macs", "pixels": "pixels"}
AXES = tuple(VARIED)

#: Priors, mean and standard deviation of normal distributions. Of log x0: nine in ten errors at the
#: base lie between 0.08 and 0.92 of the ceiling.
LEVEL = (0.0, 1.5)
#: Of each power: nine in ten lie between -0.13 and 0.53, and one in six is below 0. Hestness et al.
#: found 0.07 to 0.35 for powers of the images.
POWER = (0.2, 0.2)
#: Of each bend: nine in ten lie between -0.16 and 0.16; over a factor of 8 these turn a power of
#: 0.3 into one of 0.25 or 0.36.
BEND = (0.0, 0.1)
#: Of the logarithm of the noise: nine in ten lie between 0.2 and 5 points of error.
NOISE = (log(0.01), 1.0)

#: A bend as near to 0 counts as this, and no exponent is larger, so that nothing overflows.
_STRAIGHT, _MOST = 1e-6, 500.0

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What a training gets.

    Raises:
        InvalidSetting: for an amount that is not above 0.
    """

    images: float  # different training images
    epochs: float
    macs: float  # multiply-adds of the network for an image of the base's size
    pixels: float  # per side of an image

    def __post_init__(self) -> None:
        for name in ("images", "epochs", "macs", "pixels"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise InvalidSetting(f"{name} must be above 0, got {value!r}")

    @property
    def logs(self) -> Array:
        """Logarithms of images, images seen, multiply-adds and pixels of an image, shape (4,)."""
        images, pixels = log(self.images), 2 * log(self.pixels)
        return np.array([images, images + log(self.epochs), log(self.macs), pixels])


@dataclass(frozen=True, kw_only=True)
class Law:
    """The law of one base, along the axes that trainings vary.

    Raises:
        InvalidSetting: if the ceiling does not lie in 0..1.
    """

    base: Amounts
    axes: tuple[str, ...]  # of `AXES`, in their order
    ceiling: float = 1.0  # the error of a network that has learned nothing

    def __post_init__(self) -> None:
        if not 0 < self.ceiling <= 1:
            raise InvalidSetting(f"the ceiling must lie in 0..1, got {self.ceiling!r}")

    @classmethod
    def of(cls, base: Amounts, trained: Sequence[Amounts], *, ceiling: float = 1.0) -> Law:
        """The law along the axes on which trainings differ.

        Images alone stand for images seen too as long as no training has other epochs.
        """
        axes = tuple(
            axis
            for axis, name in VARIED.items()
            if len({getattr(one, name) for one in trained}) > 1
        )
        return cls(base=base, axes=axes, ceiling=ceiling)

    @property
    def size(self) -> int:
        """How many parameters it has."""
        return 2 * len(self.axes) + 2

    def positions(self, amounts: Sequence[Amounts]) -> Array:
        """Where trainings stand, shape (points, axes)."""
        columns = [AXES.index(axis) for axis in self.axes]
        logs = np.array([one.logs for one in amounts]).reshape(-1, len(AXES))
        return (logs - self.base.logs)[:, columns]

    def errors(self, parameters: Array, positions: Array) -> Array:
        """Expected errors, shape (draws, points).

        Args:
            parameters: shape (draws, size).
            positions: shape (points, axes), as `positions` gives them.
        """
        bends = parameters[:, None, len(self.axes) + 1 : -1]
        bends = np.where(np.abs(bends) < _STRAIGHT, _STRAIGHT, bends)
        grown = np.expm1(np.minimum(bends * positions[None], _MOST)) / bends
        logs = parameters[:, :1] - (self.powers(parameters)[:, None, :] * grown).sum(axis=2)
        found: Array = self.ceiling / (1 + np.exp(np.clip(-logs, -_MOST, _MOST)))
        return found

    def powers(self, parameters: Array) -> Array:
        """Of each amount, by which the odds of an error fall at the base, shape (draws, axes)."""
        return parameters[:, 1 : len(self.axes) + 1]

    def noise(self, parameters: Array) -> Array:
        """Standard deviation of one training over seeds, shape (draws,)."""
        found: Array = np.exp(parameters[:, -1])
        return found

    def log_prior(self, parameters: Array) -> Array:
        """Logarithm of the prior's density, up to a constant, shape (draws,)."""
        count = len(self.axes)
        found: Array = np.zeros(len(parameters))
        for values, (mean, deviation) in (
            (parameters[:, :1], LEVEL),
            (parameters[:, 1 : count + 1], POWER),
            (parameters[:, count + 1 : -1], BEND),
            (parameters[:, -1:], NOISE),
        ):
            found = found - 0.5 * (((values - mean) / deviation) ** 2).sum(axis=1)
        return found

    def drawn(self, draws: int, random: np.random.Generator) -> Array:
        """Parameters from the prior, shape (draws, size)."""
        count = len(self.axes)
        return np.concatenate(
            [
                random.normal(*LEVEL, (draws, 1)),
                random.normal(*POWER, (draws, count)),
                random.normal(*BEND, (draws, count)),
                random.normal(*NOISE, (draws, 1)),
            ],
            axis=1,
        )
