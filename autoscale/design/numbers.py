"""Arithmetic that takes a number or a numpy array alike, with the same results.

The formulas of this room use it where Python's own functions take single numbers only, so that
one design and a million designs are counted by the same lines.
"""

import math
from typing import Any

import numpy as np

Number = Any  # an int or a float, or a numpy array of them


def floor(value: Number) -> Number:
    """The whole number below."""
    if isinstance(value, np.ndarray):
        return np.floor(value).astype(np.int64)
    return math.floor(value)


def ceiling(value: Number) -> Number:
    """The whole number above."""
    if isinstance(value, np.ndarray):
        return np.ceil(value).astype(np.int64)
    return math.ceil(value)


def nearest(value: Number) -> Number:
    """The nearest whole number; of two, the even one."""
    if isinstance(value, np.ndarray):
        return np.rint(value).astype(np.int64)
    return round(value)


def larger(one: Number, other: Number) -> Number:
    """The larger of the two."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.maximum(one, other)
    return one if one >= other else other


def choose(condition: Number, one: Number, other: Number) -> Number:
    """`one` where `condition` holds, else `other`."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, one, other)
    return one if condition else other
