"""The law by which the error of a network falls with what its training gets.

Of a training with amounts as multiples of a base's, n images, s images seen (images * epochs), m
multiply-adds (at the base's pixels) and r pixels (per image, so the square of the side), the error
expected over seeds and images is

    x = x0 * (w_n n^-a + w_s s^-b + w_m m^-c + w_r r^-d + w_0),   the w above 0, their sum 1
    error = ceiling * x / sqrt(1 + x^2)

The w say which part of the error at the base is due to too few images, too short a training, too
small a network and too few pixels, and which part nothing of that removes. Sums of powers of images
and of network size with a rest are the law of Rosenfeld et al. 2020 (A Constructive Prediction of
the Generalization Error Across Scales, arXiv 1909.12673), and so is the second line: near what
guessing reaches, the error bends away from a power. Their scale eta is part of x0 here. That few
images follow no straight line in log-log is what Hestness et al. 2017 (Deep Learning Scaling is
Predictable, Empirically, arXiv 1712.00409) and Jain et al. 2023 (arXiv 2303.01598) found. A power
of the images seen stands for unfinished training, as the power of the steps does in Kaplan et al.
2020 (arXiv 2001.08361).

Exponents may be below 0: a larger network or a longer training can be worse. In symbols:

    parameters     (draws, 2 * axes + 3)  log x0, scores of the w (one an axis, then the rest's),
                                          exponents, logarithm of the noise of a training
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
#: base lie between 0.09 and 0.996 of the ceiling.
LEVEL = (0.0, 1.5)
#: Of each exponent: nine in ten lie between -0.16 and 1.16, and one in ten is below 0. Hestness et
#: al. found 0.07 to 0.35 for powers of the images.
EXPONENT = (0.5, 0.4)
#: Of the logarithm of the noise: nine in ten lie between 0.2 and 5 points of error.
NOISE = (log(0.01), 1.0)
# The w have the flat Dirichlet distribution: scores are logarithms of exponential numbers, and the
# w the shares of these in their sum.

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
        return 2 * len(self.axes) + 3

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
        count = len(self.axes)
        level, scores = parameters[:, 0], parameters[:, 1 : count + 2]
        exponents = parameters[:, count + 2 : -1]
        terms = np.empty((len(parameters), len(positions), count + 1))
        terms[:, :, :count] = -exponents[:, None, :] * positions[None]
        terms[:, :, count] = 0
        terms += scores[:, None, :]
        # Sums of exponentials by their largest term, so that none overflows.
        most = terms.max(axis=2)
        sums = most + np.log(np.exp(terms - most[:, :, None]).sum(axis=2))
        whole = scores.max(axis=1)
        whole = whole + np.log(np.exp(scores - whole[:, None]).sum(axis=1))
        logs = level[:, None] + sums - whole[:, None]
        bent: Array = self.ceiling / np.sqrt(1 + np.exp(np.minimum(-2 * logs, 700)))
        return bent

    def shares(self, parameters: Array) -> Array:
        """Parts of the error at the base, one an axis, then the rest, shape (draws, axes + 1)."""
        scores = parameters[:, 1 : len(self.axes) + 2]
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        found: Array = powers / powers.sum(axis=1, keepdims=True)
        return found

    def noise(self, parameters: Array) -> Array:
        """Standard deviation of one training over seeds, shape (draws,)."""
        found: Array = np.exp(parameters[:, -1])
        return found

    def log_prior(self, parameters: Array) -> Array:
        """Logarithm of the prior's density, up to a constant, shape (draws,)."""
        count = len(self.axes)
        scores = parameters[:, 1 : count + 2]
        found: Array = (scores - np.exp(np.minimum(scores, 700))).sum(axis=1)
        for values, (mean, deviation) in (
            (parameters[:, :1], LEVEL),
            (parameters[:, count + 2 : -1], EXPONENT),
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
                np.log(random.exponential(size=(draws, count + 1))),
                random.normal(*EXPONENT, (draws, count)),
                random.normal(*NOISE, (draws, 1)),
            ],
            axis=1,
        )
