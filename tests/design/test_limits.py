"""Limits on several costs at once."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.design.architecture import Architecture
from autoscale.design.measures.latency import LatencyTable
from autoscale.design.measures.limits import (
    Limit,
    broken,
    nearest_costs,
    parse_limits,
    require_reachable,
)
from autoscale.design.measures.registry import MEASURES
from autoscale.design.space import SearchSpace
from autoscale.design.workload import workload
from autoscale.errors import BudgetUnreachable, InvalidSetting
from autoscale.jobs.search.spaces import load_space
from tests.design.test_measures import READY, no_file
from tests.strategies import spaces

TINY = load_space("tiny")
NAMES = ("macs", "params", "activations", "memory")


def limits_like(design: Architecture, shares: Sequence[float]) -> list[Limit]:
    """So large a share of what a design costs, in as many measures as there are shares."""
    measures = [READY[name] for name in NAMES[: len(shares)]]
    return [Limit(m, m.of(design) * share) for m, share in zip(measures, shares, strict=True)]


def worst(design: Architecture, limits: Sequence[Limit]) -> float:
    """The largest multiple of a limit."""
    return max(limit.measure.of(design) / limit.most for limit in limits)


@given(
    spaces() | st.just(TINY),
    st.integers(0, 100),
    st.lists(st.floats(0.2, 2), min_size=1, max_size=4),
)
def test_the_nearest_network_is_that_of_all_networks(
    space: SearchSpace, seed: int, shares: list[float]
) -> None:
    limits = limits_like(space.sample(random.Random(seed)), shares)
    nearest = min(worst(design, limits) for design in space.enumerate())
    costs = nearest_costs(space, limits)
    assert max(c / m.most for c, m in zip(costs, limits, strict=True)) == pytest.approx(nearest)
    if any(broken(limits, design) is None for design in space.enumerate()):
        require_reachable(space, limits)
    else:
        with pytest.raises(BudgetUnreachable, match="no network of the space"):
            require_reachable(space, limits)


def test_limits_that_are_met_apart_but_not_together_are_refused_with_the_nearest() -> None:
    designs = list(TINY.enumerate())
    macs, params = READY["macs"], READY["params"]
    lean = min(designs, key=lambda d: (macs.of(d), params.of(d)))
    limits = [Limit(READY["macs"], macs.of(lean) - 1), Limit(params, 10 * params.of(lean))]
    with pytest.raises(BudgetUnreachable) as refused:
        require_reachable(TINY, limits)
    said = str(refused.value)
    assert f"at most {limits[0].exactly} and {limits[1].exactly} together" in said
    assert f"the nearest costs {macs.exactly(macs.of(lean))} and " in said


def test_one_limit_that_nothing_keeps_names_the_cheapest() -> None:
    with pytest.raises(
        BudgetUnreachable,
        match=r"at most 10 multiply-adds; the cheapest costs 298,\d+; raise the limit or choose",
    ):
        require_reachable(TINY, [Limit(READY["macs"], 10)])
    features = sorted({feature for design in TINY.enumerate() for feature in workload(design)})
    table = LatencyTable(rates=dict.fromkeys(features, 1e-5), error=0.1, measurements=20)
    least = min(table.of(design) for design in TINY.enumerate())
    with pytest.raises(
        BudgetUnreachable,
        match=f"at most 1e-09 ms; the cheapest costs {least:.3g}; raise the limit or",
    ):
        require_reachable(TINY, [Limit(table, 1e-9)])


def test_limits_are_read_as_people_write_them() -> None:
    found = parse_limits(["params=250K", "memory=256K", "latency=0.5s"], no_file)
    assert [(limit.measure.name, limit.most) for limit in found] == [
        ("params", 250_000), ("memory", 256_000), ("latency", 500.0)
    ]  # fmt: skip
    assert parse_limits([limit.text for limit in found], no_file) == found
    assert [Limit.from_dict(x.measure.name, x.to_dict()) for x in found[:2]] == list(found[:2])
    kept = Limit(READY["latency"], 12.0)
    assert Limit.from_dict("latency", kept.to_dict()) == kept


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["8M"], "not a limit: '8M'; write a cost and the most of it, as params=250K"),
        (["=8M"], "not a limit"),
        (["joules=8"], "no cost 'joules'; choose from macs"),
        (["params=12ms"], "not a count: '12ms'"),
        (["latency=8M"], "not a latency: '8M'"),
        (["params=0"], "must be above 0, got 'params=0'"),
        (["params=1K", "params=2K"], "params is limited twice"),
    ],
)
def test_what_is_no_limit_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        parse_limits(texts, no_file)


@pytest.mark.parametrize("name", MEASURES)
def test_an_excess_is_a_share_of_the_limit_in_any_unit(name: str) -> None:
    limit = Limit(READY[name], 200.0)
    assert limit.excess(300) == pytest.approx(0.5)
    assert limit.excess(200) == 0
    assert limit.excess(100) < 0


@pytest.mark.parametrize(("flash", "ram"), [(0.5, 0.9), (0.8, 0.6), (1.1, 0.4), (None, 0.5)])
def test_a_file_and_its_arena_are_limited_though_parts_tell_only_the_least(
    flash: float | None, ram: float
) -> None:
    largest = max(TINY.enumerate(), key=READY["flash"].of)
    asked = [("flash", flash)] * (flash is not None) + [("ram", ram)]
    limits = [Limit(READY[name], READY[name].of(largest) * float(s or 0)) for name, s in asked]
    nearest = min(worst(design, limits) for design in TINY.enumerate())
    costs = nearest_costs(TINY, limits)
    found = max(c / m.most for c, m in zip(costs, limits, strict=True))
    assert 0.999 * nearest <= found <= 1.1 * nearest
    if nearest > 1:
        with pytest.raises(BudgetUnreachable):
            require_reachable(TINY, limits)
    else:
        require_reachable(TINY, limits)
