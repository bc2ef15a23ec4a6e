"""The inverse of the Cholesky factor of the covariance of scores, kept from trial to trial."""

from dataclasses import dataclass

import numpy as np

from autoscale.search.model.gaussian.covariance import Inputs, PriorCovariance
from autoscale.search.model.gaussian.triangles import lower_inverse, lower_product

_BLOCK = 32  # designs whose part of a covariance is worked out together


@dataclass(frozen=True)
class InverseCholesky:
    """A lower triangular matrix in two parts, so that its first rows need no copy when others are
    added behind them.

    Attributes:
        whole: shape (first, first), the rows of whole blocks.
        rest: shape (designs - first, designs), those behind them.
    """

    whole: np.ndarray
    rest: np.ndarray

    def __len__(self) -> int:
        return len(self.whole) + len(self.rest)

    def times(self, right: np.ndarray) -> np.ndarray:
        """Its product with a matrix."""
        first = len(self.whole)
        product = np.empty((len(self), right.shape[1]))
        lower_product(self.whole, right[:first], out=product[:first])
        np.matmul(self.rest, right, out=product[first:])
        return product

    def solve(self, vector: np.ndarray) -> np.ndarray:
        """The inverse covariance times a vector."""
        first = len(self.whole)
        above = self.whole @ vector[:first]
        below = self.rest @ vector
        found: np.ndarray = below @ self.rest
        found[:first] += above @ self.whole
        return found

    def columns(self, chosen: np.ndarray) -> np.ndarray:
        """Some of its columns."""
        first = len(self.whole)
        found = np.zeros((len(self), len(chosen)))
        early = chosen < first
        found[:first, early] = self.whole[:, chosen[early]]
        found[first:] = self.rest[:, chosen]
        return found

    def column_squares(self) -> np.ndarray:
        """The diagonal of the inverse covariance."""
        found: np.ndarray = np.einsum("ij,ij->j", self.rest, self.rest)
        found[: len(self.whole)] += np.einsum("ij,ij->j", self.whole, self.whole)
        return found

    def dense(self) -> np.ndarray:
        """It as one matrix."""
        first = len(self.whole)
        found = np.zeros((len(self), len(self)))
        found[:first, :first], found[first:] = self.whole, self.rest
        return found


class CholeskyCache:
    """Inverse Cholesky factors, block by block.

    From one trial to the next, designs are added behind those already there. So what belongs to
    whole blocks is remembered, and only the last block is worked out anew. A factor that is made
    from nothing goes through the same blocks and has the same bits.
    """

    def __init__(self) -> None:
        self._theta = np.zeros(0)
        self._inputs: Inputs | None = None
        self._noise = np.zeros(0)
        self._whole = np.zeros((0, 0))

    def of(self, theta: np.ndarray, inputs: Inputs, noise: np.ndarray) -> InverseCholesky:
        """Transposed and multiplied with itself it is the inverse of the prior covariance plus
        `noise` on the diagonal.

        Raises:
            LinAlgError: if that is not positive definite.
        """
        known = self._remembered(theta, inputs, noise)
        size = len(inputs) - len(inputs) % _BLOCK
        whole = known
        if size > len(known):
            whole = np.zeros((size, size))
            whole[: len(known), : len(known)] = known
            for start in range(len(known), size, _BLOCK):
                stop = start + _BLOCK
                before = whole[:start, :start]
                whole[start:stop, :stop] = _next_rows(before, theta, inputs[:stop], noise[:stop])
        self._theta, self._inputs, self._noise = theta, inputs[:size], noise[:size]
        self._whole = whole
        if size == len(inputs):
            return InverseCholesky(whole, np.zeros((0, size)))
        return InverseCholesky(whole, _next_rows(whole, theta, inputs, noise))

    def _remembered(self, theta: np.ndarray, inputs: Inputs, noise: np.ndarray) -> np.ndarray:
        """What is known of the leading blocks."""
        known = self._inputs
        if known is None or not np.array_equal(theta, self._theta):
            return np.zeros((0, 0))
        count = min(len(known), len(inputs))
        equal = (known.network[:count] == inputs.network[:count]) & (
            self._noise[:count] == noise[:count]
        )
        for one, other in (
            (known.features, inputs.features),
            (known.code, inputs.code),
            (known.views, inputs.views),
        ):
            if one is not None and other is not None:
                equal &= (one[:count] == other[:count]).all(axis=1)
        same = count if equal.all() else int(equal.argmin())
        same -= same % _BLOCK
        return self._whole[:same, :same]


def _next_rows(
    known: np.ndarray, theta: np.ndarray, inputs: Inputs, noise: np.ndarray
) -> np.ndarray:
    """The rows of the inverse Cholesky factor of all inputs that stand behind those of the first
    ones, `known`: a step of Cholesky's method by blocks."""
    old, new = slice(len(known)), slice(len(known), len(inputs))
    with_new = PriorCovariance(theta, inputs[new])
    cross = with_new.of(inputs[old]) @ known.T
    corner = with_new.of(inputs[new]) - cross @ cross.T
    corner[np.diag_indices_from(corner)] += noise[new]
    root = lower_inverse(np.linalg.cholesky(corner))
    return np.concatenate([-(root @ cross) @ known, root], axis=1)
