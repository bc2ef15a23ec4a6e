"""What a plan holds, whatever the time and the speeds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autoscale.errors import InvalidSetting
from autoscale.pipeline.interval import wilson
from autoscale.pipeline.plan import (
    CHECKED,
    COMPARED,
    CROPS,
    ENOUGH,
    LEAST,
    MOST,
    PAIRS,
    RACED,
    RESERVE,
    RIVALS,
    SHORT,
    Costs,
    Plan,
    Step,
    plan,
)

STEPS: tuple[Step, ...] = (
    "compare",
    "search",
    "check",
    "grid",
    "rival",
    "teach",
    "train",
    "finish",
)
TYPICAL = Costs(begin=20, epoch=15, trial=70, finish=60)
times = st.floats(1, 100 * 3600)
epochs = st.integers(1, 100)
costs = st.builds(
    Costs,
    begin=st.floats(0, 600),
    epoch=st.floats(0.1, 3600),
    trial=st.floats(0.1, 3600),
    finish=st.floats(0, 600),
    teach=st.none() | st.floats(0, 3600),
    rival=st.none() | st.floats(0.1, 3600),
)


def planned(seconds: float, own: Costs, whole: int, *, compare: bool = False) -> Plan:
    try:
        return plan(seconds, own, epochs=whole, compare=compare)
    except InvalidSetting:
        assume(False)
        raise


@given(times, costs, epochs, st.booleans())
def test_a_plan_never_takes_more_than_the_time(
    seconds: float, own: Costs, whole: int, compare: bool
) -> None:
    found = planned(seconds, own, whole, compare=compare)
    assert found.seconds <= (1 - RESERVE) * seconds * (1 + 1e-9)


@given(times, costs, epochs)
def test_a_plan_ends_with_a_trained_and_evaluated_network(
    seconds: float, own: Costs, whole: int
) -> None:
    found = planned(seconds, own, whole)
    assert [part.step for part in found.parts][-2:] == ["train", "finish"]
    assert 1 <= found.count("train") <= whole


@given(times, st.floats(1, 10), costs, epochs, st.booleans())
def test_with_more_time_no_step_gets_less(
    seconds: float, more: float, own: Costs, whole: int, compare: bool
) -> None:
    found = planned(seconds, own, whole, compare=compare)
    larger = planned(seconds * more, own, whole, compare=compare)
    assert all(found.count(step) <= larger.count(step) for step in STEPS)


@given(times, costs, epochs)
def test_a_time_is_refused_only_if_no_epoch_fits_and_the_time_that_is_named_does(
    seconds: float, own: Costs, whole: int
) -> None:
    try:
        plan(seconds, own, epochs=whole)
    except InvalidSetting as problem:
        assert own.finish + own.begin + own.epoch > (1 - RESERVE) * seconds - 1e-6
        hours = float(str(problem).partition("--hours ")[2].split()[0])
        assert plan(3600 * hours, own, epochs=whole).count("train") >= 1


@given(times, costs, epochs)
def test_a_plan_is_read_back_from_plain_data(seconds: float, own: Costs, whole: int) -> None:
    found = planned(seconds, own, whole)
    assert Plan.from_dict(found.to_dict()) == found


@given(times, costs, epochs, st.booleans())
def test_steps_stand_in_their_order_and_what_is_missing_is_said(
    seconds: float, own: Costs, whole: int, compare: bool
) -> None:
    found = planned(seconds, own, whole, compare=compare)
    order = [part.step for part in found.parts]
    assert order == [step for step in STEPS if step in order]
    said = " ".join(found.left_out)
    assert ("no comparison of the weights" in said) == (compare and not found.count("compare"))
    assert compare or not found.count("compare")
    assert ("no search" in said) == (not found.count("search"))
    if found.count("search"):
        assert ("no check" in said) == (not found.count("check"))
        assert ("no grid" in said) == (not found.count("grid"))
    assert ("no teacher" in said) == (own.teach is not None and not found.count("teach"))
    if found.count("check"):
        lacks = own.rival is not None and not found.count("rival")
        assert ("no published network" in said) == lacks
    else:
        assert not found.count("rival")
    assert ("of the training" in said or "the training has" in said) == (
        found.count("train") < whole
    )


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (3, {"train": 6}),
        (9, {"train": 8}),
        (24, {"train": 8, "search": 16}),
        (60, {"train": 8, "search": 30, "check": CHECKED}),
        (180, {"train": 8, "search": MOST, "check": CHECKED, "grid": RACED}),
    ],
)
def test_what_some_times_are_spent_on(minutes: float, expected: dict[Step, int]) -> None:
    found = plan(60 * minutes, TYPICAL, epochs=8)
    assert {s: n for s in STEPS if (n := found.count(s)) and s != "finish"} == expected


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (3, {"train": 6}),
        (5, {"train": 8, "teach": CROPS}),
        (24, {"train": 8, "teach": CROPS, "search": 15}),
        (58, {"train": 8, "teach": CROPS, "search": 30, "check": CHECKED}),
        (70, {"train": 8, "teach": CROPS, "search": 30, "check": CHECKED, "rival": RIVALS}),
    ],
)
def test_a_teacher_comes_before_a_search_and_a_rival_before_a_grid(
    minutes: float, expected: dict[Step, int]
) -> None:
    costs = replace(TYPICAL, teach=80, rival=100)
    found = plan(60 * minutes, costs, epochs=8)
    assert {s: n for s in STEPS if (n := found.count(s)) and s != "finish"} == expected
    of = {part.step: part.seconds for part in found.parts}
    assert of.get("teach", 80) == 80
    assert of.get("rival", 100 * RIVALS) == 100 * RIVALS


def test_a_teacher_or_a_rival_that_takes_too_long_is_left_out_however_much_time_there_is() -> None:
    found = plan(36_000, replace(TYPICAL, teach=121, rival=211), epochs=8)
    assert not found.count("teach")
    assert not found.count("rival")
    said = " ".join(found.left_out)
    assert "no teacher: its answers would take 2 min 1 s" in said
    assert "no published network beside it: a training of it would take 3 min 31 s" in said


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (9, {"train": 8}),
        (13, {"train": 8, "compare": 2 * PAIRS}),
        (24, {"train": 8, "compare": 2 * PAIRS, "search": 9}),
        (180, {"train": 8, "compare": 2 * PAIRS, "search": MOST, "check": CHECKED, "grid": RACED}),
    ],
)
def test_weights_that_were_found_are_compared_before_anything_is_searched(
    minutes: float, expected: dict[Step, int]
) -> None:
    found = plan(60 * minutes, TYPICAL, epochs=8, compare=True)
    assert {s: n for s in STEPS if (n := found.count(s)) and s != "finish"} == expected
    if found.count("compare"):
        assert found.parts[0].seconds == COMPARED * TYPICAL.trial


def test_nothing_is_searched_in_a_short_time_however_fast_the_machine() -> None:
    fast = replace(TYPICAL, begin=0.0, epoch=0.1, trial=0.1, finish=1)
    assert plan(SHORT - 1, fast, epochs=8).count("search") == 0
    assert plan(SHORT, fast, epochs=8).count("search") >= LEAST
    assert ENOUGH <= MOST


@given(st.integers(1, 10_000), st.data())
def test_an_interval_holds_the_share_and_lies_in_its_range(
    images: int, data: st.DataObject
) -> None:
    right = data.draw(st.integers(0, images))
    low, high = wilson(right, images)
    assert 0 <= low <= right / images <= high <= 1
    wide_low, wide_high = wilson(2 * right, 2 * images)
    assert high - low > wide_high - wide_low


def test_an_interval_is_the_published_one() -> None:
    # Source: Newcombe 1998, table I, method 3: 81 of 263, 15 of 148.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
