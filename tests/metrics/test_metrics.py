"""Metrics against values worked out by hand, and laws that hold for all predictions."""

from __future__ import annotations

from math import exp, log, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscale.errors import InvalidSetting
from autoscale.metrics.choice import MetricChoice
from autoscale.metrics.intervals import bootstrapped, of_mean, of_mean_share, wilson
from autoscale.metrics.metric import Metric
from autoscale.metrics.predictions import Predictions

NAMES = ("cat", "dog", "eel")
ALL = ("accuracy", "balanced-accuracy", "macro-f1", "auroc", "recall:dog", "top-2", "log-loss")
#: Between 0 and 1, the larger the better.
SHARES = tuple(name for name in ALL if name != "log-loss")


def metric(name: str, classes: tuple[str, ...] = NAMES) -> Metric:
    return MetricChoice.named(name).for_classes(classes)


def answered(labels: list[int], answers: list[int], classes: int = 3) -> Predictions:
    """Predictions whose largest logit is that of `answers`."""
    return Predictions(np.array(labels), np.eye(classes)[answers])


@st.composite
def predictions(draw: st.DrawFn, *, even: bool = False) -> Predictions:
    """Of three classes that all have images; equal numbers of them if `even`."""
    if even:
        labels = np.repeat(np.arange(3), draw(st.integers(1, 6)))
    else:
        counts = [draw(st.integers(1, 6)) for _ in range(3)]
        labels = np.repeat(np.arange(3), counts)
    cells = st.lists(
        st.floats(-4, 4).map(lambda one: round(one, 2)),
        min_size=3 * len(labels),
        max_size=3 * len(labels),
    )
    return Predictions(labels, np.array(draw(cells)).reshape(len(labels), 3))


# By hand. Of 4 cats 3 are right and one is called dog; of 2 dogs 1 is right and one is called cat;
# the only eel is right.

SEVEN = answered([0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 0, 2])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 5 / 7),
        ("balanced-accuracy", (3 / 4 + 1 / 2 + 1) / 3),
        ("macro-f1", (2 * 3 / (4 + 4) + 2 * 1 / (2 + 2) + 1) / 3),
        ("recall:dog", 1 / 2),
        ("recall:eel", 1.0),
    ],
)
def test_seven_images_by_hand(name: str, expected: float) -> None:
    assert metric(name).of(SEVEN) == pytest.approx(expected, rel=1e-12)


def test_log_loss_is_the_mean_negative_logarithm_of_the_right_probability() -> None:
    shares = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    found = metric("log-loss").of(Predictions(np.array([0, 1]), np.log(shares)))
    assert found == pytest.approx(-(log(0.5) + log(0.8)) / 2)


def test_the_area_under_the_curve_counts_pairs_and_halves_of_equal_ones() -> None:
    # Positives 0.9 and 0.5, negatives 0.5 and 0.1: of 4 pairs 3 are in order and one is equal.
    shares = np.array([0.9, 0.5, 0.5, 0.1])
    logits = np.log(np.stack([shares, 1 - shares], axis=1))
    found = metric("auroc", ("yes", "no")).of(Predictions(np.array([0, 0, 1, 1]), logits))
    assert found == pytest.approx(3.5 / 4)


def test_the_best_two_of_three_hold_the_class_or_not() -> None:
    logits = np.array([[3.0, 2.0, 1.0]] * 3)
    assert metric("top-2").of(Predictions(np.array([0, 1, 2]), logits)) == pytest.approx(2 / 3)


def test_of_equal_logits_the_first_are_the_best() -> None:
    same = Predictions(np.array([0, 1, 2]), np.zeros((3, 3)))
    assert metric("top-2").of(same) == pytest.approx(2 / 3)
    assert metric("accuracy").of(same) == pytest.approx(1 / 3)


def test_a_class_without_images_is_left_out_of_the_mean() -> None:
    two = answered([0, 0, 1, 1], [0, 1, 1, 1])
    assert metric("balanced-accuracy").of(two) == pytest.approx((1 / 2 + 1) / 2)
    assert metric("macro-f1").of(two) == pytest.approx((2 / 3 + 2 * 2 / 5) / 2)


def test_odds_are_those_of_the_probabilities_and_stay_apart_where_these_are_1() -> None:
    found = Predictions(np.array([0, 0, 0]), np.array([[1.0, 0, -2], [50, 0, 1], [90, 0, 1]]))
    share = np.exp(found.log_probabilities[0])
    assert found.log_odds[0] == pytest.approx(np.log(share / (1 - share)))
    assert found.log_odds[1:, 0] == pytest.approx(np.array([50, 90]) - log(1 + exp(1)))


