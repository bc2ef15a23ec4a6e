from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.design.blocks.layers import DEPTHWISE, Conv, SqueezeExcite, output_size
from autoscale.design.cost import (
    CONVENTIONS,
    Cost,
    block_cost,
    cost,
    head_cost,
    layers_cost,
    part_costs,
    stage_cost,
)
from autoscale.design.published import EFFICIENTNET_B0
from tests.strategies import architectures, stages

# Layers, counted by hand. `size` is the output's pixels per side.


def conv_cost(width_in: int, width_out: int, kernel: int, size: int) -> Cost:
    return layers_cost([Conv(width_out, kernel)], width_in, size)


def depthwise_cost(width: int, kernel: int, size: int) -> Cost:
    return layers_cost([Conv(width, kernel, groups=DEPTHWISE)], width, size)


def squeeze_excite_cost(width: int, squeeze: int, size: int) -> Cost:
    return layers_cost([SqueezeExcite(squeeze, "relu")], width, size)


def test_a_convolution_costs_kernel_squared_times_both_widths_per_pixel() -> None:
    assert conv_cost(3, 8, 3, 10) == Cost(
        macs=9 * 3 * 8 * 100,
        params=9 * 3 * 8 + 2 * 8,  # and batch norm's scales and shifts
        activations=8 * 100,
        norm_inputs=8 * 100,
    )


def test_a_pointwise_convolution_costs_width_in_times_width_out_per_pixel() -> None:
    assert conv_cost(16, 24, 1, 7).macs == 16 * 24 * 49


def test_a_depthwise_convolution_costs_kernel_squared_times_width_per_pixel() -> None:
    assert depthwise_cost(16, 5, 7) == Cost(
        macs=25 * 16 * 49, params=25 * 16 + 32, activations=16 * 49, norm_inputs=16 * 49
    )


def test_squeeze_and_excitation_costs_two_small_linear_layers_with_biases() -> None:
    assert squeeze_excite_cost(16, 4, 7) == Cost(
        macs=2 * 16 * 4,
        params=2 * 16 * 4 + 4 + 16,
        activations=4 + 16,
        bias_adds=4 + 16,
        pool_inputs=16 * 49,
    )


def test_a_head_is_a_convolution_a_pooling_and_a_classifier() -> None:
    classifier = Cost(
        macs=64 * 10, params=65 * 10, activations=10, bias_adds=10, pool_inputs=64 * 49
    )
    assert head_cost(Head(width=64), 32, 7, 10) == conv_cost(32, 64, 1, 7) + classifier
    assert head_cost(Head(), 64, 7, 10) == classifier


@given(st.integers(1, 999), st.sampled_from([1, 2]))
def test_a_stride_divides_the_size_and_rounds_up(size: int, stride: int) -> None:
    assert output_size(size, stride) == len(range(0, size, stride))


# Blocks, as sums of layers


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (
            Stage(block="mbconv", width=24, stride=2, expand_ratio=6, kernel=5, se_ratio=0.25),
            conv_cost(16, 96, 1, 9)
            + depthwise_cost(96, 5, 5)
            + squeeze_excite_cost(96, 4, 5)
            + conv_cost(96, 24, 1, 5),
        ),
        (
            Stage(block="mbconv", width=24),  # without an expansion there is none
            depthwise_cost(16, 3, 9) + conv_cost(16, 24, 1, 9),
        ),
        (
            Stage(block="fused-mbconv", width=24, stride=2, expand_ratio=4, se_ratio=0.25),
            conv_cost(16, 64, 3, 5) + squeeze_excite_cost(64, 4, 5) + conv_cost(64, 24, 1, 5),
        ),
        (
            Stage(block="fused-mbconv", width=24, kernel=5),  # a single convolution
            conv_cost(16, 24, 5, 9),
        ),
        (
            Stage(block="separable", width=24, stride=2, se_ratio=0.5),
            depthwise_cost(16, 3, 5) + squeeze_excite_cost(16, 8, 5) + conv_cost(16, 24, 1, 5),
        ),
        (
            Stage(block="conv", width=24, stride=2, se_ratio=0.5),
            conv_cost(16, 24, 3, 5) + squeeze_excite_cost(24, 8, 5),
        ),
        (
            Stage(block="bottleneck", width=64, stride=2),  # the stride sits in the middle
            conv_cost(16, 16, 1, 9)
            + conv_cost(16, 16, 3, 5)
            + conv_cost(16, 64, 1, 5)
            + conv_cost(16, 64, 1, 5),
        ),
        (
            Stage(block="basic", width=16),  # the shortcut needs no projection
            conv_cost(16, 16, 3, 9) + conv_cost(16, 16, 3, 9),
        ),
        (
            Stage(block="basic", width=16, stride=2),
            conv_cost(16, 16, 3, 5) + conv_cost(16, 16, 3, 5) + conv_cost(16, 16, 1, 5),
        ),
        (Stage(block="identity", width=16, depth=3), Cost()),
        (Stage(block="identity", width=24), conv_cost(16, 24, 1, 9)),
    ],
)
def test_a_block_of_16_channels_and_9_pixels_is_the_sum_of_its_layers(
    stage: Stage, expected: Cost
) -> None:
    assert stage_cost(stage, 16, 9) == expected


