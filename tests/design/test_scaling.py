from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.design.architecture import Architecture, Stage, Stem
from autoscale.design.cost import cost
from autoscale.design.published import EFFICIENTNET_B0
from autoscale.design.rounding import (
    PAPER,
    ROUNDINGS,
    Coefficients,
    Rounding,
    compound,
    fit_strides,
    last_map,
    rounding_policy,
    scale,
)
from autoscale.errors import InvalidSetting
from tests.strategies import architectures, coefficients, multipliers, roundings, widths

TF, NEAREST, LITE = ROUNDINGS["tf"], ROUNDINGS["nearest"], ROUNDINGS["lite"]
B0_WIDTHS = [32, 16, 24, 40, 80, 112, 192, 320, 1280]  # stem, stages, head


def in_eights(design: Architecture) -> Architecture:
    """The design with every width a multiple of 8, as the released networks have."""
    return replace(
        design,
        stem=replace(design.stem, width=8 * design.stem.width),
        stages=tuple(replace(stage, width=8 * stage.width) for stage in design.stages),
        head=replace(design.head, width=8 * design.head.width),
    )


# Rounding


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (1.1, [32, 16, 24, 48, 88, 120, 208, 352, 1408]),
        (1.4, [48, 24, 32, 56, 112, 160, 272, 448, 1792]),
        (1.8, [56, 32, 40, 72, 144, 200, 344, 576, 2304]),
    ],
)
def test_widths_round_as_in_the_released_code(factor: float, expected: list[int]) -> None:
    assert [TF.width(width, factor) for width in B0_WIDTHS] == expected
    scaled = scale(EFFICIENTNET_B0, width=factor)
    stages = [stage.width for stage in scaled.stages]
    assert [scaled.stem.width, *stages, scaled.head.width] == expected


@pytest.mark.parametrize(
    ("factor", "blocks"),
    [(1.1, 23), (1.2, 23), (1.4, 26), (1.8, 32), (2.2, 39), (2.6, 45), (3.1, 55)],
)
def test_repeats_round_up_as_in_the_released_code(factor: float, blocks: int) -> None:
    assert scale(EFFICIENTNET_B0, depth=factor).depth == blocks


def test_nearest_deepens_less_than_rounding_up() -> None:
    scaled = scale(EFFICIENTNET_B0, depth=1.2, rounding=NEAREST)
    assert [stage.depth for stage in scaled.stages] == [1, 2, 2, 4, 4, 5, 1]


@given(widths, st.floats(0.1, 4))
def test_the_released_rule_never_loses_more_than_a_tenth(width: int, factor: float) -> None:
    assert TF.width(width, factor) >= 0.9 * width * factor


@given(widths, st.floats(0.1, 4))
def test_nearest_is_off_by_at_most_half_a_divisor(width: int, factor: float) -> None:
    assert abs(NEAREST.width(width, factor) - max(8, width * factor)) <= 4


@given(widths, st.floats(0.1, 4).filter(lambda f: f != 1), roundings)
def test_scaled_widths_are_multiples_of_the_divisor(
    width: int, factor: float, policy: Rounding
) -> None:
    rounded = policy.width(width, factor)
    assert rounded > 0
    assert rounded % policy.divisor == 0


@given(st.integers(1, 9), st.floats(0.1, 4), st.floats(0.1, 4), roundings)
def test_a_larger_multiplier_never_rounds_to_less(
    number: int, one: float, other: float, policy: Rounding
) -> None:
    low, high = sorted((one, other))
    assert policy.width(8 * number, low) <= policy.width(8 * number, high)
    assert 1 <= policy.depth(number, low) <= policy.depth(number, high)
    assert 1 <= policy.resolution(4 * number, low) <= policy.resolution(4 * number, high)


@given(st.integers(8, 600), st.floats(0.5, 4).filter(lambda factor: factor != 1))
def test_nearest_resolutions_are_multiples_of_four(resolution: int, factor: float) -> None:
    rounded = NEAREST.resolution(resolution, factor)
    assert rounded % 4 == 0
    assert abs(rounded - resolution * factor) <= 2


