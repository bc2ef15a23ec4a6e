"""How logits become an answer: the value, the temperature, the threshold."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from autoscale.answering.answering import NONE, Answering
from autoscale.answering.temperature import fit_temperature
from autoscale.answering.threshold import images_needed, refusing_at_least, refusing_at_most
from autoscale.errors import InvalidSetting
from autoscale.metrics.predictions import Predictions
from autoscale.metrics.probabilities import LogLoss


def drawn(images: int, temperature: float, *, seed: int = 0, classes: int = 5) -> Predictions:
    """Labels drawn by the softmax of logits, and these times the temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (images, classes))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (chances.cumsum(axis=1) < rng.random((images, 1))).sum(axis=1)
    return Predictions(labels.clip(0, classes - 1), logits * temperature)


# The value


@given(
    temperature=st.floats(1e-3, 1e3),
    none_below=st.none() | st.floats(1e-9, 1.0),
    chosen_on=st.none() | st.text(max_size=20),
)
@settings(max_examples=30)
def test_what_is_written_is_read_back_to_the_bit(
    temperature: float, none_below: float | None, chosen_on: str | None
) -> None:
    way = Answering(temperature=temperature, none_below=none_below, chosen_on=chosen_on)
    assert Answering.from_dict(json.loads(json.dumps(way.to_dict()))) == way


@pytest.mark.parametrize(
    ("plain", "told"),
    [
        ({"temperature": 0}, "temperature must be a number above 0"),
        ({"temperature": True}, "temperature must be a number above 0"),
        ({"temperature": math.nan}, "temperature must be a number above 0"),
        ({"temperature": math.inf}, "temperature must be a number above 0"),
        ({"temperature": "1.5"}, "temperature must be a number above 0"),
        ({"none_below": 0}, "none_below must be a probability above 0"),
        ({"none_below": 1.1}, "none_below must be a probability above 0"),
        ({"chosen_on": 3}, "chosen_on must be a text"),
        ({"per_class": [0.5]}, "holds 'per_class', which this version does not know"),
        ([1.5], "must be named values"),
    ],
)
def test_values_that_cannot_be_are_refused(plain: Any, told: str) -> None:
    with pytest.raises(InvalidSetting, match=told):
        Answering.from_dict(plain)


def test_without_a_choice_logits_stay_to_the_bit_and_nothing_is_refused() -> None:
    logits = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    assert np.array_equal(Answering().scaled(logits), logits.astype(np.float64))
    assert not Answering().refuses(np.array([0.0, 1e-300, 1.0])).any()


def test_the_steps_say_both_numbers_with_all_their_digits() -> None:
    first, second = Answering(temperature=1.1, none_below=0.1 + 0.2).steps
    assert "1.1" in first
    assert "0.30000000000000004" in second
    assert NONE in second


# Temperature


def test_a_temperature_is_found_again() -> None:
    for true in (0.5, 1.0, 2.5):
        found = fit_temperature(drawn(20_000, true))
        assert found.value == pytest.approx(true, rel=0.03)
        assert found.told


def test_nine_of_ten_intervals_and_more_hold_the_temperature() -> None:
    found = [fit_temperature(drawn(200, 2.0, seed=seed)).interval for seed in range(200)]
    held = sum(low <= 2.0 <= high for low, high in found)
    assert 180 <= held < 200


@given(seed=st.integers(0, 10**6), scale=st.floats(0.2, 5))
@settings(max_examples=15, deadline=None)
def test_no_temperature_near_it_has_a_smaller_loss(seed: int, scale: float) -> None:
    known = drawn(60, scale, seed=seed, classes=3)
    found = fit_temperature(known)
    if not found.told:
        return

    def loss(temperature: float) -> float:
        return LogLoss().of(Predictions(known.labels, known.logits / temperature))

    least = loss(found.value)
    assert all(loss(found.value * other) >= least for other in (0.5, 0.97, 1.03, 2))


@given(seed=st.integers(0, 10**6), factor=st.floats(0.1, 10), shift=st.floats(-50, 50))
@settings(max_examples=15, deadline=None)
def test_it_grows_with_the_logits_and_does_not_see_what_is_added_to_all(
    seed: int, factor: float, shift: float
) -> None:
    known = drawn(60, 1.0, seed=seed, classes=3)
    other = Predictions(known.labels, known.logits * factor + shift)
    found, moved = fit_temperature(known), fit_temperature(other)
    assert moved.told == found.told
    if found.told:
        assert moved.value == pytest.approx(found.value * factor, rel=1e-6)
        assert moved.interval == pytest.approx([end * factor for end in found.interval], rel=1e-5)


def test_where_all_is_right_there_is_no_temperature() -> None:
    found = fit_temperature(Predictions(np.array([0, 1, 2]), 4 * np.eye(3)))
    assert (found.value, found.interval, found.told) == (1.0, (1.0, 1.0), False)


def test_answers_no_better_than_chance_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="no better than chance; train it"):
        fit_temperature(Predictions(np.array([1, 2, 0]), np.eye(3)))
    with pytest.raises(InvalidSetting, match="no better than chance"):
        fit_temperature(Predictions(np.array([1, 0]), np.zeros((2, 3))))


# Threshold

largest = st.lists(st.floats(0.1, 1.0), min_size=20, max_size=60).map(np.array)


@given(largest, st.integers(1, 50))
def test_at_most_the_share_is_refused_and_exactly_it_without_equals(
    chances: NDArray[np.float64], percent: int
) -> None:
    threshold = refusing_at_most(chances, percent / 100)
    refused = int(Answering(none_below=threshold).refuses(chances).sum())
    most = len(chances) * percent // 100  # whole numbers, which round nothing
    assert refused <= most
    ordered = np.sort(chances)
    if most == 0 or ordered[most - 1] < ordered[most]:
        assert refused == most
    else:
        assert refused < most


@given(largest, st.integers(1, 99))
def test_at_least_the_share_is_refused_and_no_more_than_need_be(
    chances: NDArray[np.float64], percent: int
) -> None:
    least = -(-len(chances) * percent // 100)
    last = np.sort(chances)[least - 1]
    if last == 1:
        with pytest.raises(InvalidSetting, match="a probability of 1, which no threshold refuses"):
            refusing_at_least(chances, percent / 100)
        return
    threshold = refusing_at_least(chances, percent / 100)
    refused = Answering(none_below=threshold).refuses(chances)
    assert refused.sum() >= least
    assert refused.sum() == (chances <= last).sum()


def test_the_threshold_stands_in_the_middle() -> None:
    chances = np.array([0.9, 0.2, 0.6, 0.4, 0.8])
    assert refusing_at_most(chances, 0.4) == pytest.approx(0.5)
    assert refusing_at_least(chances, 0.4) == pytest.approx(0.5)
    close = np.nextafter(0.4, 1)
    assert refusing_at_most(np.array([0.4, close]), 0.5) == close


def test_images_needed_are_those_of_five_below() -> None:
    assert [images_needed(share) for share in (0.5, 0.1, 0.05, 0.15)] == [10, 50, 100, 34]
    assert images_needed(min(0.9, 1 - 0.9)) == 50


def test_a_share_of_others_is_refused_about_as_asked() -> None:
    """By 100 right answers and a share of 0.05, as `threshold.py` says of five below."""
    rng = np.random.default_rng(0)
    shares = [refusing_at_most(rng.random(100), 0.05) for _ in range(4000)]  # uniform: the share
    low, high = np.quantile(shares, (0.025, 0.975)) / 0.05
    assert low == pytest.approx(1 / 3, abs=0.1)
    assert high == pytest.approx(2.1, abs=0.15)
