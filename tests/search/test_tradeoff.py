"""What a doubling buys: known answers, another method, the interval's coverage, NAS-Bench-Macro."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.design.cost import cost
from autoscale.design.space import SearchSpace
from autoscale.errors import NotEnoughTrials
from autoscale.search.identity import network_of
from autoscale.search.tradeoff import QUANTILE, fit_tradeoff, quantile_slopes
from experiments.benchmarks.search.score_table import Table

ROOT = Path(__file__).parents[2]
MACRO = ROOT.parent / "shared" / "benchmarks" / "nas-bench-macro_cifar10.json"


def networks(
    rng: np.random.Generator, count: int, w: float, *, scatter: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Costs over a factor of 30, accuracies that rise as cost ** -w and are lost by bad designs."""
    macs = 1e6 * 30 ** rng.random(count)
    lost = scatter * (rng.exponential(size=count) + 0.3 * rng.normal(size=count))
    return macs, 0.5 * (macs / 3e7) ** -w * np.exp(-lost)


def test_five_percent_a_doubling_is_the_papers_exponent() -> None:
    macs = 1e6 * 2.0 ** np.arange(12)
    found = fit_tradeoff(macs, 0.3 * 1.05 ** np.arange(12))
    assert found.w == pytest.approx(-np.log2(1.05), abs=1e-6)
    assert round(found.w, 2) == -0.07
    assert found.gain == pytest.approx(0.05, abs=1e-6)
    assert found.low == pytest.approx(found.high, abs=1e-6)


@given(st.integers(0, 10**6), st.floats(-0.3, 0.1), st.floats(0.1, 10), st.floats(0.1, 1.5))
def test_units_do_not_matter(seed: int, w: float, times: float, share: float) -> None:
    macs, accuracies = networks(np.random.default_rng(seed), 25, w)
    one = quantile_slopes(np.log(macs)[None], np.log(accuracies)[None])[0]
    other = quantile_slopes(np.log(macs * times)[None], np.log(accuracies * share)[None])[0]
    assert one == pytest.approx(other, abs=1e-5)


@given(st.integers(0, 10**6), st.integers(5, 16))
def test_the_golden_section_finds_what_trying_every_pair_of_points_finds(
    seed: int, count: int
) -> None:
    """The best line goes through two of the points (Koenker and Bassett 1978, theorem 3.1)."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=count), rng.normal(size=count)

    def distance(slope: float) -> float:
        left = y - slope * x
        return min(
            float(np.mean(np.maximum(QUANTILE * (left - b), (QUANTILE - 1) * (left - b))))
            for b in left
        )

    pairs = [(y[i] - y[j]) / (x[i] - x[j]) for i in range(count) for j in range(i)]
    best = min(distance(slope) for slope in pairs if abs(slope) < 10)
    assert distance(float(quantile_slopes(x[None], y[None])[0])) <= best + 1e-7


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = [
        found.low <= -0.1 <= found.high
        for found in (fit_tradeoff(*networks(rng, 40, -0.1)) for _ in range(30))
    ]
    assert sum(held) >= 23  # 27 of 30 expected, 23 is 2.4 deviations below


def test_nothing_to_be_had_is_not_mistaken_for_a_gain() -> None:
    """Networks picked as a front would rise here by construction."""
    rng = np.random.default_rng(2)
    fitted = [fit_tradeoff(*networks(rng, 40, 0.0)).w for _ in range(20)]
    assert abs(np.mean(fitted)) < 2 * np.std(fitted) / np.sqrt(20) + 1e-3


def test_halves_tell_where_one_exponent_is_not_enough() -> None:
    macs = 1e6 * 2.0 ** np.linspace(0, 8, 30)
    bent = np.where(macs < 16e6, 0.3 * (macs / 16e6) ** 0.2, 0.3 * (macs / 16e6) ** 0.02)
    found = fit_tradeoff(macs, bent)
    assert found.cheap == pytest.approx(-0.2, abs=0.01)
    assert found.expensive == pytest.approx(-0.02, abs=0.01)
    assert fit_tradeoff(macs[:12], bent[:12]).cheap is None


def test_too_few_networks_and_equal_costs_are_refused() -> None:
    rng = np.random.default_rng(0)
    macs, accuracies = networks(rng, 9, -0.1)
    with pytest.raises(NotEnoughTrials, match=r"9 networks .* at least 10"):
        fit_tradeoff(macs, accuracies)
    with pytest.raises(NotEnoughTrials, match="0 networks"):
        fit_tradeoff(macs, 0 * accuracies)
    with pytest.raises(NotEnoughTrials, match=r"1\.90 times the cheapest"):
        fit_tradeoff(np.linspace(1e6, 1.9e6, 20), np.linspace(0.3, 0.5, 20))


@pytest.mark.skipif(not MACRO.exists(), reason="shared/benchmarks is not beside the repository")
def test_on_nas_bench_macro_a_doubling_buys_three_percent_not_thirteen() -> None:
    """13 % is the slope of its front, which its one or two cheapest networks decide."""
    space = SearchSpace.from_yaml((ROOT / "search_spaces/nas-bench-macro.yaml").read_text())
    table = Table.of_nas_bench_macro(space, json.loads(MACRO.read_text()))
    found = {network_of(a): (cost(a).macs, table.mean(a) / 100) for a in space.enumerate()}
    macs, accuracies = map(np.array, zip(*found.values(), strict=True))
    slope = quantile_slopes(np.log(macs)[None], np.log(accuracies)[None])[0]
    assert 2**slope - 1 == pytest.approx(0.028, abs=0.001)
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(20):
        rows = rng.choice(len(macs), 50, replace=False)
        fitted = fit_tradeoff(macs[rows], accuracies[rows])
        held += fitted.low <= -slope <= fitted.high
    assert held >= 15  # 18 expected