def test_lite_leaves_stem_head_and_the_depth_of_the_ends_alone() -> None:
    lite = scale(EFFICIENTNET_B0, depth=1.8, width=1.4, rounding=LITE)
    full = scale(EFFICIENTNET_B0, depth=1.8, width=1.4)
    assert (lite.stem, lite.head) == (EFFICIENTNET_B0.stem, EFFICIENTNET_B0.head)
    assert [stage.depth for stage in lite.stages] == [1, 4, 4, 6, 6, 8, 1]
    assert [stage.width for stage in lite.stages] == [stage.width for stage in full.stages]


def test_an_unknown_rounding_is_refused_with_the_known_ones() -> None:
    assert rounding_policy("tf") == TF
    with pytest.raises(InvalidSetting, match=r"'floor'; choose from tf, nearest, lite, v2, "):
        rounding_policy("floor")


# Scaling


@given(architectures(), roundings)
def test_scaling_by_one_changes_nothing(base: Architecture, policy: Rounding) -> None:
    assert scale(base, rounding=policy) == base
    assert scale(base, depth=1, width=1, resolution=base.resolution, rounding=policy) == base


@given(architectures(), multipliers, roundings)
def test_a_deeper_network_never_costs_less(
    base: Architecture, factor: float, policy: Rounding
) -> None:
    deeper = cost(scale(base, depth=factor, rounding=policy))
    assert deeper.macs >= cost(base).macs
    assert deeper.params >= cost(base).params


@given(architectures().map(in_eights), multipliers, roundings)
def test_a_wider_network_never_costs_less(
    base: Architecture, factor: float, policy: Rounding
) -> None:
    wider = cost(scale(base, width=factor, rounding=policy))
    assert wider.macs >= cost(base).macs
    assert wider.params >= cost(base).params


@given(architectures(), st.integers(1, 80))
def test_a_larger_image_costs_more_multiply_adds_and_no_parameters(
    base: Architecture, growth: int
) -> None:
    larger = cost(scale(base, resolution=base.resolution + growth))
    assert larger.macs >= cost(base).macs
    assert larger.params == cost(base).params


@given(architectures(), multipliers, multipliers, st.integers(1, 99), roundings)
def test_scaling_touches_depth_width_and_resolution_only(
    base: Architecture, depth: float, width: float, resolution: int, policy: Rounding
) -> None:
    scaled = scale(base, depth=depth, width=width, resolution=resolution, rounding=policy)
    undone = replace(
        scaled,
        resolution=base.resolution,
        stem=replace(scaled.stem, width=base.stem.width),
        stages=tuple(
            replace(stage, width=before.width, depth=before.depth)
            for stage, before in zip(scaled.stages, base.stages, strict=True)
        ),
        head=replace(scaled.head, width=base.head.width),
    )
    assert undone == base
    assert scaled.resolution == resolution


def test_what_is_not_there_does_not_grow() -> None:
    base = Architecture(
        resolution=32,
        stem=Stem(width=8),
        stages=(Stage(block="identity", width=8, depth=2),),
        num_classes=10,
    )
    scaled = scale(base, depth=3, width=2)
    assert scaled.head.width == 0
    assert scaled.stages[0].depth == 2


@pytest.mark.parametrize(
    "multipliers", [{"depth": 0}, {"width": 0}, {"depth": -1}, {"width": float("nan")}], ids=str
)
def test_a_multiplier_that_is_not_above_zero_is_refused(multipliers: dict[str, float]) -> None:
    with pytest.raises(InvalidSetting, match=r"^multipliers must be numbers above 0, got depth "):
        scale(EFFICIENTNET_B0, **multipliers)  # type: ignore[arg-type]


INFINITY = float("inf")


@pytest.mark.parametrize(
    "make",
    [
        lambda: scale(EFFICIENTNET_B0, depth=INFINITY),
        lambda: scale(EFFICIENTNET_B0, width=INFINITY),
        lambda: Coefficients(alpha=INFINITY, beta=1, gamma=1),
    ],
    ids=["depth", "width", "alpha"],
)
def test_an_infinite_multiplier_is_refused(make: Any) -> None:
    with pytest.raises(InvalidSetting):
        make()


# Compound scaling


@given(coefficients)
def test_the_nominal_growth_is_alpha_times_beta_squared_times_gamma_squared(
    growth: Coefficients,
) -> None:
    by_hand = growth.alpha * growth.beta * growth.beta * growth.gamma * growth.gamma
    assert growth.nominal == pytest.approx(by_hand)


