"""The grid around a base, at real costs."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscale.design.amounts import format_count, parse_count
from autoscale.design.cost import cost
from autoscale.design.measures.params import Params
from autoscale.design.measures.registry import MEASURES
from autoscale.design.published import EFFICIENTNET_B0
from autoscale.design.published.tinynet import TINYNET, TINYNETS
from autoscale.design.rounding import PAPER, Coefficients, compound, rounding_policy, scale
from autoscale.errors import BudgetUnreachable, InvalidArchitecture, InvalidSetting
from autoscale.scaling.budget import Budget, parse_budget
from autoscale.scaling.family import (
    Growths,
    Member,
    member,
    parse_phis,
    phi_for,
    read_member,
    stalls,
)
from autoscale.scaling.grid import Grid, axis, build_grid, field, spread
from autoscale.scaling.rules import GROWING, RULES, SHRINKING, rival
from autoscale.scaling.scalable import Design, Growth, effective
from autoscale.scaling.solve import nearest_place

B0_MACS = 385_814_752
TF = rounding_policy("tf")

COUNTED = ("macs", "params", "activations", "memory")


def around_b0(budget: str = "2x", **changes: object) -> Grid:
    settings: dict[str, object] = {
        "alphas": axis("1..2", step=0.05),
        "betas": axis("1..1.5", step=0.05),
        "gammas": axis("1..1.5", step=0.05),
        "tolerance": 0.05,
        "rounding": TF,
    }
    rounding = settings.pop("rounding")
    found = parse_budget(budget, base=B0_MACS)
    return build_grid(Design(EFFICIENTNET_B0, rounding), found, **(settings | changes))  # type: ignore[arg-type]


# Budgets


@pytest.mark.parametrize(
    ("text", "macs"),
    [("2x", 2 * B0_MACS), ("800M", 800_000_000), ("1.5G", 1_500_000_000), ("20000", 20_000)],
)
def test_a_budget_is_a_ratio_or_a_count(text: str, macs: int) -> None:
    assert parse_budget(text, base=B0_MACS) == Budget(macs, B0_MACS)


@pytest.mark.parametrize("text", ["", "x", "2y", "-3M", "2 x 3", "nan", "0x", "0"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match="budget"):
        parse_budget(text, base=B0_MACS)


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
        ("0..1", 0.1, "above 0"),
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
        assert candidate.cost == cost(candidate.network)
        assert candidate.growth == candidate.measured == candidate.cost.macs / B0_MACS
        for point in candidate.points:
            assert candidate.network == compound(EFFICIENTNET_B0, point)


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
    assert {c.network for c in grid.candidates if grid.keeps(c)} == by_hand


def test_a_budget_that_nothing_meets_names_the_nearest_point() -> None:
    with pytest.raises(BudgetUnreachable, match=r"within 0.05 of 90x; the nearest grid point"):
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


# Solving


def test_every_solved_candidate_meets_the_budget_within_one_percent() -> None:
    grid = around_b0(tolerance=0.01, solve=("resolution",))
    assert grid.points == 21 * 11
    assert len(grid.candidates) >= 5
    for candidate in grid.candidates:
        assert abs(candidate.cost.macs / B0_MACS / 2 - 1) <= 0.01
        assert candidate.moved == "resolution"
        for point in candidate.points:
            assert 1 <= point.gamma <= 1.5
            assert compound(EFFICIENTNET_B0, point) == candidate.network


def test_a_second_dimension_is_moved_where_the_first_is_too_coarse() -> None:
    one = around_b0(tolerance=0.01, solve=("resolution",))
    two = around_b0(tolerance=0.01, solve=("resolution", "width"))
    assert two.admitted > one.admitted
    assert {c.moved for c in two.candidates} == {"resolution", "resolution+width"}
    assert all(abs(c.growth / 2 - 1) <= 0.01 for c in two.candidates)


def test_what_is_no_dimension_cannot_be_moved() -> None:
    with pytest.raises(InvalidSetting, match="choose from depth, width, resolution"):
        around_b0(solve=("height",))


@pytest.mark.parametrize("name", COUNTED)
def test_a_budget_limits_what_it_names(name: str) -> None:
    measure = MEASURES[name]()
    value = measure.count
    budget = parse_budget("2x", base=float(value(cost(EFFICIENTNET_B0))), measure=measure)
    grid = build_grid(
        Design(EFFICIENTNET_B0, TF),
        budget,
        alphas=axis("1..2", step=0.1),
        betas=axis("1..2", step=0.1),
        gammas=axis("1..2", step=0.1),
        tolerance=0.05,
    )
    for candidate in grid.candidates:
        assert abs(value(candidate.cost) / budget.limit - 1) <= 0.05


@settings(max_examples=30)
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=40), st.integers(1, 1200))
def test_the_nearest_place_is_the_nearest_of_a_row_that_never_falls(
    values: list[int], wanted: int
) -> None:
    row = np.sort(np.array(values, dtype=float))
    place = int(nearest_place(lambda places: row[places], len(row), 1, wanted)[0])
    assert abs(np.log(row[place] / wanted)) == pytest.approx(np.abs(np.log(row / wanted)).min())


# What the multipliers became


def test_a_base_is_once_itself() -> None:
    assert effective(EFFICIENTNET_B0, EFFICIENTNET_B0) == Growth(1.0, 1.0, 1.0)


def test_effective_growth_explains_the_measured_cost_better_than_the_nominal() -> None:
    grid = around_b0(tolerance=0.9)
    nominal = [abs(np.log(c.coefficients.nominal / c.measured)) for c in grid.candidates]
    real = [abs(np.log(c.effective.nominal / c.measured)) for c in grid.candidates]
    assert np.mean(real) < 0.6 * np.mean(nominal)


def test_depth_becomes_the_share_of_blocks_that_were_really_added() -> None:
    (candidate,) = around_b0(alphas=(1.05,), betas=(1.0,), gammas=(1.0,), tolerance=0.6).candidates
    assert candidate.network.depth == 23  # ceil: every stage gets a block
    assert 1.4 < candidate.effective.depth < 1.6
    assert candidate.effective.width == candidate.effective.resolution == 1


# Rivals


@pytest.mark.parametrize("budget", ["2x", "4x", "0.5x"])
def test_rivals_cost_what_the_budget_says_within_two_percent(budget: str) -> None:
    base = Design(EFFICIENTNET_B0, rounding_policy("nearest"))
    limit = parse_budget(budget, base=B0_MACS)
    for rule in GROWING if limit.ratio > 1 else SHRINKING:
        found = rival(base, limit, rule)
        assert abs(cost(found.network).macs / limit.limit - 1) <= 0.02
        assert found.rules == (rule,)


def test_single_dimension_rivals_change_one_dimension() -> None:
    limit = parse_budget("2x", base=B0_MACS)
    base = Design(EFFICIENTNET_B0, TF)
    depth, width, resolution = (rival(base, limit, rule).effective for rule in GROWING[:3])
    assert (depth.width, depth.resolution) == (1, 1)
    assert depth.depth > 1.5
    assert (width.depth, width.resolution) == (1, 1)
    assert width.width > 1.3
    assert (resolution.depth, resolution.width) == (1, 1)
    assert resolution.resolution > 1.3


def test_the_tinynet_rule_goes_through_the_published_networks() -> None:
    for name, published in TINYNETS.items():
        size = cost(TINYNET[name]).macs / B0_MACS
        growth = RULES["tinynet"](size)
        assert growth.depth == pytest.approx(published.depth)
        assert growth.width == pytest.approx(published.width)
        assert growth.resolution == pytest.approx(published.resolution / 224)
    assert RULES["tinynet"](1.0) == (1, 1, 1)
    assert RULES["tinynet"](0.01).width < TINYNETS["tinynet-e"].width


def test_a_rule_that_cannot_reach_a_budget_says_how_near_it_comes() -> None:
    params = cost(EFFICIENTNET_B0).params
    budget = parse_budget("4x", base=params, measure=Params())
    found = rival(Design(EFFICIENTNET_B0, TF), budget, "resolution only")
    assert found.growth < 3.9


def test_a_rival_that_is_a_candidate_stands_once_and_bears_both_names() -> None:
    grid = around_b0()
    rivals = [rival(Design(EFFICIENTNET_B0, TF), grid.budget, rule) for rule in GROWING]
    whole = field(grid.candidates, rivals)
    networks = [entry.network for entry in whole]
    assert len(set(networks)) == len(networks) < len(grid.candidates) + len(rivals)
    assert sum(len(entry.rules) for entry in whole) == len(rivals)


# Rounding policies by text


def test_a_rounding_policy_is_read_back_from_its_name() -> None:
    policy = rounding_policy("nearest, divisor=4,fixed-ends")
    assert policy.divisor == 4
    assert not policy.scale_stem
    assert not policy.scale_head
    assert rounding_policy(policy.name) == policy


@pytest.mark.parametrize("text", ["", "none", "tf,divisor=0", "tf,divisor=", "tf,wide", "tf,,"])
def test_what_is_no_rounding_policy_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"no rounding policy|no change"):
        rounding_policy(text)


# Families

coefficients = st.builds(
    Coefficients, alpha=st.floats(1, 1.5), beta=st.floats(1, 1.3), gamma=st.floats(1, 1.3)
)
B0 = Design(EFFICIENTNET_B0, TF)


@settings(max_examples=40)
@given(coefficients.filter(lambda c: c.nominal > 1.1), st.integers(B0_MACS, 4_000_000_000))
def test_the_phi_of_a_budget_keeps_it_and_the_next_does_not(
    growth: Coefficients, limit: int
) -> None:
    growths = Growths(growth)
    phi = phi_for(B0, growths, Budget(limit, B0_MACS))
    assert member(B0, growths, phi, name="x").counts.macs <= limit
    if phi < 12:
        assert member(B0, growths, phi + 0.01, name="x").counts.macs > limit


@pytest.mark.parametrize("name", ["params", "activations", "memory"])
def test_a_phi_keeps_a_budget_of_any_measure(name: str) -> None:
    measure = MEASURES[name]()
    value = measure.count
    budget = parse_budget("3x", base=float(value(cost(EFFICIENTNET_B0))), measure=measure)
    phi = phi_for(B0, Growths(PAPER), budget)
    found = member(B0, Growths(PAPER), phi, name="x")
    assert isinstance(found, Member)
    assert 0.8 * budget.limit < value(cost(found.architecture)) <= budget.limit


def test_a_phi_is_found_where_the_largest_sizes_are_deeper_than_a_design_may_be() -> None:
    only_depth = Growths(Coefficients(alpha=3.5, beta=1, gamma=1))
    phi = phi_for(B0, only_depth, Budget(2 * B0_MACS, B0_MACS))
    assert 0 < phi < 1


def test_a_budget_that_phi_does_not_change_is_refused() -> None:
    budget = parse_budget("2x", base=5_288_548, measure=Params())
    only_pixels = Growths(Coefficients(alpha=1, beta=1, gamma=1.2))
    with pytest.raises(InvalidSetting, match="parameters of this family do not grow"):
        phi_for(B0, only_pixels, budget)


def test_a_budget_below_the_smallest_size_is_refused() -> None:
    with pytest.raises(BudgetUnreachable, match="the smallest, phi -8, costs"):
        phi_for(B0, Growths(PAPER), Budget(1000, B0_MACS))


def test_smaller_members_follow_their_own_coefficients() -> None:
    down = Coefficients(alpha=2, beta=1, gamma=1)
    smaller = member(B0, Growths(PAPER, down), -1, name="x")
    larger = member(B0, Growths(PAPER, down), 1, name="x")
    assert isinstance(smaller, Member)
    assert isinstance(larger, Member)
    assert smaller.architecture == scale(EFFICIENTNET_B0, depth=0.5)
    assert larger.architecture == compound(EFFICIENTNET_B0, PAPER)


@given(coefficients.filter(lambda c: c.nominal > 1.1))
@settings(max_examples=20)
def test_stalls_name_every_size_that_does_not_cost_more(growth: Coefficients) -> None:
    sizes = [member(B0, Growths(growth), step / 10, name=f"{step}") for step in range(8)]
    told = stalls(sizes)
    equal = sum(a.counts == b.counts for a, b in itertools.pairwise(sizes))
    assert len(told) == equal
    assert all("same network" in line for line in told)


def test_a_family_whose_rounding_breaks_the_order_says_where() -> None:
    odd = Growths(PAPER, Coefficients(alpha=0.5, beta=1, gamma=1.01))
    sizes = [member(B0, odd, phi, name=f"{phi}") for phi in (-1.0, 0.0)]
    (line,) = stalls(sizes)
    assert "no more than the smaller -1.0" in line


@pytest.mark.parametrize("phi", [-2.0, 0.0, 0.5, 7.0])
def test_a_member_reads_back_and_states_its_counts(phi: float) -> None:
    entry = member(B0, Growths(PAPER), phi, name="one")
    assert isinstance(entry, Member)
    assert read_member(entry.to_yaml(), source="one.yaml") == entry
    without_kind = entry.to_yaml().replace("kind: member\n", "")
    assert read_member(without_kind, source="one.yaml") == entry
    assert entry.counts.macs == cost(entry.architecture).macs
    assert 0 <= entry.dropout <= 0.5


def test_dropout_follows_the_released_networks_from_b0_to_b7() -> None:
    ends = [member(B0, Growths(PAPER), phi, name="x") for phi in (0, 7)]
    assert [entry.dropout for entry in ends] == [0.2, 0.5]


def test_a_member_with_counts_of_another_network_is_refused() -> None:
    text = member(B0, Growths(PAPER), 0, name="one").to_yaml()
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