@given(stages(), st.integers(1, 32), st.integers(1, 33))
def test_a_stage_is_its_first_block_and_repeats_on_the_smaller_map(
    stage: Stage, width_in: int, size: int
) -> None:
    settings = {name: getattr(stage, name) for name in Stage.__dataclass_fields__}
    first = Stage(**(settings | {"depth": 1}))
    other = Stage(**(settings | {"depth": 1, "stride": 1}))
    expected = stage_cost(first, width_in, size)
    for _ in range(stage.depth - 1):
        expected += stage_cost(other, stage.width, output_size(size, stage.stride))
    assert stage_cost(stage, width_in, size) == expected


@given(stages(), st.sampled_from([1, 2]))
def test_arrays_of_designs_cost_what_each_one_costs(stage: Stage, stride: int) -> None:
    rng = np.random.default_rng(7)
    columns = rng.integers(4, 40, (3, 50))  # width_in, width, size
    columns[1, ::2] = columns[0, ::2]  # as often unchanged as changed

    def call(width_in: Any, width: Any, size: Any) -> tuple[Any, ...]:
        return astuple(block_cost(stage.layout(width_in, width, stride), width_in, width, size))

    together = np.broadcast_arrays(*call(*columns), np.empty(50))[:-1]
    rows = [call(*map(int, column)) for column in columns.T]
    np.testing.assert_array_equal(np.stack(together, axis=1), rows)


# Networks


@given(architectures())
def test_the_parts_sum_to_the_whole(design: Architecture) -> None:
    parts = part_costs(design)
    numbered = [f"stage {number}" for number in range(1, len(design.stages) + 1)]
    assert [name for name, _ in parts] == ["stem", *numbered, "head"]
    assert sum((part for _, part in parts), Cost()) == cost(design)


def test_a_pooling_stem_quarters_the_image() -> None:
    design = Architecture(
        resolution=33,
        stem=Stem(width=8, kernel=7, pool=True),
        stages=(Stage(block="conv", width=16),),
        num_classes=4,
    )
    assert dict(part_costs(design)) == {
        "stem": conv_cost(3, 8, 7, 17),
        "stage 1": conv_cost(8, 16, 3, 9),
        "head": head_cost(Head(), 16, 9, 4),
    }


def test_costs_add_and_multiply_field_by_field() -> None:
    one = Cost(1, 2, 3, 4, 5, 6)
    assert one + one == one * 2 == Cost(2, 4, 6, 8, 10, 12)
    assert one * False == Cost()


# Conventions


@pytest.mark.parametrize(
    ("convention", "flops"),
    [
        ("paper", 385_814_752),
        ("biases", 385_825_092),  # pycls' count
        ("fvcore", 401_659_392),  # timm prints it as 0.40 G
        ("two-flops", 771_629_504),
    ],
)
def test_efficientnet_b0_under_each_convention(convention: str, flops: int) -> None:
    assert CONVENTIONS[convention](cost(EFFICIENTNET_B0)) == flops


def test_no_convention_goes_untested() -> None:
    assert set(CONVENTIONS) == {"paper", "biases", "fvcore", "two-flops"}
