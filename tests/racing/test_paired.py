"""Two networks by shared seeds: what may be said of them."""

from __future__ import annotations

from math import inf, sqrt
from statistics import NormalDist, mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.racing.paired import Costs, Paired, Standing, student, verdict

AT_EQUAL_COST = Costs(macs=4.0, training=1.02)
accuracies = st.dictionaries(st.integers(0, 6), st.floats(0, 1), max_size=7)


@pytest.mark.parametrize(
    ("freedom", "reach"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (5, 2.5706), (10, 2.2281), (29, 2.0452)],
)
def test_students_reach_is_that_of_printed_tables(freedom: int, reach: float) -> None:
    assert student(freedom) == pytest.approx(reach, abs=1e-4)


def test_students_reach_of_many_is_the_normal_distributions() -> None:
    assert student(100_000) == pytest.approx(NormalDist().inv_cdf(0.975), abs=1e-4)
    assert student(4, level=0.9) == pytest.approx(2.1318, abs=1e-4)


def test_the_lead_is_paired_by_the_seeds_that_both_have() -> None:
    """Seeds differ by ten points, the networks by about three in each."""
    own, other = {0: 0.5, 1: 0.61, 2: 0.7, 9: 0.0}, {0: 0.47, 1: 0.57, 2: 0.68, 5: 1.0}
    found = Paired.of(own, other, images=1000)
    leads = [0.03, 0.04, 0.02]
    assert found.seeds == 3
    assert found.lead == pytest.approx(mean(leads))
    assert found.high is not None
    reach = 4.3027 * stdev(leads) / sqrt(3)
    assert found.high - mean(leads) == pytest.approx(reach, abs=1e-5)
    assert found.standing == "better"


@given(accuracies, accuracies)
def test_what_one_leads_the_other_lags(own: dict[int, float], other: dict[int, float]) -> None:
    ahead, behind = Paired.of(own, other, images=50), Paired.of(other, own, images=50)
    opposite = {"better": "worse", "worse": "better", "tied": "tied", "unknown": "unknown"}
    assert behind.standing == opposite[ahead.standing]
    if ahead.low is not None and ahead.high is not None:
        assert ahead.low < (ahead.lead or 0.0) < ahead.high
        assert behind.high == pytest.approx(-ahead.low)


def test_equal_differences_do_not_show_that_there_is_no_scatter() -> None:
    own, other = {0: 0.52, 1: 0.52}, {0: 0.5, 1: 0.5}
    assert Paired.of(own, other, images=50).standing == "tied"
    assert Paired.of(own, other, images=100_000).standing == "better"


@pytest.mark.parametrize("seeds", [0, 1])
def test_below_two_shared_seeds_nothing_is_said(seeds: int) -> None:
    found = Paired.of({0: 0.9, 1: 0.9}, {5 - seeds * 5: 0.1, 7: 0.1}, images=10)
    assert (found.seeds, found.standing, found.low) == (seeds, "unknown", None)
    said = verdict(found, own="the pick", reference="lite0", costs=AT_EQUAL_COST)
    assert said.startswith("nothing can be said of the pick and the published network lite0")
    assert "better" not in said


@pytest.mark.parametrize(
    ("lead", "standing", "said"),
    [
        (
            0.05,
            "better",
            "the baseline is better than the published network lite0 at 0.25x its multiply-adds: "
            "the baseline +5.0 points, 95% interval +4.0 to +6.0 over 3 shared seeds, at equal "
            "training cost (1.02x)",
        ),
        (
            0.005,
            "tied",
            "the baseline is tied with the published network lite0 at 0.25x its multiply-adds: "
            "the baseline +0.5 points, 95% interval -0.5 to +1.5 over 3 shared seeds, at equal "
            "training cost (1.02x)",
        ),
        (
            -0.05,
            "worse",
            "the published network lite0 is better than the baseline, at 4x its multiply-adds: "
            "the baseline -5.0 points, 95% interval -6.0 to -4.0 over 3 shared seeds, at equal "
            "training cost (1.02x)",
        ),
    ],
)
def test_verdicts(lead: float, standing: Standing, said: str) -> None:
    found = Paired(seeds=3, lead=lead, low=lead - 0.01, high=lead + 0.01)
    assert found.standing == standing
    assert verdict(found, own="the baseline", reference="lite0", costs=AT_EQUAL_COST) == said


@pytest.mark.parametrize(("training", "equal"), [(0.79, False), (0.8, True), (1.25, True), (2, 0)])
def test_a_verdict_says_when_costs_were_not_equal(training: float, equal: bool) -> None:
    costs = Costs(macs=1.0, training=training)
    assert costs.equal_training == equal
    found = Paired(seeds=2, lead=0.5, low=-inf, high=inf)
    said = verdict(found, own="the pick", reference="lite0", costs=costs)
    assert ("; not at equal training cost" in said) != equal
    assert f"{training:.2f}x" in said
