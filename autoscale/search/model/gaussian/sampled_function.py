"""Functions of designs drawn from a posterior."""

import numpy as np

from autoscale.search.model.gaussian.amplitudes import (
    CONSTANT,
    LOCAL_LENGTH,
    SMOOTH_LENGTH,
    variances,
    views_variance,
)
from autoscale.search.model.gaussian.covariance import Inputs, PriorCovariance
from autoscale.search.model.gaussian.posterior import Posterior

_WAVES = 96  # cosines that stand for a smooth or a local function


class SampledFunction:
    """A function of designs drawn from a posterior: one of those that the scores allow.

    A function of the prior, made of random weights and waves, plus what it misses of the scores
    carried on by the covariance (Wilson et al. 2020, pathwise conditioning; the waves are those of
    Rahimi and Recht 2007). So it can be asked of any designs, one after the other, and no root is
    needed for it. What belongs to a network alone is left out, of those that were trained as well:
    else the luckiest of them would be above all that are new.
    """

    def __init__(self, posterior: Posterior, rng: np.random.Generator) -> None:
        theta, inputs = posterior.theta, posterior.inputs
        linear, choices, smooth, local, own, _ = variances(theta)
        features, codes = inputs.features.shape[1], inputs.code.shape[1]
        wide = np.sqrt(max(features, 1))
        self._level = np.sqrt(CONSTANT) * rng.normal()
        self._of_features = np.sqrt(linear) / wide * rng.normal(size=features)
        self._of_codes = np.sqrt(choices) * rng.normal(size=codes)
        self._smooth = _Waves(features, wide * np.exp(theta[SMOOTH_LENGTH]), smooth, rng)
        # A code has length 1, so a share of agreeing choices is a distance of codes.
        self._local = _Waves(codes, np.exp(0.5 * theta[LOCAL_LENGTH]), local, rng)
        self._of_views = np.zeros(0)
        if inputs.views is not None:
            count = inputs.views.shape[1]
            self._of_views = np.sqrt(views_variance(theta) / count) * rng.normal(size=count)
        self._prior = PriorCovariance(theta, inputs, own=False)
        missed = posterior.scores.mean - self._before(inputs)
        missed -= np.sqrt(own) * rng.normal(size=len(inputs))
        missed -= np.sqrt(posterior.scatter) * rng.normal(size=len(inputs))
        self._weights = posterior.inverse_cholesky.solve(missed)

    def at(self, designs: Inputs) -> np.ndarray:
        """Warped worth of designs under this function."""
        correction: np.ndarray = self._weights @ self._prior.of(designs)
        return correction + self._before(designs)

    def _before(self, designs: Inputs) -> np.ndarray:
        """The function of the prior."""
        found: np.ndarray = self._level + designs.features @ self._of_features
        found += designs.code @ self._of_codes
        found += self._smooth.at(designs.features) + self._local.at(designs.code)
        if designs.views is not None:
            found += designs.views @ self._of_views
        return found


class _Waves:
    """A random function whose covariance is about variance * exp(-distance^2 / (2 length^2))."""

    def __init__(
        self, inputs: int, length: float, variance: float, rng: np.random.Generator
    ) -> None:
        self._directions = rng.normal(size=(inputs, _WAVES)) / length
        self._phases = rng.uniform(0, 2 * np.pi, _WAVES)
        self._heights = np.sqrt(2 * variance / _WAVES) * rng.normal(size=_WAVES)

    def at(self, places: np.ndarray) -> np.ndarray:
        # Cosines of half as many digits take a tenth of the time.
        angles = (places @ self._directions + self._phases).astype(np.float32)
        found: np.ndarray = np.cos(angles) @ self._heights
        return found
