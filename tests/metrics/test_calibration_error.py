"""The expected calibration error: by hand, and of networks whose error is known."""

from __future__ import annotations

import numpy as np
import pytest

from autoscale.metrics.calibration import BINS, CalibrationError
from autoscale.metrics.predictions import Predictions

ERROR = CalibrationError()


def of_chances(chances: list[float], right: list[bool]) -> Predictions:
    """Two classes, the first of which is answered with that probability."""
    held = np.array(chances)
    return Predictions(
        np.where(right, 0, 1), np.log(np.stack([held, 1 - held], axis=1)).astype(np.float64)
    )


def test_by_hand() -> None:
    known = of_chances([0.91, 0.93, 0.92, 0.55], [True, False, True, True])
    # Three images in (13/15, 14/15], of which two are right; one in (8/15, 9/15].
    expected = 3 / 4 * abs(2 / 3 - 0.92) + 1 / 4 * (1 - 0.55)
    assert ERROR.of(known) == pytest.approx(expected)


def test_a_bin_has_its_upper_end_and_not_its_lower() -> None:
    low, high = 10 / BINS - 1e-9, 10 / BINS + 1e-9  # of bins apart, errors do not cancel
    apart = of_chances([low, high], [True, False])
    assert ERROR.of(apart) == pytest.approx(0.5 * (1 - 2 / 3) + 0.5 * 2 / 3, abs=1e-6)
    together = of_chances([high, high], [True, False])
    assert ERROR.of(together) == pytest.approx(2 / 3 - 0.5, abs=1e-6)


def test_a_sure_network_that_is_always_right_has_none() -> None:
    sure = Predictions(np.array([0, 1]), 1000 * np.eye(2))
    assert ERROR.of(sure) == 0
    assert ERROR.interval(sure) == (0, 0)


def test_intervals_of_networks_without_error_begin_at_nothing() -> None:
    begun = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sure = rng.uniform(0.5, 1, 300)
        known = of_chances(sure.tolist(), (rng.random(300) < sure).tolist())
        low, high = ERROR.interval(known, seed=seed)
        assert low <= ERROR.of(known) <= high
        begun += low == 0
    assert begun >= 36


def test_intervals_hold_a_large_error() -> None:
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        right = rng.random(300) < 0.7
        low, high = ERROR.interval(of_chances([0.9] * 300, right.tolist()), seed=seed)
        held += low <= 0.2 <= high
    assert held >= 35
