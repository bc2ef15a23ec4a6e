"""Two ways to train, by pairs of trainings and by images: what may be said of them."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from autoscale.errors import InvalidSetting
from autoscale.racing.crossed import Advice, CrossedLead, advise
from autoscale.racing.paired import student

Answers = NDArray[np.bool_]
#: Both ways, pairs, images.
answers = arrays(bool, st.tuples(st.just(2), st.integers(0, 4), st.integers(1, 12)))


def trained(
    rng: np.random.Generator, *, pairs: int, images: int, of_seed: float, of_way: float
) -> Answers:
    """Answers of two ways that are equally good over all seeds and images.

    An answer is right where the sum of all that decides it is above 0: how hard the image is, to
    which of the ways it comes easier, how the training went, and chance.
    """
    image, suits = rng.normal(0, 1.5, images), rng.normal(0, of_way, images)
    training = rng.normal(0, of_seed, (2, pairs, 1))
    way = np.array([1, -1]).reshape(2, 1, 1)
    drawn = image + way * suits + training + rng.logistic(0, 0.8, (2, pairs, images))
    return np.asarray(drawn > -0.6)


def test_the_interval_is_that_of_the_published_analysis() -> None:
    """The mean squares and Hillis's degrees of freedom, worked out from their definitions."""
    rng = np.random.default_rng(3)
    own, other = trained(rng, pairs=4, images=60, of_seed=0.4, of_way=1.0)
    gains = own.astype(int) - other
    pairs, images = gains.shape
    total = gains.mean()
    by_seed = images * sum((row.mean() - total) ** 2 for row in gains) / (pairs - 1)
    by_image = pairs * sum((column.mean() - total) ** 2 for column in gains.T) / (images - 1)
    rest = sum(
        (gains[s, i] - gains[s].mean() - gains[:, i].mean() + total) ** 2
        for s in range(pairs)
        for i in range(images)
    ) / ((pairs - 1) * (images - 1))
    assert by_seed > rest, "an example in which seeds scatter"
    whole = by_seed + max(0.0, by_image - rest)
    freedom = whole**2 / (by_seed**2 / (pairs - 1))
    found = CrossedLead.of(own, other)
    assert found.lead == pytest.approx(total)
    assert found.high is not None
    reach = student(int(freedom)) * sqrt(whole / (pairs * images))
    assert found.high - total == pytest.approx(reach)


@given(answers)
def test_what_one_way_leads_the_other_lags(both: Answers) -> None:
    ahead, behind = CrossedLead.of(*both), CrossedLead.of(*both[::-1])
    opposite = {"weights": "scratch", "scratch": "weights"}
    assert behind.advice == opposite.get(ahead.advice, ahead.advice)
    if ahead.low is not None and ahead.high is not None:
        assert -1 <= ahead.low <= (ahead.lead or 0.0) <= ahead.high <= 1
        assert behind.high == pytest.approx(-ahead.low)


@given(answers, st.randoms())
def test_neither_the_order_of_pairs_nor_that_of_images_counts(
    both: Answers, random: object
) -> None:
    rng = np.random.default_rng(both.size)
    shuffled = both[:, rng.permutation(both.shape[1])][:, :, rng.permutation(both.shape[2])]
    one, other = CrossedLead.of(*both), CrossedLead.of(*shuffled)
    assert (one.pairs, one.images, one.advice) == (other.pairs, other.images, other.advice)
    if one.low is not None:
        assert other.low == pytest.approx(one.low)


@pytest.mark.parametrize(("of_seed", "of_way"), [(0.0, 1.0), (0.3, 0.0), (0.15, 0.5)])
def test_the_interval_holds_the_difference_as_often_as_it_says(
    of_seed: float, of_way: float
) -> None:
    """Whichever of the two scatters; three pairs, as the command trains by default."""
    rng = np.random.default_rng(0)
    held, wide = 0, 300
    for _ in range(wide):
        own, other = trained(rng, pairs=3, images=200, of_seed=of_seed, of_way=of_way)
        held += CrossedLead.of(own, other).advice == "either"
    assert held / wide > 0.92


