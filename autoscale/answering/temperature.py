"""The temperature at which probabilities fit what images show."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from autoscale.errors import InvalidSetting
from autoscale.metrics.intervals import LEVEL, Interval
from autoscale.metrics.predictions import Predictions

#: Images that a temperature is chosen on, at least: see docs/answers.md.
LEAST_IMAGES = 50
#: Powers of two between which 1 / temperature is looked for.
_REACH = 20
_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """A temperature, and how sure it is."""

    value: float
    interval: Interval  # at `metrics.intervals.LEVEL`, over images; the value itself if not `told`
    told: bool  # False where all images are answered right: then any smaller one fits better


def fit_temperature(predictions: Predictions) -> Temperature:
    """The temperature of least log loss, by Newton's method within a bracket.

    The loss is convex in 1 / temperature, so there is one at most. Its interval is that of the
    sandwich estimator, on the logarithm. Where every image is answered right there is none, for the
    loss falls without end: the temperature stays 1.

    Source: Guo et al. 2017, section 4.2; White 1982 for the interval.

    Raises:
        InvalidSetting: if equal probabilities fit better than any temperature makes them.
    """
    logits = predictions.logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    low, high = -_REACH * log(2), _REACH * log(2)
    if _slopes(logits, predictions.labels, exp(low))[0].mean() >= 0:
        raise InvalidSetting(
            "no temperature makes these probabilities fit better than equal ones do: the network's "
            "answers to these images are no better than chance; train it, or name the images that "
            "it was trained for"
        )
    if predictions.right.all() or _slopes(logits, predictions.labels, exp(high))[0].mean() <= 0:
        return Temperature(value=1.0, interval=(1.0, 1.0), told=False)
    at = 0.0
    for _ in range(_STEPS):
        slopes, bends = _slopes(logits, predictions.labels, exp(at))
        slope, bend = float(slopes.mean()), float(bends.mean())
        low, high = (at, high) if slope < 0 else (low, at)
        step = -slope / (bend * exp(at)) if bend > 0 else np.inf
        following = at + step if low < at + step < high else (low + high) / 2
        if slope == 0 or abs(following - at) < 1e-13:
            break
        at = following
    slopes, bends = _slopes(logits, predictions.labels, exp(at))
    error = sqrt(float((slopes**2).mean()) / len(predictions)) / (float(bends.mean()) * exp(at))
    reach = NormalDist().inv_cdf((1 + LEVEL) / 2) * error
    return Temperature(value=exp(-at), interval=(exp(-at - reach), exp(-at + reach)), told=True)


def _slopes(
    logits: NDArray[np.float64], labels: NDArray[np.int64], inverse: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each image's log loss, the first and second derivative by 1 / temperature.

    Args:
        logits: the largest of each image being 0.
    """
    powers = np.exp(inverse * logits)
    chances = powers / powers.sum(axis=1, keepdims=True)
    mean = (chances * logits).sum(axis=1)
    spread = (chances * (logits - mean[:, None]) ** 2).sum(axis=1)
    return mean - logits[np.arange(len(labels)), labels], spread
