"""Two networks' answers to the same images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.errors import InvalidSetting
from autoscale.racing.answers import PairedAnswers

COUNTS = st.tuples(*[st.integers(0, 60)] * 4).filter(any)


def paired(both: int, own: int, other: int, neither: int) -> PairedAnswers:
    return PairedAnswers(both=both, own=own, other=other, neither=neither)


def test_answers_are_counted_by_who_was_right() -> None:
    found = PairedAnswers.of([1, 1, 1, 0, 0, 1], [1, 0, 0, 1, 0, 1])
    assert found == paired(2, 2, 1, 1)
    assert found.images == 6
    assert found.lead == pytest.approx(1 / 6)


def test_the_interval_is_that_of_agresti_and_min() -> None:
    """Their example by hand: 53 pairs, 16 and 5 of which differ; z = 1.96."""
    found = paired(20, 16, 5, 12)
    images, own, other = 55, 16.5, 5.5
    middle = 11 / images
    reach = 1.959964 * (((own + other) - 11**2 / images) ** 0.5) / images
    assert found.interval == pytest.approx((middle - reach, middle + reach), abs=1e-6)
    assert found.standing == "better"


@given(COUNTS)
def test_the_other_way_round_the_lead_has_the_other_sign(counts: tuple[int, ...]) -> None:
    one = paired(*counts)
    other = paired(counts[0], counts[2], counts[1], counts[3])
    assert other.lead == -one.lead
    assert other.interval == pytest.approx(tuple(-end for end in reversed(one.interval)))
    turned = {"better": "worse", "worse": "better", "tied": "tied"}
    assert other.standing == turned[one.standing]


@given(COUNTS)
def test_the_interval_has_a_width_and_lies_among_differences_of_shares(
    counts: tuple[int, ...],
) -> None:
    low, high = paired(*counts).interval
    assert -1 <= low < high <= 1


@pytest.mark.parametrize(("own", "other", "share"), [(0.8, 0.8, 0.2), (0.9, 0.85, 0.1)])
def test_the_interval_holds_the_true_lead_as_often_as_it_says(
    own: float, other: float, share: float
) -> None:
    """Of two networks that share some of their luck with an image."""
    draw = np.random.default_rng(0)
    held, repeats = 0, 2000
    for _ in range(repeats):
        luck = draw.random(300)
        second = np.where(draw.random(300) < share, draw.random(300), luck)
        low, high = PairedAnswers.of(luck < own, second < other).interval
        held += low <= own - other <= high
    assert 0.935 <= held / repeats <= 0.975


def test_what_is_said_names_both() -> None:
    said = paired(300, 20, 10, 42).sentence("small", "large")
    assert said.startswith("small and large are tied: +2.7 points, 95% interval ")
    assert said.endswith("over 372 images (20 right by small alone, 10 by large alone)")
    assert paired(300, 2, 40, 30).sentence("small", "large").startswith("large is better than")


@pytest.mark.parametrize(("own", "other"), [([], []), ([True], [True, False])])
def test_answers_to_other_images_are_refused(own: list[bool], other: list[bool]) -> None:
    with pytest.raises(InvalidSetting, match="cannot be paired"):
        PairedAnswers.of(own, other)