def test_images_alone_would_promise_too_much() -> None:
    """The same trainings as above, judged as if they were the only ones that there could be."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        own, other = trained(rng, pairs=3, images=200, of_seed=0.3, of_way=0.0)
        each = (own.astype(float) - other).mean(axis=0)
        held += abs(each.mean()) <= 1.96 * each.std(ddof=1) / sqrt(len(each))
    assert held / 300 < 0.8


def test_a_large_difference_is_seen_by_three_pairs() -> None:
    rng = np.random.default_rng(1)
    own, other = trained(rng, pairs=3, images=300, of_seed=0.1, of_way=0.5)
    own |= rng.random(own.shape) < 0.5
    assert CrossedLead.of(own, other).advice == "weights"
    assert CrossedLead.of(other, own).advice == "scratch"


def test_pairs_that_agree_by_luck_do_not_show_that_there_is_no_scatter() -> None:
    own, other = np.zeros((2, 40), bool), np.zeros((2, 40), bool)
    own[:, 0] = True
    found = CrossedLead.of(own, other)
    assert found.low is not None
    assert found.low < 0 < (found.lead or 0.0)


def test_more_pairs_would_show_a_difference_that_three_cannot() -> None:
    """At so many the interval just leaves out 0; with one less it does not."""
    found = CrossedLead(
        pairs=3, images=600, lead=0.06, low=-0.02, high=0.14, of_seeds=0.03, of_images=0.005
    )
    needed = found.pairs_to_show
    assert needed is not None

    def reach(pairs: int) -> float:
        seeds, images = 0.03**2 * 3 / pairs, 0.005**2
        freedom = (seeds + images) ** 2 / (seeds**2 / (pairs - 1))
        return student(int(freedom)) * sqrt(seeds + images)

    assert reach(needed) < 0.06 <= reach(needed - 1)
    said = advise(found, size="x", training=1.0)
    assert said.endswith(f"(1.00x); about {needed} pairs would show it if that is the difference")
    slight = replace(found, lead=0.001)
    assert slight.pairs_to_show is None
    assert "would show it" not in advise(slight, size="x", training=1.0)
    assert "would show it" not in advise(replace(found, low=0.01), size="x", training=1.0)


@pytest.mark.parametrize("pairs", [0, 1])
def test_below_two_pairs_nothing_is_said(pairs: int) -> None:
    found = CrossedLead.of(np.ones((pairs, 9), bool), np.zeros((pairs, 9), bool))
    assert (found.pairs, found.advice, found.low) == (pairs, "unknown", None)
    said = advise(found, size="5M multiply-adds", training=1.0)
    assert said == (
        f"at 5M multiply-adds nothing can be said of the weights: {pairs} pair{'s' * (pairs != 1)} "
        "of trainings succeeded, two are needed"
    )


@pytest.mark.parametrize(
    ("own", "other"),
    [([[1, 0]], [[1, 0], [0, 0]]), ([[1, 0], [1, 1]], [[1], [0]]), ([[], []], [[], []])],
)
def test_answers_to_other_images_are_refused(own: list[list[int]], other: list[list[int]]) -> None:
    with pytest.raises(InvalidSetting, match=r"pair has two trainings|at least 1; got"):
        CrossedLead.of(own, other)


@pytest.mark.parametrize(
    ("lead", "advice", "said"),
    [
        (0.05, "weights", "use the weights"),
        (0.005, "either", "the weights make no difference that 3 pairs of trainings can show"),
        (-0.05, "scratch", "begin from scratch"),
    ],
)
def test_the_advice_says_difference_interval_and_cost(
    lead: float, advice: Advice, said: str
) -> None:
    found = CrossedLead(pairs=3, images=1341, lead=lead, low=lead - 0.01, high=lead + 0.01)
    assert found.advice == advice
    ends = f"{100 * lead - 1:+.1f} to {100 * lead + 1:+.1f}"
    assert advise(found, size="5M multiply-adds", training=1.1) == (
        f"at 5M multiply-adds {said}: with them {100 * lead:+.1f} points, 95% interval {ends} over "
        "3 pairs and 1,341 images, at equal training cost (1.10x)"
    )
    assert "at unequal training cost (1.40x)" in advise(found, size="x", training=1.4)
