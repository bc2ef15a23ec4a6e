"""The integers of int8: scales, multipliers and weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.quantization.arithmetic import (
    WEIGHT,
    Multiplier,
    Quantization,
    covering,
    hard_swish_table,
    mean_multiplier,
    multiplier,
    multipliers,
    times,
)
from autoscale.quantization.calibration import least_error, observe, ranges
from autoscale.quantization.graph import Convolution, Linear, Sum
from autoscale.quantization.quantized import quantized, quantized_kernel
from autoscale.quantization.rounding import Moments, rounded
from tests.quantization.designs import DESIGNS, small

ends = st.floats(-50, 50, allow_nan=False)


@given(ends, ends, st.floats(0, 1))
def test_a_number_within_the_range_is_met_within_half_a_step(a: float, b: float, at: float) -> None:
    low, high = min(a, b, 0.0), max(a, b, 0.0)
    of = covering(low, high)
    number = low + at * (high - low)
    found = of.numbers(of.integers([number]))[0]
    # The zero point is a whole number, so an end may lie half a step outside.
    assert abs(found - number) <= of.scale * (1 + 1e-6)
    if of.range[0] <= number <= of.range[1]:
        assert abs(found - number) <= of.scale / 2 * (1 + 1e-6)


@given(ends, ends)
def test_zero_has_a_step_of_its_own(a: float, b: float) -> None:
    of = covering(min(a, b), max(a, b))
    assert of.numbers([of.zero_point])[0] == 0
    assert -128 <= of.zero_point <= 127


@given(st.integers(-(2**24), 2**24), st.floats(1e-6, 1e-3))
def test_a_sum_is_brought_to_another_scale_within_a_step_rounded_twice(x: int, by: float) -> None:
    found = int(times(np.int64(x), multiplier(by)))
    assert abs(found - x * by) <= 0.75 + 1e-3


def test_multipliers_are_those_of_each_factor() -> None:
    factors = [0.5, 3e-4, 1.0, 2.5]
    found = multipliers(factors)
    assert found.fraction.tolist() == [multiplier(one).fraction for one in factors]
    assert multiplier(0.5) == Multiplier(2**30, 0)
    assert times(np.int64(10), multiplier(2.5)) == 25


@given(st.integers(1, 4000), st.floats(0.01, 4), st.integers(-(10**5), 10**5))
def test_a_mean_divides_by_its_count(count: int, factor: float, total: int) -> None:
    found = int(times(np.int64(total), mean_multiplier(factor, count)))
    true = total * factor / count
    assert abs(found - true) <= 0.75 + 1e-3 * abs(true)


def test_hard_swish_is_met_within_two_steps() -> None:
    of, to = Quantization(0.05, -20), Quantization(0.03, -115)
    x = of.numbers(np.arange(-128, 128))
    true = x * np.clip(x + 3, 0, 6) / 6
    found = to.numbers(hard_swish_table(of, to))
    within = (true <= to.range[1]) & (true >= to.range[0])
    assert np.abs(found - true)[within].max() <= 2 * to.scale


def layer(weight: np.ndarray, bias: np.ndarray) -> Convolution:
    shape = (len(weight), 1, 1)
    return Convolution(name="layer", inputs=("map",), shape=shape, weight=weight, bias=bias)


@given(st.integers(0, 2**32 - 1))
def test_each_channel_of_weights_has_a_scale_that_its_largest_weight_fills(seed: int) -> None:
    random = np.random.default_rng(seed)
    spread = np.exp(random.normal(0, 3, (6, 1, 1, 1)))
    weight = (spread * random.normal(size=(6, 3, 3, 3))).astype(np.float32)
    found = quantized_kernel(layer(weight, np.zeros(6, np.float32)), 0.1)
    integers = found.weight.astype(int)
    assert np.abs(integers).max(axis=(1, 2, 3)).tolist() == [WEIGHT] * 6
    scales = found.scales.reshape(-1, 1, 1, 1)
    assert (np.abs(integers * scales - weight) <= scales * 0.5001).all()


def test_a_bias_beside_tiny_weights_is_not_cut_off() -> None:
    weight = np.full((1, 1, 1, 1), 1e-12, np.float32)
    found = quantized_kernel(layer(weight, np.array([5.0], np.float32)), 0.01)
    assert found.bias[0] * float(found.scales[0]) * 0.01 == pytest.approx(5.0, rel=1e-6)


def test_weights_that_are_rounded_together_change_the_output_less() -> None:
    random = np.random.default_rng(0)
    mixed = random.normal(size=(4000, 12)) @ random.normal(size=(12, 48))
    rows = (mixed + 0.1 * random.normal(size=mixed.shape) + 3).astype(np.float32)
    moments = Moments.empty(1, 48)
    for part in np.split(rows, 4):
        moments.add(part[:, None, :])
    assert np.allclose(moments.mean[0], rows.mean(axis=0), atol=1e-4)
    weight = random.normal(size=(10, 48)).astype(np.float32)
    bias = random.normal(size=10).astype(np.float32)
    dense = Linear(name="a", inputs=("b",), shape=(10,), weight=weight, bias=bias)

    def error(told: Moments | None) -> float:
        kernel = quantized_kernel(dense, 1e-4, told)
        scales = kernel.scales.astype(np.float64)
        given_back = rows @ (kernel.weight * scales[:, None]).T + kernel.bias * scales * 1e-4
        return float(np.square(given_back - (rows @ weight.T + bias)).mean())

    assert error(moments) < 0.25 * error(None)


def test_without_correlation_weights_are_rounded_each_by_itself() -> None:
    random = np.random.default_rng(1)
    weight, scales = random.normal(size=(2, 3, 70)), np.full((2, 3), 0.02)
    alone = rounded(weight, scales)
    assert np.array_equal(rounded(weight, scales, np.stack([np.eye(70)] * 2)), alone)


def test_the_range_of_least_error_cuts_a_lone_far_number_off() -> None:
    random = np.random.default_rng(2)
    sample = np.append(random.normal(size=200_000), 12.0).astype(np.float32)
    low, high = least_error(sample, float(sample.min()), 12.0)
    assert 3 < high < 11
    assert -5 < low < -3


def test_a_sum_has_no_steps_that_are_too_fine_for_its_inputs() -> None:
    """As where two branches cancel out, or one of them is dead."""
    made = small(DESIGNS["residual"])
    seen = observe(made.graph, [made.pixels], moments=False)
    chosen = ranges(made.graph, seen.maps, "min-max")
    (name, *_) = (one.name for one in made.graph.operations if isinstance(one, Sum))
    (source,) = (one for one in made.graph.operations if one.name == name)
    found = quantized(made.graph, {**chosen, name: (-1e-9, 2e-9)})
    largest = max(found.maps[one].scale for one in source.inputs)
    of = found.maps[name]
    assert of.scale == pytest.approx(largest * 2**-18, rel=0.02)
    assert of.range[0] <= 0 <= of.range[1]
    usual = quantized(made.graph, chosen)
    assert usual.maps[name] == covering(*chosen[name])
