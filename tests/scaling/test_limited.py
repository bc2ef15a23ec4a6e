"""Grids whose networks keep limits on other costs."""

from collections.abc import Sequence

import pytest

from autoscale.design.cost import cost
from autoscale.design.measures.latency import Latency
from autoscale.design.measures.limits import Limit, parse_limits
from autoscale.design.measures.macs import MACS
from autoscale.design.published.efficientnet import EFFICIENTNET_B0
from autoscale.design.rounding import ROUNDINGS
from autoscale.errors import BudgetUnreachable, InvalidSetting
from autoscale.scaling.budget import parse_budget
from autoscale.scaling.grid import UNLIMITED, Grid, axis, build_grid
from autoscale.scaling.limited import Limited
from autoscale.scaling.scalable import Design, Network
from tests.design.test_measures import no_file

B0 = Design(EFFICIENTNET_B0, ROUNDINGS["tf"])
COST = cost(EFFICIENTNET_B0)


def twice_b0(limited: Limited = UNLIMITED) -> Grid:
    return build_grid(
        B0,
        parse_budget("2x", base=COST.macs),
        alphas=axis("1..2", step=0.1),
        betas=axis("1..1.5", step=0.1),
        gammas=axis("1..1.5", step=0.05),
        tolerance=0.05,
        limited=limited,
    )


def test_a_grid_leaves_out_what_breaks_a_limit_and_says_how_much() -> None:
    limits = parse_limits(["params=8M", "memory=12M"], no_file)
    limited, free = Limited(limits), twice_b0()
    grid = twice_b0(limited)
    kept = [
        entry
        for entry in free.candidates
        if entry.cost.params <= 8_000_000 and 4 * entry.cost.peak <= 12_000_000
    ]
    assert 3 <= len(kept) < len(free.candidates)
    assert list(grid.candidates) == kept
    count = len(free.candidates) - len(kept)
    assert limited.left_out.startswith(f"{count} networks left out: ")
    assert " over 8,000,000 parameters" in limited.left_out


def test_where_the_limits_leave_too_few_the_nearest_that_keep_them_are_taken() -> None:
    least = min(entry.cost.params for entry in twice_b0().candidates)
    grid = twice_b0(Limited(parse_limits([f"params={least}"], no_file)))
    assert len(grid.candidates) == 3
    assert grid.within < 3
    assert all(entry.cost.params <= least for entry in grid.candidates)


def test_limits_that_nothing_near_the_budget_keeps_name_the_nearest() -> None:
    with pytest.raises(BudgetUnreachable) as refused:
        twice_b0(Limited(parse_limits(["params=5M", "memory=5M"], no_file)))
    said = str(refused.value)
    assert "no network near 2x keeps the limits (" in said
    assert "over 5,000,000 parameters" in said
    assert (
        "; the nearest costs 6,117,956 parameters and 7,285,632 bytes of activations; raise" in said
    )


def test_a_limit_on_milliseconds_asks_a_timer_once_for_each_network() -> None:
    asked: list[Network] = []

    def timer(networks: Sequence[Network]) -> list[float]:
        asked.extend(networks)
        return [float(network.resolution) for network in networks]

    limited = Limited([Limit(Latency(), 260.0), Limit(MACS, 10**12)], timer)
    grid = twice_b0(limited)
    assert all(entry.network.resolution <= 260 for entry in grid.candidates)
    assert len(asked) == len(set(asked)) > len(grid.candidates)
    assert "over 260 ms" in limited.left_out
    with pytest.raises(InvalidSetting, match="latency is measured on a device"):
        twice_b0(Limited([Limit(Latency(), 260.0)]))


def test_without_limits_nothing_is_left_out() -> None:
    assert UNLIMITED([EFFICIENTNET_B0]) == [True]
    assert UNLIMITED.left_out == ""
