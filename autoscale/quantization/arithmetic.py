"""The integer arithmetic of TensorFlow Lite's int8 kernels.

A map's number is `scale * (q - zero_point)` with q in -128..127. What a layer adds up in 32 bits is
brought to the scale of its output by a fixed-point multiplier. Functions of arrays take numpy's and
torch's, of 64-bit integers. Source: tensorflow, lite/kernels/internal/{quantization_util,common}.h
(with rounding in both steps, as the released runtimes are built).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LOWEST, HIGHEST = -128, 127
#: The largest magnitude of a weight: -128 is left out, so that both signs reach as far.
WEIGHT = 127
#: Bits by which addends are raised before they are brought to a common scale.
SUM_BITS = 20


class Quantization(NamedTuple):
    """What the integers of a map stand for."""

    scale: float
    zero_point: int  # the integer that is 0

    def integers(self, numbers: ArrayLike) -> NDArray[np.int64]:
        """The nearest integers, cut to 8 bits."""
        found = np.round(np.asarray(numbers, np.float64) / self.scale) + self.zero_point
        return found.clip(LOWEST, HIGHEST).astype(np.int64)

    def numbers(self, integers: ArrayLike) -> NDArray[np.float64]:
        """What integers stand for."""
        return self.scale * (np.asarray(integers, np.float64) - self.zero_point)

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest number."""
        return (
            self.scale * (LOWEST - self.zero_point),
            self.scale * (HIGHEST - self.zero_point),
        )


def covering(low: float, high: float) -> Quantization:
    """Steps that cover low..high and 0, which is met exactly: padding must not be noise."""
    low, high = min(low, 0.0), max(high, 0.0)
    if high == low:
        return Quantization(1.0, 0)
    scale = float(np.float32((high - low) / (HIGHEST - LOWEST)))
    zero_point = round(LOWEST - low / scale)
    return Quantization(scale, min(max(zero_point, LOWEST), HIGHEST))


class Multiplier(NamedTuple):
    """A factor as integers: `fraction / 2**31 * 2**exponent`; arrays stand for one per channel."""

    fraction: Any
    exponent: Any


def multiplier(factor: float) -> Multiplier:
    """A factor of at least 0, to 31 bits."""
    if factor == 0:
        return Multiplier(0, 0)
    fraction, exponent = math.frexp(factor)
    whole = int(math.floor(fraction * 2**31 + 0.5))
    if whole == 2**31:
        whole, exponent = whole // 2, exponent + 1
    return Multiplier(0, 0) if exponent < -31 else Multiplier(whole, exponent)


def multipliers(factors: ArrayLike) -> Multiplier:
    """The multiplier of each factor."""
    found = [multiplier(float(factor)) for factor in np.asarray(factors).ravel()]
    return Multiplier(*np.array(found, np.int64).reshape(-1, 2).T)


def times(x: Any, by: Multiplier) -> Any:
    """`x` times a factor, rounded twice: to 31 bits, then to a whole number."""
    fraction, exponent = by
    left, right = _positive(exponent), _positive(-exponent)
    return shifted(high_half((x << left), fraction), right)


def high_half(x: Any, fraction: Any) -> Any:
    """`x * fraction / 2**31`, halves rounded up."""
    return (x * fraction + 2**30) >> 31


def shifted(x: Any, bits: Any) -> Any:
    """`x / 2**bits`, halves rounded away from 0."""
    mask = (1 << bits) - 1
    return (x >> bits) + ((x & mask) > (mask >> 1) + (x < 0))


def _positive(exponent: Any) -> Any:
    return exponent * (exponent > 0)
