"""How alike two designs are taken to be before any score: the prior covariance of their worth.

What a design scores is a sum of five parts, each with an amplitude that the data choose:

    linear   in the standardised features (log multiply-adds, ...)
    choices  one effect for each choice of each parameter
    smooth   a smooth function of the features
    local    a function of the choices in which near designs are alike: interactions
    own      what belongs to this network alone and would come back if it were trained again

and of noise that would not come back. Where there are views, what others than the scores say of a
design, the sum has one more part that is linear in them. Sums of kernels: Duvenaud et al. 2011
(additive Gaussian processes); the exponential of agreeing choices is the Hamming kernel of BOCS and
Bounce (Baptista and Poloczek 2018; Papenmeier et al. 2023).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autoscale.search.model.gaussian.amplitudes import (
    CONSTANT,
    LOCAL_LENGTH,
    SMOOTH_LENGTH,
    variances,
    views_variance,
)


@dataclass(frozen=True)
class Inputs:
    """Designs in numbers.

    Attributes:
        code: shape (designs, columns); the product of two rows is the share of equal choices.
        features: shape (designs, features), standardised.
        network: shape (designs,), equal for designs that are one network.
        views: shape (designs, views), standardised; None if there are none.
    """

    code: np.ndarray
    features: np.ndarray
    network: np.ndarray
    views: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.network)

    def __getitem__(self, rows: np.ndarray | slice) -> "Inputs":
        views = None if self.views is None else self.views[rows]
        return Inputs(self.code[rows], self.features[rows], self.network[rows], views)

    @classmethod
    def joined(cls, parts: Sequence["Inputs"]) -> "Inputs":
        """Designs one after the other."""
        views = [part.views for part in parts if part.views is not None]
        return cls(
            np.concatenate([part.code for part in parts]),
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.network for part in parts]),
            np.concatenate(views) if len(views) == len(parts) else None,
        )


class PriorCovariance:
    """Prior covariances of some designs with any others, noise left out.

    What belongs to these designs is worked out once. Amplitudes stand in the exponents and in the
    columns of products, so that little is left to do for each pair.
    """

    def __init__(self, theta: np.ndarray, inputs: Inputs, *, own: bool = True) -> None:
        """`own` is whether what belongs to a network alone counts."""
        linear, choices, smooth, local, variance, _ = variances(theta)
        columns = max(inputs.features.shape[1], 1)
        near = np.exp(theta[LOCAL_LENGTH])
        self._network = inputs.network
        self._own = variance if own else 0.0
        self._code = inputs.code / near
        self._choices = choices * near
        self._local = np.log(local) - 1 / near
        self._narrow = np.exp(-theta[SMOOTH_LENGTH]) / np.sqrt(columns)
        self._smooth = np.log(smooth)
        narrow = self._narrow * inputs.features
        self._curved = _beside(narrow, -0.5 * _squares(narrow), 1.0)
        straight = [inputs.features * (linear / columns)]
        if inputs.views is not None:
            straight.append(inputs.views * (views_variance(theta) / inputs.views.shape[1]))
        self._straight = _beside(*straight, CONSTANT)

    def of(self, others: Inputs) -> np.ndarray:
        """Shape (designs, others)."""
        views = [] if others.views is None else [others.views]
        total: np.ndarray = self._straight @ _beside(others.features, *views, 1.0).T
        narrow = self._narrow * others.features
        exponent = _beside(narrow, 1.0, self._smooth - 0.5 * _squares(narrow))
        part = self._curved @ exponent.T
        # In place: new arrays of this size cost more than the arithmetic.
        total += np.exp(part, out=part)
        agreement = self._code @ others.code.T
        total += np.multiply(agreement, self._choices, out=part)
        agreement += self._local
        total += np.exp(agreement, out=agreement)
        if self._own:
            total[self._network[:, None] == others.network] += self._own
        return total


def covariance(theta: np.ndarray, one: Inputs, other: Inputs) -> np.ndarray:
    """Prior covariance of each of `one` with each of `other`, noise left out."""
    return PriorCovariance(theta, one).of(other)


def prior_variance(theta: np.ndarray, inputs: Inputs) -> np.ndarray:
    """The diagonal of the covariance of `inputs` with themselves."""
    linear, choices, smooth, local, own = variances(theta)[:5]
    columns = max(inputs.features.shape[1], 1)
    total: np.ndarray = (
        CONSTANT
        + smooth
        + local
        + own
        + linear / columns * _squares(inputs.features)
        + choices * _squares(inputs.code)
    )
    if inputs.views is not None:
        total += views_variance(theta) / inputs.views.shape[1] * _squares(inputs.views)
    return total


def _beside(first: np.ndarray, *others: np.ndarray | float) -> np.ndarray:
    """Matrices, columns and columns of one number side by side."""
    parts = [first]
    for part in others:
        column = part if isinstance(part, np.ndarray) else np.full(len(first), part)
        parts.append(column if column.ndim == 2 else column[:, None])
    return np.concatenate(parts, axis=1)


def _squares(rows: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.einsum("ij,ij->i", rows, rows)
    return found
