"""What trainings say of efforts: intervals that hold what they promise, and words for them."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from autoscale.advice import posterior
from autoscale.advice.design import points
from autoscale.advice.efforts import Advice, Effort, advise, class_gains
from autoscale.advice.law import Amounts, Law
from autoscale.advice.posterior import (
    Interval,
    LawPosterior,
    Measured,
    covariance,
    fit_law,
    interval,
)
from autoscale.advice.verdict import class_sentence, sentences
from autoscale.errors import InvalidSetting
from autoscale.metrics.answers import Accuracy, BalancedAccuracy, MacroF1, Recall, TopK
from autoscale.metrics.predictions import Predictions

BASE = Amounts(images=2000, epochs=4, macs=1e6, pixels=32)
SIZES: dict[Any, tuple[float, float]] = {
    "base": (1, 1), "smaller": (0.5, 1), "larger": (2, 1), "fewer pixels": (1, 0.7),
    "more pixels": (1, 1.4),
}  # fmt: skip
#: Two trainings of each kind that `autoscale advise` makes.
MADE = [
    Amounts(
        images=point.images,
        epochs=point.epochs,
        macs=1e6 * SIZES[point.size][0],
        pixels=32 * SIZES[point.size][1],
    )
    for point in points(2000, 4, classes=10, halvings=2, sizes=SIZES)
    for _ in range(2)
]
EFFORTS = {
    "images": Effort(key="images", words="2,000 more images", amounts=replace(BASE, images=4000)),
    "epochs": Effort(key="epochs", words="4 more epochs", amounts=replace(BASE, epochs=8)),
    "macs": Effort(key="macs", words="twice the multiply-adds", amounts=replace(BASE, macs=2e6)),
    "pixels": Effort(key="pixels", words="more pixels", amounts=replace(BASE, pixels=45)),
}
LAW = Law.of(BASE, MADE, ceiling=0.9)
IMAGES = 400
EVEN = np.full(IMAGES, 1 / IMAGES)


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Laws of fewer draws, which are quicker and less precise."""
    monkeypatch.setattr(posterior, "DRAWS", 384)


def answers(errors: np.ndarray, random: np.random.Generator, count: int = IMAGES) -> np.ndarray:
    """Which images are answered wrong: an image that is hard for one training is for most."""
    hard, own = random.standard_normal(count), random.standard_normal((len(errors), count))
    bounds = np.array([NormalDist().inv_cdf(error) for error in errors])
    wrong: np.ndarray = np.sqrt(0.7) * hard + np.sqrt(0.3) * own < bounds[:, None]
    return wrong


def trained(parameters: np.ndarray, random: np.random.Generator, **rest: Any) -> list[Measured]:
    """Trainings as one law makes them, with the noise of seeds and of images."""
    errors = LAW.errors(parameters, LAW.positions(MADE))[0]
    errors = errors + random.normal(0, LAW.noise(parameters)[0], len(errors))
    wrong = answers(np.clip(errors, 0.001, 0.999), random, **rest)
    return [
        Measured(amounts=amounts, error=float(own.mean()), wrong=own)
        for amounts, own in zip(MADE, wrong, strict=True)
    ]


def law_of(**powers: float) -> np.ndarray:
    """A law with an error of 0.4 at the base, which falls by these powers of amounts."""
    own = [powers.get(axis, 0.01) for axis in LAW.axes]
    return np.array([[np.log(0.4 / 0.5), *own, *([0.0] * 4), np.log(0.004)]])


