"""Designs whose images are no squares: what they cost, how they are written, what is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.aspect import SQUARE, ImageSize
from autoscale.design.architecture import MOST, Architecture, Head, Stage, Stem
from autoscale.design.blocks.layers import area, map_size, output_size, sides
from autoscale.design.cost import cost, part_costs
from autoscale.design.costs import scaled_costs
from autoscale.design.measures.registry import MEASURES
from autoscale.design.published import EFFICIENTNET_B0
from autoscale.design.rounding import at_resolution, fit_strides, last_map, scale
from autoscale.design.space import SearchSpace
from autoscale.design.tflite.pads import NO_PADS, Around, Pads, same_pads, symmetric_pads
from autoscale.design.workload import workload
from autoscale.errors import InvalidArchitecture, InvalidSetting, InvalidSpace
from autoscale.scaling.within import fewest_pixels
from autoscale.search.identity import network_of
from tests.strategies import architectures

WIDE = replace(EFFICIENTNET_B0, resolution=96, aspect=Fraction(4, 3))
SPACE = """
name: cameras
resolution: [48, 96]
aspect: 4/3
stem: {width: 8}
stages:
  - {width: [8, 16], stride: 2}
"""


# The size of maps


def test_a_map_is_as_wide_as_the_stride_leaves_it() -> None:
    size = map_size(45, Fraction(4, 3))
    assert size == ImageSize(45, 60)
    assert output_size(size, 2) == ImageSize(23, 30)
    assert area(size) == 2700
    assert sides(7) == ImageSize(7, 7)
    assert map_size(45, Fraction(1)) == 45


def test_each_side_has_its_own_pads() -> None:
    size = ImageSize(5, 6)
    assert symmetric_pads(size, 3, 2) == Pads(Around(1, 1), Around(1, 0))
    assert same_pads(size, 3, 2) == Pads(Around(1, 1), Around(0, 1))
    assert same_pads(6, 3, 2) == Pads(Around(0, 1), Around(0, 1))
    assert same_pads(ImageSize(4, 6), 1, 2) == NO_PADS


# Costs


def test_the_cost_of_a_small_network_by_hand() -> None:
    design = Architecture(
        resolution=6,
        aspect=Fraction(3, 2),  # 6 x 9, then 3 x 5
        stem=Stem(width=4, kernel=3, stride=2, activation="none"),
        stages=(Stage(block="conv", width=8, kernel=3),),
        head=Head(width=0),
        num_classes=2,
    )
    found = dict(part_costs(design))
    assert found["stem"].macs == 27 * 4 * 15
    assert found["stage 1"].macs == 9 * 4 * 8 * 15
    assert found["head"].macs == 8 * 2
    assert found["head"].pool_inputs == 8 * 15
    assert found["stem"].peak == 3 * 54 + 4 * 15


@given(architectures(), st.integers(1, 40), st.integers(1, 40))
def test_an_image_on_its_side_costs_the_same(design: Architecture, high: int, wide: int) -> None:
    if not 1 / 8 <= wide / high <= 8:
        wide = high
    lying = replace(design, resolution=high, aspect=Fraction(wide, high))
    standing = replace(design, resolution=wide, aspect=Fraction(high, wide))
    assert lying.image_size == ImageSize(high, wide) == ImageSize(*reversed(standing.image_size))
    assert cost(lying) == cost(standing)
    assert cost(lying).peak == cost(standing).peak
    assert workload(lying) == workload(standing)


@pytest.mark.parametrize("measure", ["memory", "ram", "flash", "activations", "macs"])
def test_every_measure_is_of_the_whole_image(measure: str) -> None:
    of = MEASURES[measure]().of
    lying, standing = WIDE, replace(WIDE, resolution=128, aspect=Fraction(3, 4))
    squares = [replace(WIDE, resolution=side, aspect=SQUARE) for side in (96, 128)]
    assert of(lying) == of(standing)
    assert of(squares[0]) <= of(lying) <= of(squares[1])
    if measure != "flash":
        assert of(squares[0]) < of(lying) < of(squares[1])


@given(architectures())
def test_an_aspect_of_one_is_a_square(design: Architecture) -> None:
    square, other = replace(design, aspect=SQUARE), replace(design, aspect=Fraction(2, 2))
    assert square == other
    assert cost(square) == cost(other)
    assert network_of(square) == network_of(other)
    assert square.to_yaml() == other.to_yaml()
    assert "aspect" not in square.to_dict()


def test_a_grid_of_scaled_rectangles_costs_what_each_costs() -> None:
    pixels = np.array([64, 96, 97])
    found = scaled_costs(WIDE, depth=1.2, width=1.1, resolution=pixels)
    single = [cost(scale(WIDE, depth=1.2, width=1.1, resolution=int(side))) for side in pixels]
    assert found.macs.tolist() == [one.macs for one in single]
    assert found.peak.tolist() == [one.peak for one in single]
    assert scale(WIDE, resolution=97).image_size == ImageSize(97, 129)


# The value


def test_designs_that_differ_in_aspect_are_two_networks() -> None:
    square = replace(WIDE, aspect=SQUARE)
    assert square != WIDE
    assert network_of(WIDE) != network_of(square)


def test_aspects_that_give_one_image_are_one_network() -> None:
    nearly = replace(WIDE, aspect=Fraction(1333, 1000))
    assert nearly.image_size == WIDE.image_size
    assert network_of(nearly) == network_of(WIDE)


def test_a_file_says_the_aspect_as_people_write_it() -> None:
    assert "aspect: 4/3\n" in WIDE.to_yaml()
    assert Architecture.from_yaml(WIDE.to_yaml()) == WIDE
    square = replace(WIDE, aspect=SQUARE).to_yaml()
    text = square.replace("resolution: 96", "resolution: 96\naspect: 1")
    assert Architecture.from_yaml(text).to_yaml() == square


@pytest.mark.parametrize("aspect", ["4:3", "1.5", "9", "0", "1/9", "wide", "[4, 3]", "true"])
def test_what_is_no_aspect_is_refused_where_it_stands(aspect: str) -> None:
    text = WIDE.to_yaml().replace("4/3", aspect)
    with pytest.raises(InvalidArchitecture, match=r"architecture:\d+:1: aspect: .* as 4/3, .* got"):
        Architecture.from_yaml(text)


def test_in_python_an_aspect_is_a_fraction_within_its_limits() -> None:
    with pytest.raises(InvalidArchitecture, match=r"aspect must be a Fraction, got 1\.5"):
        replace(WIDE, aspect=1.5)  # type: ignore[arg-type]
    with pytest.raises(InvalidArchitecture, match="between 1/8 and 8"):
        replace(WIDE, aspect=Fraction(9))
    with pytest.raises(InvalidArchitecture, match=f"at most {MOST:,} pixels wide, got 8000000"):
        replace(WIDE, resolution=MOST, aspect=Fraction(8))


# Spaces


def test_all_designs_of_a_space_have_its_aspect() -> None:
    space = SearchSpace.from_yaml(SPACE)
    designs = list(space.enumerate())
    assert {str(design.image_size) for design in designs} == {"48x64", "96x128"}
    assert all(space.contains(design) for design in designs)
    assert not space.contains(replace(designs[0], aspect=SQUARE))
    macs = [cost(design).macs for design in designs]
    assert space.macs_range() == (min(macs), max(macs))
    points = [space.point_of(design) for design in designs]
    assert space.macs_of([point for point in points if point is not None]) == macs


def test_a_task_replaces_the_aspect_and_takes_strides_away_by_the_shorter_side() -> None:
    space = SearchSpace.from_yaml(SPACE)
    tall = space.for_task(num_classes=3, resolution=24, aspect=Fraction(1, 2))  # 24 x 12
    first = tall.architecture_at((0,) * len(tall.parameters))
    assert first.image_size == ImageSize(24, 12)
    assert first.reduction == 2
    assert space.for_task(num_classes=3).aspect == Fraction(4, 3)
    with pytest.raises(InvalidSetting, match="at least 7 pixels at aspect 1/2, got 6"):
        space.for_task(num_classes=3, resolution=6, aspect=Fraction(1, 2))
    with pytest.raises(InvalidSpace, match=r"space:4:1: aspect: .* got 'wide'"):
        SearchSpace.from_yaml(SPACE.replace("4/3", "wide"))


# Strides


def test_a_finished_design_is_fitted_to_the_shorter_side() -> None:
    tall = at_resolution(EFFICIENTNET_B0, 128, Fraction(1, 2))
    assert tall == fit_strides(replace(EFFICIENTNET_B0, resolution=128, aspect=Fraction(1, 2)))
    assert last_map(tall) >= 4
    assert tall.reduction < EFFICIENTNET_B0.reduction
    large = at_resolution(EFFICIENTNET_B0, 256, Fraction(1, 2))
    assert large.reduction == EFFICIENTNET_B0.reduction
    assert at_resolution(tall, 64).aspect == Fraction(1, 2)


def test_scaling_keeps_as_many_pixels_as_the_shorter_side_needs() -> None:
    assert fewest_pixels(EFFICIENTNET_B0) == 100
    assert fewest_pixels(replace(EFFICIENTNET_B0, aspect=Fraction(1, 2))) == 196
    assert fewest_pixels(replace(EFFICIENTNET_B0, aspect=Fraction(4, 3))) == 100