# Laws


@given(predictions(even=True))
def test_balanced_accuracy_is_accuracy_where_classes_are_even(found: Predictions) -> None:
    balanced, plain = metric("balanced-accuracy").of(found), metric("accuracy").of(found)
    assert balanced == pytest.approx(plain)


@given(predictions())
def test_balanced_accuracy_is_the_mean_of_the_recalls(found: Predictions) -> None:
    recalls = [metric(f"recall:{name}").of(found) for name in NAMES]
    assert metric("balanced-accuracy").of(found) == pytest.approx(np.mean(recalls))


@given(predictions())
def test_shares_lie_between_0_and_1_and_log_loss_above_0(found: Predictions) -> None:
    assert all(0 <= metric(name).of(found) <= 1 for name in SHARES)
    assert metric("log-loss").of(found) >= 0


@given(predictions())
def test_top_1_is_accuracy_and_more_answers_never_hold_less(found: Predictions) -> None:
    assert metric("top-1").of(found) == metric("accuracy").of(found)
    assert metric("top-2").of(found) >= metric("top-1").of(found)


@given(predictions(), st.floats(0.2, 3))
def test_the_area_depends_on_the_order_of_scores_alone(found: Predictions, power: float) -> None:
    # Of two classes the probability of the first rises with the difference of the logits.
    two = Predictions(np.minimum(found.labels, 1), found.logits[:, :2])
    apart = np.round(two.logits[:, 0] - two.logits[:, 1], 2)
    plain = np.stack([apart, 0 * apart], axis=1)
    bent = np.stack([np.sign(apart) * np.abs(apart) ** power, 0 * apart], axis=1)
    area = metric("auroc", ("yes", "no"))
    first, second = (area.of(Predictions(two.labels, logits)) for logits in (plain, bent))
    assert first == pytest.approx(second)


@given(predictions())
def test_logits_the_other_way_round_turn_the_area_over(found: Predictions) -> None:
    two = Predictions(np.minimum(found.labels, 1), found.logits[:, :2])
    turned = Predictions(two.labels, two.logits[:, ::-1].copy())
    area = metric("auroc", ("yes", "no"))
    assert area.of(two) + area.of(turned) == pytest.approx(1)


