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
#: The same where two products of a weight and an unsigned byte are added up in 16 bits, as x86
#: processors without VNNI do: 2 * 255 * 64 fits, 2 * 255 * 127 is cut off without a word.
WEIGHT_IN_PAIRS = 64
#: Bits by which addends are raised before they are brought to a common scale.
SUM_BITS = 20
#: Steps of a map that is all but constant.
_LEAST_SCALE = 1e-9


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
    scale = float(np.float32(max((high - low) / (HIGHEST - LOWEST), _LEAST_SCALE)))
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
    whole = math.floor(fraction * 2**31 + 0.5)
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


def mean_multiplier(factor: float, count: int) -> Multiplier:
    """A factor divided by a count, in the integers that a mean divides by.

    Source: lite/kernels/internal/reference/reduce.h, `QuantizedMeanOrSum`.
    """
    whole, exponent = multiplier(factor)
    shift = min(count.bit_length() - 1, 32, 31 + exponent)
    return Multiplier((whole << shift) // count, exponent - shift)


def hard_swish_table(of: Quantization, to: Quantization) -> NDArray[np.int64]:
    """Hard swish of each of the 256 numbers that an input can be, in 16 bits as the kernel goes.

    Source: lite/kernels/internal/reference/hard_swish.h.
    """
    fine = np.float32(of.scale) / np.float32(128)
    out, relu = _short(float(fine / np.float32(to.scale))), _short(float(fine * 32768 / 3))
    x = (np.arange(LOWEST, HIGHEST + 1, dtype=np.int64) - of.zero_point) << 7
    scaled = (x * out.fraction + 2**14) >> 15
    gate = x
    if relu.exponent > 0:
        gate = _saturated(gate << (relu.exponent - 1))
    gate = (gate * relu.fraction + 2**14) >> 15
    if relu.exponent > 0:
        gate = _saturated(gate << 1)
    elif relu.exponent < 0:
        gate = shifted(gate, -relu.exponent)
    gate = (gate + 2**15) >> 1
    product = gate * scaled
    cut = np.sign(product) * (np.abs(product) >> 15)
    found: NDArray[np.int64] = shifted(cut, -out.exponent) + to.zero_point
    return found.clip(LOWEST, HIGHEST)


def _short(factor: float) -> Multiplier:
    """A factor to 15 bits."""
    whole, exponent = multiplier(factor)
    return Multiplier(min((whole + 2**15) >> 16, 2**15 - 1), exponent)


def _saturated(x: NDArray[np.int64]) -> NDArray[np.int64]:
    return x.clip(-(2**15), 2**15 - 1)
