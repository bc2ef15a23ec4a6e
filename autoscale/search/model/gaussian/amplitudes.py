"""The numbers that a Gaussian process learns: amplitudes of its parts, and lengths.

theta    (8,)    logarithms of the six amplitudes, in the order of PARTS, and of the lengths of
                 the smooth and of the local part; (9,) with that of the views behind
"""

import numpy as np

PARTS = ("linear", "choices", "smooth", "local", "own", "noise")
#: What the logarithms of the amplitudes and of the two lengths are before any data: mean and
#: standard deviation, for scores of variance 1. "own" is relative to the noise.
PRIOR_MEAN = np.array([-0.5, 0.0, -1.0, -1.0, -0.35, -1.9, 0.0, -0.7])
PRIOR_SD = np.array([1.0, 1.0, 1.0, 1.0, 0.3, 1.0, 0.7, 0.7])
#: The same of the amplitude of the views.
VIEWS_MEAN, VIEWS_SD = 0.0, 1.0
OWN, NOISE, SMOOTH_LENGTH, LOCAL_LENGTH, VIEWS = 4, 5, 6, 7, 8
#: Logarithm of the amplitude of what has no part: nothing is left of it beside others.
_NONE = -20.0
#: Variance of the level of all scores.
CONSTANT = 4.0


def prior_of(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of `theta` before any scores."""
    if len(theta) == len(PRIOR_MEAN):
        return PRIOR_MEAN, PRIOR_SD
    return np.append(PRIOR_MEAN, VIEWS_MEAN), np.append(PRIOR_SD, VIEWS_SD)


def without_views(theta: np.ndarray) -> np.ndarray:
    """`theta` of a model that has no views, as one of a model in which they have no part."""
    return np.append(theta, _NONE)


def noise_variance(theta: np.ndarray) -> float:
    """Variance of one training around what a design is worth."""
    return float(np.exp(2 * theta[NOISE]))


def variances(theta: np.ndarray) -> np.ndarray:
    """The squares of the six amplitudes."""
    logs = theta[:6].copy()
    logs[OWN] += theta[NOISE]
    return np.exp(2 * logs)


def views_variance(theta: np.ndarray) -> float:
    """The square of the amplitude of the views."""
    return float(np.exp(2 * theta[VIEWS]))