@given(predictions(), st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_matter(found: Predictions, random: Any) -> None:
    order = list(range(len(found)))
    random.shuffle(order)
    mixed = Predictions(found.labels[order], found.logits[order])
    for name in ALL:
        assert metric(name).of(mixed) == pytest.approx(metric(name).of(found))


@given(predictions())
def test_an_image_that_counts_twice_is_one_that_is_there_twice(found: Predictions) -> None:
    twice = Predictions(
        np.append(found.labels, found.labels[0]), np.vstack([found.logits, found.logits[:1]])
    )
    weights = np.ones((1, len(found)))
    weights[0, 0] = 2
    for name in ALL:
        assert metric(name).weighted(found, weights)[0] == pytest.approx(metric(name).of(twice))


@given(predictions())
def test_a_cost_of_1_for_each_wrong_answer_is_what_accuracy_lacks(found: Predictions) -> None:
    from autoscale.metrics.answers import ExpectedCost

    wrong = ExpectedCost("cost:x.csv", tuple(map(tuple, 1 - np.eye(3))))
    assert wrong.of(found) == pytest.approx(1 - metric("accuracy").of(found))
    assert wrong.quality(wrong.of(found)) == pytest.approx(metric("accuracy").of(found))


@given(predictions())
def test_an_interval_lies_around_its_value(found: Predictions) -> None:
    for name in ("accuracy", "balanced-accuracy", "recall:dog", "top-2", "log-loss"):
        low, high = metric(name).interval(found)
        assert low - 1e-9 <= metric(name).of(found) <= high + 1e-9


@settings(max_examples=10)
@given(predictions())
def test_a_network_has_no_lead_over_itself(found: Predictions) -> None:
    lead, (low, high) = metric("macro-f1").lead(found, found)
    assert (lead, low, high) == (0, 0, 0)


# Intervals


def test_wilsons_interval_of_5_in_10() -> None:
    low, high = wilson(5, 10)  # Wilson 1927, by hand with z = 1.959964
    z = 1.959963984540054
    reach = z * sqrt(0.25 / 10 + z**2 / 400) / (1 + z**2 / 10)
    assert (float(low), float(high)) == pytest.approx((0.5 - reach, 0.5 + reach))


def test_shares_of_0_and_1_have_a_width() -> None:
    low, high = wilson([0, 4], [4, 4])
    assert low[0] == 0
    assert high[1] == 1
    assert high[0] > 0.4
    assert low[1] < 0.6


def test_the_mean_of_one_share_has_its_interval() -> None:
    low, high = wilson(3, 8)
    assert of_mean_share([3], [8]) == pytest.approx((float(low), float(high)))


def test_the_same_seed_draws_the_same_interval() -> None:
    def mean(weights: np.ndarray) -> np.ndarray:
        return weights @ np.arange(20) / weights.sum(axis=1)

    assert bootstrapped(mean, 20, seed=3) == bootstrapped(mean, 20, seed=3)
    assert bootstrapped(mean, 20, seed=3) != bootstrapped(mean, 20, seed=4)


def test_a_bootstrap_of_a_mean_is_about_as_wide_as_its_standard_error_says() -> None:
    values = np.random.default_rng(0).normal(size=400)
    drawn = bootstrapped(lambda weights: weights @ values / weights.sum(axis=1), 400)
    assert drawn == pytest.approx(of_mean(values), abs=0.02)


def test_the_balanced_interval_covers_about_as_often_as_it_says() -> None:
    rng, balanced = np.random.default_rng(1), metric("balanced-accuracy")
    shares, labels, covered = np.array([0.9, 0.6, 0.3]), np.repeat(np.arange(3), (60, 20, 12)), 0
    for _ in range(200):
        right = rng.random(len(labels)) < shares[labels]
        low, high = balanced.interval(
            answered(labels.tolist(), np.where(right, labels, (labels + 1) % 3).tolist())
        )
        covered += low <= shares.mean() <= high
    assert 180 <= covered <= 200


def test_many_draws_of_many_images_do_not_lie_in_memory_at_once() -> None:
    widest = []

    def mean(weights: np.ndarray) -> np.ndarray:
        widest.append(weights.size)
        return weights[:, 0]

    bootstrapped(mean, 100_000, work=1000)
    assert max(widest) <= 4_000_000
    assert sum(widest) == 100 * 100_000


# What a metric says nothing of


@pytest.mark.parametrize(
    ("name", "labels", "said"),
    [
        ("auroc", [0, 0, 1, 2], "auroc needs 2 validation images of each class; there is 1 of dog"),
        ("auroc", [0, 0, 1, 1], "there are 0 of eel"),
        ("balanced-accuracy", [0, 1], "needs 1 validation image of each class; there are 0 of eel"),
        ("macro-f1", [0], "there are 0 of dog, and too few of 1 more"),
        ("recall:eel", [0, 1], "needs validation images of eel, and there is none"),
        ("log-loss", [0], "log-loss needs 2 validation images; there is 1"),
    ],
)
def test_images_of_which_a_metric_says_nothing_are_refused(
    name: str, labels: list[int], said: str
) -> None:
    with pytest.raises(InvalidSetting, match=said):
        metric(name).require(np.array(labels), NAMES, part="validation")


def test_classes_that_the_images_need_not_show_may_lack() -> None:
    metric("auroc").require(
        np.array([0, 0, 2, 2]), NAMES, part="validation", expected=("cat", "eel")
    )


def test_what_learned_nothing_reaches_what_one_answer_does() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [2])
    reached = {name: metric(name).of_one_answer(labels, 3) for name in ALL}
    assert reached == pytest.approx(
        {
            "accuracy": 0.6,
            "balanced-accuracy": 1 / 3,
            "macro-f1": 2 * 6 / (6 + 10) / 3,
            "auroc": 0.5,
            "recall:dog": None,
            "top-2": 0.9,
            "log-loss": -(0.6 * log(0.6) + 0.3 * log(0.3) + 0.1 * log(0.1)),
        }
    )


def test_a_smaller_loss_is_better_and_worth_more() -> None:
    loss = metric("log-loss")
    assert loss.better(0.1, 0.2)
    assert loss.quality(0.1) == pytest.approx(exp(-0.1))
    assert metric("auroc").better(0.2, 0.1)


def test_a_lead_is_above_0_where_the_first_is_better_whichever_way_it_counts() -> None:
    sure = Predictions(np.array([0, 1, 2] * 20), 5 * np.eye(3)[[0, 1, 2] * 20])
    unsure = Predictions(sure.labels, sure.logits / 5)
    lead, (low, high) = metric("log-loss").lead(sure, unsure)
    assert low - 1e-9 <= lead <= high + 1e-9
    assert lead > 0
    assert metric("log-loss").lead(unsure, sure)[0] == pytest.approx(-lead)


def test_logits_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="not finite"):
        Predictions(np.array([0]), np.array([[0.0, np.nan]]))
    with pytest.raises(InvalidSetting, match="do not go together"):
        Predictions(np.array([0, 1]), np.zeros((1, 2)))
