from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoscale.design.architecture import Architecture
from autoscale.design.cost import Cost, cost
from autoscale.design.costs import FIELDS, costs_of, scaled_costs, scaled_part_costs
from autoscale.design.published import NETWORKS, published
from autoscale.design.rounding import ROUNDINGS, Rounding, scale
from autoscale.design.space import SearchSpace
from autoscale.errors import InvalidSetting
from experiments.benchmarks.counting.space_costs import SpaceCosts

SPACES = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))
BASES = ("efficientnet-b0", "efficientnetv2-b0", "mobilenet-v1", "resnet-18", "resnet-50")


def row(costs: Cost, *place: int) -> tuple[int, ...]:
    """The fields of one design of a grid."""
    shape = np.broadcast_shapes(*(np.shape(getattr(costs, name)) for name in FIELDS))
    return tuple(int(np.broadcast_to(getattr(costs, name), shape)[place]) for name in FIELDS)


def fields(counted: Cost) -> tuple[int, ...]:
    return tuple(getattr(counted, name) for name in FIELDS)


# Rounding


@pytest.mark.parametrize("rounding", ROUNDINGS.values(), ids=ROUNDINGS)
def test_arrays_of_multipliers_round_as_single_ones_do(rounding: Rounding) -> None:
    factors = np.concatenate([np.linspace(0.05, 5, 1991), np.arange(1, 9) / 4])
    for number in (1, 3, 16, 24, 40, 112, 224, 320, 1280):
        for method in (rounding.width, rounding.depth, rounding.resolution):
            expected = [method(number, factor) for factor in factors.tolist()]
            rounded = method(number, factors)
            assert rounded.dtype == np.int64
            assert rounded.tolist() == expected


# Grids of multipliers


@pytest.mark.parametrize("rounding", ROUNDINGS.values(), ids=ROUNDINGS)
@pytest.mark.parametrize("name", BASES)
def test_a_grid_costs_what_each_scaled_design_costs(name: str, rounding: Rounding) -> None:
    base = published(name)
    rng = np.random.default_rng(5)
    depths, widths, gammas = rng.uniform(0.4, 3, (3, 6))
    resolutions = rounding.resolution(base.resolution, gammas)
    grid = scaled_costs(
        base,
        depth=depths[:, None, None],
        width=widths[:, None],
        resolution=resolutions,
        rounding=rounding,
    )
    for i, depth in enumerate(depths.tolist()):
        for j, width in enumerate(widths.tolist()):
            k = int(rng.integers(6))
            single = scale(
                base,
                depth=depth,
                width=width,
                resolution=int(resolutions[k]),
                rounding=rounding,
            )
            assert row(grid, i, j, k) == fields(cost(single))


def test_the_parts_of_a_grid_sum_to_its_whole() -> None:
    base, depths = published("efficientnet-b0"), np.array([1.0, 1.4, 3.1])
    parts = scaled_part_costs(base, depths)
    assert [name for name, _ in parts] == ["stem", *(f"stage {n}" for n in range(1, 8)), "head"]
    whole = sum((part for _, part in parts), Cost())
    for place in range(3):
        assert row(whole, place) == row(scaled_costs(base, depth=depths), place)


def test_without_multipliers_it_is_the_base() -> None:
    for network in NETWORKS.values():
        assert row(scaled_costs(network), 0) == fields(cost(network))


@pytest.mark.parametrize(
    "settings",
    [{"depth": np.array([1.0, 0.0])}, {"width": -1.0}, {"resolution": np.array([0])}],
    ids=lambda settings: next(iter(settings)),
)
def test_a_multiplier_that_is_not_above_zero_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidSetting, match="must be"):
        scaled_costs(published("efficientnet-b0"), **settings)


def test_a_grid_repeats_nothing_where_nothing_depends() -> None:
    # A tenth of the grid of step 0.01, which experiments/benchmarks/counting times.
    steps = np.linspace(1, 2, 101)
    grid = scaled_costs(
        published("efficientnet-b0"),
        depth=steps[:10, None, None],
        width=steps[:, None],
        resolution=ROUNDINGS["tf"].resolution(224, steps),
    )
    assert grid.macs.shape == (10, 101, 101)
    assert grid.params.shape == (10, 101, 1)
    assert row(grid, 0, 0, 0) == fields(cost(published("efficientnet-b0")))


# Points of a space


def varied(space: SearchSpace) -> SearchSpace:
    """The same space for two resolutions, with choices in stem and head too."""
    return replace(
        space,
        resolution=(33, 64),
        stem=replace(space.stem, width=(8, 12), kernel=(3, 5)),
        head=replace(space.head, width=(0, 24)),
    )


@pytest.mark.parametrize("change", [lambda space: space, varied], ids=["shipped", "varied"])
@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_points_cost_what_their_architectures_cost(path: Path, change: Any) -> None:
    space = change(SearchSpace.from_yaml(path.read_text(encoding="utf-8")))
    rng = random.Random(2)
    points = [[rng.randrange(len(p.options)) for p in space.parameters] for _ in range(60)]
    together = SpaceCosts(space)(np.array(points))
    alone = costs_of([space.architecture_at(point) for point in points])
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(together, name), getattr(alone, name))


def tiny() -> SearchSpace:
    text = next(path for path in SPACES if path.stem == "tiny").read_text(encoding="utf-8")
    return SearchSpace.from_yaml(text)


def test_no_points_cost_nothing() -> None:
    space = tiny()
    assert SpaceCosts(space)(np.zeros((0, len(space.parameters)), int)).macs.shape == (0,)
    assert costs_of([]).macs.shape == (0,)


def test_points_of_another_shape_or_without_such_an_option_are_refused() -> None:
    space = tiny()
    counted = SpaceCosts(space)
    with pytest.raises(InvalidSetting, match="shape"):
        counted(np.zeros((3, len(space.parameters) + 1), int))
    with pytest.raises(InvalidSetting, match="no option"):
        counted(np.full((1, len(space.parameters)), 99))
    with pytest.raises(InvalidSetting, match="no option"):
        counted(np.full((1, len(space.parameters)), -1))


def test_a_list_of_designs_keeps_its_order() -> None:
    networks: list[Architecture] = list(NETWORKS.values())
    counted = costs_of(networks)
    assert counted.params.tolist() == [cost(network).params for network in networks]
