"""Weights rounded so that what a layer gives changes least, not each weight by itself.

One weight after the other is rounded, and those left are moved to make up for it as far as the
layer's inputs are correlated. What remains of the mean error goes into the bias. Source: Frantar et
al. 2022 (GPTQ, Algorithm 1, most varied inputs first); Nagel et al. 2019 for the bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoscale.quantization.arithmetic import WEIGHT

#: Least share of a covariance that is taken for noise.
_NOISE = 0.01
#: Weights that are rounded before those after them are moved, which is quicker for many at once.
_BLOCK = 64
#: Inputs of one output beyond which weights are rounded each by itself: the work grows cubically.
MOST_INPUTS = 2400


@dataclass(slots=True)
class Moments:
    """What was seen of the inputs of a layer's outputs, of each of its groups.

    `total` are sums over what was seen (groups, inputs), `squares` those of products (groups,
    inputs, inputs); without the latter weights are rounded each by itself.
    """

    count: int
    total: NDArray[np.float64]
    squares: NDArray[np.float64] | None

    def add(self, rows: NDArray[np.float32]) -> None:
        """More rows (rows, groups, inputs)."""
        self.count += len(rows)
        self.total += rows.sum(axis=0, dtype=np.float64)
        if self.squares is not None:
            by_group = rows.transpose(1, 2, 0)
            self.squares += by_group @ by_group.transpose(0, 2, 1)

    @classmethod
    def empty(cls, groups: int, inputs: int) -> Moments:
        """Before anything was seen."""
        squares = np.zeros((groups, inputs, inputs)) if inputs <= MOST_INPUTS else None
        return cls(0, np.zeros((groups, inputs)), squares)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Of each input, (groups, inputs)."""
        return self.total / self.count

    @property
    def covariance(self) -> NDArray[np.float64] | None:
        """Of inputs, (groups, inputs, inputs), drawn towards no correlation as far as few rows
        leave it open."""
        if self.squares is None:
            return None
        mean = self.mean
        found = self.squares / self.count - mean[:, :, None] * mean[:, None, :]
        inputs = found.shape[-1]
        noise = max(_NOISE, inputs / (inputs + self.count))
        variance = np.diagonal(found, axis1=1, axis2=2)
        # A share of the mean variance too, so that inputs that never vary can be inverted.
        least = np.maximum(_NOISE * variance.mean(axis=1, keepdims=True), 1e-12)
        own = noise * variance + least
        return (1 - noise) * found + own[:, :, None] * np.eye(inputs)


def rounded(
    weight: NDArray[np.float64],
    scales: NDArray[np.float64],
    covariance: NDArray[np.float64] | None = None,
    most: int = WEIGHT,
) -> NDArray[np.int8]:
    """Whole numbers near `weight / scales`, of the shape of `weight`.

    Args:
        weight: (groups, outputs, inputs).
        scales: (groups, outputs).
        covariance: of the inputs, (groups, inputs, inputs), invertible; without, each weight is
            rounded by itself.
        most: their largest magnitude.
    """
    if covariance is None:
        return _nearest(weight / scales[:, :, None], most)
    order = np.argsort(-np.diagonal(covariance, axis1=1, axis2=2), axis=1, kind="stable")
    left = np.take_along_axis(weight, order[:, None, :], 2)
    covariance = np.take_along_axis(covariance, order[:, :, None], 1)
    covariance = np.take_along_axis(covariance, order[:, None, :], 2)
    inverse = np.linalg.cholesky(np.linalg.inv(covariance)).transpose(0, 2, 1)
    found = np.empty(left.shape, np.int8)
    inputs = left.shape[2]
    for start in range(0, inputs, _BLOCK):
        stop = min(start + _BLOCK, inputs)
        errors = np.empty((*scales.shape, stop - start))
        for place in range(start, stop):
            found[:, :, place] = _nearest(left[:, :, place] / scales, most)
            error = left[:, :, place] - found[:, :, place] * scales
            error /= inverse[:, place, place, None]
            left[:, :, place + 1 : stop] -= (
                error[..., None] * inverse[:, None, place, place + 1 : stop]
            )
            errors[:, :, place - start] = error
        left[:, :, stop:] -= errors @ inverse[:, start:stop, stop:]
    return np.take_along_axis(found, np.argsort(order, axis=1)[:, None, :], 2)


def _nearest(steps: NDArray[np.float64], most: int) -> NDArray[np.int8]:
    return np.round(steps).clip(-most, most).astype(np.int8)
