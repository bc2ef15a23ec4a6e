"""Times of networks that took turns, with the machine's changes of pace taken out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from autoscale.devices.timing.pace import steady_times


def order_of(networks: int, rounds: int, seed: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(networks) for _ in range(rounds)])


@given(st.integers(1, 12), st.integers(1, 9), st.integers(0, 100))
def test_at_a_steady_pace_the_times_are_the_times(networks: int, rounds: int, seed: int) -> None:
    times = np.random.default_rng(seed).uniform(0.01, 0.1, networks)
    order = order_of(networks, rounds, seed)
    assert steady_times(order, times[order]) == pytest.approx(times, rel=1e-6)


def test_a_network_alone_has_its_median() -> None:
    assert steady_times([0, 0, 0, 0, 0], [5.0, 1.0, 2.0, 3.0, 9.0]) == pytest.approx([3.0])


def test_a_machine_that_slows_down_for_a_while_does_not_change_the_ratios() -> None:
    rng = np.random.default_rng(0)
    times = rng.uniform(0.01, 0.04, 40)
    order = order_of(40, 8, 1)
    pace = np.where(np.arange(len(order)) // 50 % 2, 1.6, 1.0)  # fifty turns fast, fifty slow
    seen = times[order] * pace * np.exp(rng.normal(0, 0.02, len(order)))
    steady = steady_times(order, seen)
    medians = np.array([np.median(seen[order == network]) for network in range(40)])

    def spread(found: NDArray[np.float64]) -> float:
        return float(np.std(np.log(found / times)))

    assert spread(steady) < 0.02
    assert spread(steady) < spread(medians) / 4


def test_the_pace_of_the_whole_is_the_machines_median() -> None:
    order = order_of(10, 9, 0)
    pace = np.where(np.arange(len(order)) < 20, 2.0, 1.0)  # a slow beginning
    assert steady_times(order, pace * 0.03) == pytest.approx([0.03] * 10, rel=0.02)
