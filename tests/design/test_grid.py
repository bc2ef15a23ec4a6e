"""The grid around a base, at real costs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscale.design.budget import Budget, format_count, parse_budget, parse_count
from autoscale.design.cost import cost
from autoscale.design.family import Member, member, parse_phis, phi_for
from autoscale.design.grid import Grid, axis, build_grid, spread
from autoscale.design.published import EFFICIENTNET_B0
from autoscale.design.scaling import PAPER, Coefficients, compound, rounding_policy, scale
from autoscale.errors import BudgetUnreachable, InvalidArchitecture, InvalidSetting

B0_MACS = 385_814_752
TF = rounding_policy("tf")


def around_b0(budget: str = "2x", **changes: object) -> Grid:
    settings = {
        "alphas": axis("1..2", step=0.05),
        "betas": axis("1..1.5", step=0.05),
        "gammas": axis("1..1.5", step=0.05),
        "tolerance": 0.05,
        "rounding": TF,
    }
    found = parse_budget(budget, base_macs=B0_MACS)
    return build_grid(EFFICIENTNET_B0, found, **(settings | changes))  # type: ignore[arg-type]


# Budgets


@pytest.mark.parametrize(
    ("text", "macs"),
    [("2x", 2 * B0_MACS), ("800M", 800_000_000), ("1.5G", 1_500_000_000), ("20000", 20_000)],
)
def test_a_budget_is_a_ratio_or_a_count(text: str, macs: int) -> None:
    assert parse_budget(text, base_macs=B0_MACS) == Budget(macs, B0_MACS)


@pytest.mark.parametrize("text", ["", "x", "2y", "-3M", "2 x 3", "nan", "0x", "0"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match="budget"):
        parse_budget(text, base_macs=B0_MACS)


@given(st.integers(1, 10**13))
def test_a_formatted_count_reads_back_to_four_digits(count: int) -> None:
    assert parse_count(format_count(count)) == pytest.approx(count, rel=1e-3)


# Axes


def test_a_range_holds_both_ends() -> None:
    assert axis("1..1.2", step=0.05) == (1.0, 1.05, 1.1, 1.15, 1.2)
    assert axis("1.2,1", step=0.05) == (1.0, 1.2)
    assert axis("1", step=0.05) == (1.0,)


@pytest.mark.parametrize(
    ("text", "step", "said"),
    [
        ("2..1", 0.1, "ends before it begins"),
        ("1..2", 1e-320, "step must be"),
        ("1..2", float("inf"), "step must be"),
        ("1,1" + "0" * 400, 0.1, "not a range"),
        ("0.5..1", 0.1, "at least 1"),
        ("one", 0.1, "not a range"),
        ("1..2", 0.0, "step must be"),
        ("1..2", float("nan"), "step must be"),
        ("1..999999", 0.000001, "take a larger step"),
    ],
)
def test_a_wrong_range_is_refused(text: str, step: float, said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        axis(text, step=step)


# The grid


def test_the_grid_around_b0_has_45_points_and_20_networks_at_twice_its_cost() -> None:
    grid = around_b0()
    assert grid.points == 21 * 11 * 11
    assert grid.admitted == 45
    assert len(grid.candidates) == 20
    for candidate in grid.candidates:
        assert abs(candidate.growth / 2 - 1) <= 0.05
        assert candidate.cost == cost(candidate.architecture)
        for point in candidate.points:
            assert candidate.architecture == compound(EFFICIENTNET_B0, point)


def test_the_papers_point_is_not_within_its_own_budget() -> None:
    grid = around_b0(tolerance=0.3, alphas=(1.2,), betas=(1.1,), gammas=(1.15,))
    (candidate,) = grid.candidates
    assert candidate.coefficients == PAPER
    assert candidate.coefficients.nominal == pytest.approx(1.920, abs=5e-4)
    assert candidate.growth == pytest.approx(2.573, abs=5e-4)


def test_every_network_within_the_tolerance_is_found() -> None:
    grid = around_b0(alphas=(1.0, 1.3), betas=(1.0, 1.1, 1.4), gammas=(1.0, 1.2, 1.4))
    by_hand = set()
    for alpha in (1.0, 1.3):
        for beta in (1.0, 1.1, 1.4):
            for gamma in (1.0, 1.2, 1.4):
                network = scale(
                    EFFICIENTNET_B0, depth=alpha, width=beta, resolution=round(224 * gamma)
                )
                if abs(cost(network).macs / B0_MACS / 2 - 1) <= 0.05:
                    by_hand.add(network)
    assert {candidate.architecture for candidate in grid.candidates} == by_hand


def test_a_budget_that_nothing_meets_names_the_nearest_point() -> None:
    with pytest.raises(BudgetUnreachable, match=r"within 5% of 90x; the nearest grid point"):
        around_b0("90x")


@pytest.mark.parametrize("tolerance", [0, 1, -1, float("nan")])
def test_a_tolerance_lies_between_0_and_1(tolerance: float) -> None:
    with pytest.raises(InvalidSetting, match="tolerance must lie between 0 and 1"):
        around_b0(tolerance=tolerance)


@given(st.integers(1, 25))
def test_a_spread_takes_so_many_different_candidates_and_the_nearest_first(count: int) -> None:
    candidates = around_b0().candidates
    chosen = spread(candidates, count)
    assert len(set(chosen)) == len(chosen) == min(count, len(candidates))
    assert chosen[0] == candidates[0]
    assert set(chosen) <= set(candidates)


# Families

coefficients = st.builds(
    Coefficients, alpha=st.floats(1, 1.5), beta=st.floats(1, 1.3), gamma=st.floats(1, 1.3)
)


@settings(max_examples=40)
@given(coefficients.filter(lambda c: c.nominal > 1.1), st.integers(B0_MACS, 4_000_000_000))
def test_the_phi_of_a_budget_keeps_it_and_the_next_does_not(
    growth: Coefficients, budget: int
) -> None:
    phi = phi_for(EFFICIENTNET_B0, growth, budget, rounding=TF)
    assert cost(compound(EFFICIENTNET_B0, growth, phi)).macs <= budget
    if phi < 12:
        assert cost(compound(EFFICIENTNET_B0, growth, phi + 0.01)).macs > budget


def test_a_budget_below_the_smallest_size_is_refused() -> None:
    with pytest.raises(BudgetUnreachable, match="the smallest, phi -8, costs"):
        phi_for(EFFICIENTNET_B0, PAPER, 1000, rounding=TF)


@pytest.mark.parametrize("phi", [-2.0, 0.0, 0.5, 7.0])
def test_a_member_reads_back_and_states_its_counts(phi: float) -> None:
    entry = member(EFFICIENTNET_B0, PAPER, phi, rounding=TF, name="one")
    assert Member.from_yaml(entry.to_yaml()) == entry
    assert entry.counts.macs == cost(entry.architecture).macs
    assert 0 <= entry.dropout <= 0.5


def test_dropout_follows_the_released_networks_from_b0_to_b7() -> None:
    ends = [member(EFFICIENTNET_B0, PAPER, phi, rounding=TF, name="x") for phi in (0, 7)]
    assert [entry.dropout for entry in ends] == [0.2, 0.5]


def test_a_member_with_counts_of_another_network_is_refused() -> None:
    text = member(EFFICIENTNET_B0, PAPER, 0, rounding=TF, name="one").to_yaml()
    with pytest.raises(InvalidArchitecture, match="not those of its architecture"):
        Member.from_yaml(text.replace(str(B0_MACS), "1"))


def test_sizes_are_a_range_or_a_list() -> None:
    assert parse_phis("0..3") == (0, 1, 2, 3)
    assert parse_phis("-1..1") == (-1, 0, 1)
    assert parse_phis("0,0.5,1") == (0, 0.5, 1)


@pytest.mark.parametrize("text", ["", "a", "1..b", "0..99", "nan", "3..1", "0..99999999999"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting):
        parse_phis(text)