def simulated(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of laws from the prior, the true gains and their intervals at 90 %."""
    random, true, found = np.random.default_rng(3), [], []
    for _ in range(count):
        parameters = LAW.drawn(1, random)
        measured = trained(parameters, random)
        fitted = fit_law(measured, BASE, weights=EVEN, ceiling=0.9, draws=256)
        own = LawPosterior(law=LAW, parameters=parameters)
        true.append([own.gains(effort.amounts)[0] for effort in EFFORTS.values()])
        intervals = [interval(fitted.gains(e.amounts), 0.9) for e in EFFORTS.values()]
        found.append([(one.low, one.high) for one in intervals])
    return np.array(true), np.array(found)


def test_intervals_hold_the_true_gain_and_are_narrower_than_without_trainings() -> None:
    true, found = simulated(10)
    held = (found[..., 0] <= true) & (true <= found[..., 1])
    assert held.mean() >= 0.75  # of 40, which do not go alone
    prior = LawPosterior(law=LAW, parameters=LAW.drawn(4000, np.random.default_rng(0)))
    usual = [interval(prior.gains(effort.amounts), 0.9) for effort in EFFORTS.values()]
    widths = np.median(found[..., 1] - found[..., 0], axis=0)
    assert (widths < [0.5 * (one.high - one.low) for one in usual]).all()


@pytest.mark.slow
def test_intervals_at_90_percent_hold_the_true_gain_in_about_90_of_100_cases() -> None:
    true, found = simulated(150)
    held = (found[..., 0] <= true) & (true <= found[..., 1])
    assert 0.82 <= held.mean() <= 0.95


def found_for(parameters: np.ndarray, *, seed: int = 0, count: int = 2000) -> Advice:
    measured = trained(parameters, np.random.default_rng(seed), count=count)
    weights = np.full(count, 1 / count)
    return advise(measured, BASE, [*EFFORTS.values()], weights=weights, ceiling=0.9)


def test_where_images_are_lacking_they_are_named() -> None:
    lacking = found_for(law_of(images=0.5))
    assert lacking.best is not None
    assert lacking.best.effort.key == "images"
    assert lacking.best.chance_best > 0.9
    true = LawPosterior(law=LAW, parameters=law_of(images=0.5))
    gain = lacking.best.gain
    assert gain is not None
    assert gain.mean == pytest.approx(true.gains(EFFORTS["images"].amounts)[0], abs=0.03)
    told = sentences(lacking, quality="accuracy")
    assert told[0].startswith("Believed to buy, in points of accuracy: 2,000 more images ")
    assert told[1].startswith("Likeliest to buy most, with a chance of ")
    assert told[1].partition(": ")[2].startswith("2,000 more images")


def test_where_nothing_helps_little_is_believed_and_intervals_that_hold_0_tell_nothing() -> None:
    done = found_for(law_of(), count=400)
    gains = {one.effort.key: one.gain for one in done.gains}
    assert all(gain is not None and gain.mean < 0.03 for gain in gains.values())
    around_0 = Interval(mean=0.004, low=-0.003, high=0.012)
    silent = replace(done, gains=tuple(replace(one, gain=around_0) for one in done.gains))
    assert silent.best is None
    said = sentences(silent, quality="accuracy")
    assert said[1] == "These trainings cannot tell: every interval holds 0."


def test_the_same_trainings_give_the_same_figures_to_the_bit() -> None:
    measured = trained(law_of(images=0.3, seen=0.2), np.random.default_rng(1))
    one, two = (fit_law(measured, BASE, weights=EVEN, draws=256).parameters for _ in range(2))
    assert np.array_equal(one, two)


def test_farther_is_less_sure() -> None:
    measured = trained(law_of(images=0.3, seen=0.2), np.random.default_rng(1))
    fitted = fit_law(measured, BASE, weights=EVEN, ceiling=0.9, draws=512)
    widths = []
    for factor in (1.5, 3, 10):
        found = interval(fitted.gains(replace(BASE, images=2000 * factor)), 0.9)
        widths.append(found.high - found.low)
    assert widths == sorted(widths)


def test_too_few_trainings_tell_nothing_and_say_so() -> None:
    measured = trained(law_of(images=0.5), np.random.default_rng(0))[:3]
    found = advise(measured, BASE, [*EFFORTS.values()], weights=EVEN)
    assert [gain.gain for gain in found.gains] == [None] * 4
    assert sentences(found, quality="accuracy") == (
        "These trainings cannot tell: 3 succeeded, and a law needs at least 4.",
    )
    with pytest.raises(InvalidSetting, match="at least 4 trainings, got 3"):
        fit_law(measured, BASE, weights=EVEN)


def test_what_no_training_varies_is_not_told() -> None:
    measured = [
        one
        for one in trained(law_of(images=0.5), np.random.default_rng(0))
        if one.amounts.pixels == 32
    ]
    found = advise(measured, BASE, [*EFFORTS.values()], weights=EVEN)
    assert [gain.gain is None for gain in found.gains] == [False, False, False, True]
    assert sentences(found, quality="accuracy")[2] == (
        "No training varies what is needed to tell of more pixels."
    )


# The covariance of errors


def test_the_variance_of_a_difference_is_that_of_the_images_answered_differently() -> None:
    wrong = answers(np.array([0.3, 0.35]), np.random.default_rng(0), count=5000)
    weights = np.full(5000, 1 / 5000)
    measured = [Measured(amounts=BASE, error=float(w.mean()), wrong=w) for w in wrong]
    found = covariance(measured, weights)
    apart = wrong[0].astype(float) - wrong[1]
    expected = apart.var() / 5000
    assert found[0, 0] + found[1, 1] - 2 * found[0, 1] == pytest.approx(expected, rel=0.01)


def test_answers_that_were_not_kept_are_taken_to_go_with_the_others_as_these_do() -> None:
    wrong = answers(np.array([0.3, 0.35, 0.3]), np.random.default_rng(0))
    measured = [Measured(amounts=BASE, error=float(w.mean()), wrong=w) for w in wrong]
    whole = covariance(measured, EVEN)
    lacking = covariance([*measured[:2], replace(measured[2], wrong=None)], EVEN)
    assert lacking == pytest.approx(lacking.T)
    assert lacking == pytest.approx(whole, rel=0.25)
    alone = covariance([replace(one, wrong=None) for one in measured], EVEN)
    assert np.count_nonzero(alone - np.diag(np.diag(alone))) == 0


def test_a_training_that_is_always_right_is_not_sure_of_it() -> None:
    perfect = Measured(amounts=BASE, error=0.0, wrong=np.zeros(IMAGES, dtype=bool))
    assert covariance([perfect, perfect], EVEN)[0, 0] > 0


# Classes


def test_a_class_that_lacks_images_gains_most_and_a_small_one_says_nothing() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [1000, 1000, 10])
    lacks, rest = (
        [one.wrong for one in trained(law, random, count=1000)]
        for law in (law_of(images=0.5), law_of())
    )
    measured = []
    for amounts, one, other in zip(MADE, lacks, rest, strict=True):
        assert one is not None
        assert other is not None
        wrong = np.concatenate([one, other, np.zeros(10, dtype=bool)])
        measured.append(Measured(amounts=amounts, error=float(wrong.mean()), wrong=wrong))
    effort = EFFORTS["images"]
    found = class_gains(measured, BASE, effort, labels, ["bus", "car", "rare"])
    assert [one.images for one in found] == [1000, 1000, 10]
    bus, car, rare = (one.gain for one in found)
    assert rare is None
    assert bus is not None
    assert car is not None
    assert bus.low > 0
    assert bus.mean > 2 * car.mean
    said = class_sentence(found, effort.words) or ""
    assert said.startswith("From 2,000 more images these classes gain in recall: bus ")
    assert said.endswith("1 of 3 classes have too few validation images to tell.")
    assert class_sentence((), effort.words) is None
    said = class_sentence(found[2:], effort.words) or ""
    assert said == "No class has enough validation images to tell what it gains."


# Metrics that have a law


@pytest.mark.parametrize("metric", [Accuracy(), BalancedAccuracy(), Recall("recall:b", "b", 1)])
def test_weights_of_images_give_the_metric_again(metric: Any) -> None:
    random = np.random.default_rng(0)
    told = Predictions(np.repeat([0, 1, 2], [5, 20, 9]), random.normal(size=(34, 3)))
    weights = metric.image_weights(told.labels)
    assert weights.sum() == pytest.approx(1)
    assert weights @ told.right == pytest.approx(metric.of(told))


@pytest.mark.parametrize("metric", [MacroF1(), TopK("top-2", 2)])
def test_a_metric_that_is_no_share_of_right_answers_has_no_weights(metric: Any) -> None:
    assert metric.image_weights(np.array([0, 1])) is None