@pytest.mark.parametrize("name", ["alpha", "beta", "gamma"])
@pytest.mark.parametrize("value", [0, -1.2, float("nan")])
def test_a_coefficient_that_is_not_above_zero_is_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidSetting, match=rf"^{name} must be a number above 0, got {value}$"):
        replace(PAPER, **{name: value})


@given(architectures(), coefficients, st.sampled_from([TF, LITE]))
def test_phi_zero_changes_nothing(
    base: Architecture, growth: Coefficients, policy: Rounding
) -> None:
    assert compound(base, growth, 0, rounding=policy) == base


def test_phi_zero_changes_nothing_under_nearest() -> None:
    base = replace(EFFICIENTNET_B0, resolution=225)
    assert compound(base, PAPER, 0, rounding=NEAREST) == base


@given(architectures(), coefficients, st.floats(-1, 2), roundings)
def test_compound_scaling_is_scaling_by_powers_of_phi(
    base: Architecture, growth: Coefficients, phi: float, policy: Rounding
) -> None:
    assert compound(base, growth, phi, rounding=policy) == scale(
        base,
        depth=growth.alpha**phi,
        width=growth.beta**phi,
        resolution=policy.resolution(base.resolution, growth.gamma**phi),
        rounding=policy,
    )


def test_a_negative_phi_shrinks() -> None:
    sizes = [cost(compound(EFFICIENTNET_B0, PAPER, phi)).macs for phi in range(-3, 4)]
    assert sizes == sorted(set(sizes))


# Strides for small images


@given(architectures().filter(lambda a: min(a.image_size) >= 4))
def test_fitted_strides_leave_a_map_of_four_pixels_and_take_no_more_than_needed(
    design: Architecture,
) -> None:
    fitted = fit_strides(design)
    if last_map(design) >= 4:
        assert fitted == design
    else:
        assert 4 <= last_map(fitted) <= 6  # one halving more would leave 3 or less
    assert fit_strides(fitted) == fitted


@given(architectures().filter(lambda a: min(a.image_size) >= 4))
def test_fitting_strides_changes_nothing_but_strides_and_the_size_of_patches(
    design: Architecture,
) -> None:
    fitted = fit_strides(design)
    restored = replace(
        fitted,
        stem=replace(
            fitted.stem,
            stride=design.stem.stride,
            pool=design.stem.pool,
            kernel=design.stem.kernel,
        ),
        stages=tuple(
            replace(stage, stride=before.stride)
            for stage, before in zip(fitted.stages, design.stages, strict=True)
        ),
    )
    assert restored == design
    if design.stem.kernel != design.stem.stride:
        assert fitted.stem.kernel == design.stem.kernel


def test_strides_are_taken_from_the_stem_then_from_the_first_stages() -> None:
    def strides(resolution: int, *, pool: bool = False) -> list[int]:
        stem = replace(EFFICIENTNET_B0.stem, pool=pool)
        fitted = fit_strides(replace(EFFICIENTNET_B0, resolution=resolution, stem=stem))
        assert not fitted.stem.pool
        return [fitted.stem.stride, *(stage.stride for stage in fitted.stages)]

    assert strides(224) == strides(97) == [2, 1, 2, 2, 2, 1, 2, 1]
    assert strides(97, pool=True) == [2, 1, 2, 2, 2, 1, 2, 1]
    assert strides(64) == [1, 1, 2, 2, 2, 1, 2, 1]
    assert strides(32) == [1, 1, 1, 2, 2, 1, 2, 1]
    assert strides(4) == [1, 1, 1, 1, 1, 1, 1, 1]


def test_an_image_smaller_than_the_smallest_map_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="resolution must be at least 4 pixels, got 3"):
        fit_strides(replace(EFFICIENTNET_B0, resolution=3))


@given(architectures())
def test_the_last_map_is_what_the_layers_leave_one_by_one(design: Architecture) -> None:
    sizes = list(design.image_size)
    for stride in [design.stem.stride, 1 + design.stem.pool, *(s.stride for s in design.stages)]:
        sizes = [len(range(0, size, stride)) for size in sizes]
    assert last_map(design) == min(sizes)
