"""Metrics of images that may have several labels: against values by hand, slow ways, and laws."""

from __future__ import annotations

from itertools import product
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from autoscale.errors import InvalidSetting
from autoscale.metrics.choice import MetricChoice
from autoscale.metrics.metric import Metric
from autoscale.metrics.predictions import Predictions, said_by
from autoscale.metrics.several import MeanAveragePrecision, best_thresholds

NAMES = ("dress", "long", "red")
ALL = ("map", "macro-f1", "micro-f1", "auroc", "exact-match", "recall:red", "log-loss")


def metric(name: str, classes: tuple[str, ...] = NAMES) -> Metric:
    return MetricChoice.named(name).for_classes(classes, several=True)


@st.composite
def predictions(draw: st.DrawFn) -> Predictions:
    """Of three classes, each of which some images have and some have not."""
    count = draw(st.integers(4, 9))
    cells = draw(st.lists(st.booleans(), min_size=3 * count, max_size=3 * count))
    labels = np.array(cells, dtype=np.int64).reshape(count, 3)
    labels[:2], labels[2:4] = 1, 0
    numbers = st.lists(st.integers(-4, 4), min_size=3 * count, max_size=3 * count)
    return Predictions(labels, np.array(draw(numbers), dtype=float).reshape(count, 3) / 2)


# By hand. Four images of two classes; said are those whose logit is at least 0.

FOUR = Predictions(
    np.array([[1, 0], [1, 1], [0, 1], [0, 0]]),
    np.array([[3.0, -1.0], [-1.0, 2.0], [1.0, 1.0], [-2.0, 1.5]]),
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Of the first class the ranks are 1 and 3: (1/1 + 2/3) / 2. Of the second 1 and 3 too.
        ("map", 5 / 6),
        # First: said of images 0 and 2, right once. Second: of 1, 2 and 3, right twice.
        ("macro-f1", (2 * 1 / (2 + 2) + 2 * 2 / (2 + 3)) / 2),
        ("micro-f1", 2 * 3 / (4 + 5)),
        # First: positives 3 and -1, negatives 1 and -2. Second: 2 and 1 against -1 and 1.5.
        ("auroc", (3 / 4 + 3 / 4) / 2),
        ("exact-match", 1 / 4),
        ("recall:b", 1.0),
        ("recall:a", 1 / 2),
    ],
)
def test_four_images_by_hand(name: str, expected: float) -> None:
    assert metric(name, ("a", "b")).of(FOUR) == pytest.approx(expected, rel=1e-12)


def test_log_loss_is_the_mean_over_images_and_classes() -> None:
    shares = np.array([[0.75, 0.5], [0.2, 0.9]])
    found = Predictions(np.array([[1, 0], [0, 1]]), np.log(shares / (1 - shares)))
    by_hand = -(log(0.75) + log(0.5) + log(0.8) + log(0.9)) / 4
    assert metric("log-loss", ("a", "b")).of(found) == pytest.approx(by_hand)


def test_thresholds_decide_what_is_said() -> None:
    found = Predictions(FOUR.labels, FOUR.logits, np.array([0.9, 1 / (1 + np.exp(-1.75))]))
    assert found.said.tolist() == [[True, False], [False, True], [False, False], [False, False]]
    assert found.right.tolist() == [True, False, False, True]
    assert said_by(np.array([0.0, -0.1])).tolist() == [True, False]


# Agreement with slow definitions


def slow_average_precision(own: NDArray[np.int64], logits: NDArray[np.floating]) -> float:
    """The mean over images with the class of the precision among all that are as probable."""
    found = []
    for i in np.flatnonzero(own):
        among = logits >= logits[i]
        found.append(own[among].sum() / among.sum())
    return float(np.mean(found))


def slow_auroc(own: NDArray[np.int64], logits: NDArray[np.floating]) -> float:
    pairs = list(product(logits[own == 1], logits[own == 0]))
    return float(np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs]))


@given(predictions())
def test_average_precision_and_area_agree_with_their_definitions(found: Predictions) -> None:
    columns = list(zip(found.labels.T, found.logits.T, strict=True))
    slow = np.mean([slow_average_precision(*column) for column in columns])
    assert metric("map").of(found) == pytest.approx(slow, rel=1e-9)
    areas = np.mean([slow_auroc(*column) for column in columns])
    assert metric("auroc").of(found) == pytest.approx(areas, rel=1e-9)


@given(predictions(), st.data())
def test_weights_count_as_copies_do(found: Predictions, data: st.DataObject) -> None:
    times = data.draw(
        st.lists(st.integers(1, 3), min_size=len(found), max_size=len(found)).map(np.array)
    )
    copied = Predictions(np.repeat(found.labels, times, axis=0),
                         np.repeat(found.logits, times, axis=0))  # fmt: skip
    for name in ALL:
        weighed = metric(name).weighted(found, times[None].astype(float))[0]
        assert weighed == pytest.approx(metric(name).of(copied), rel=1e-9), name


# Laws


@given(predictions(), st.data())
def test_order_of_images_does_not_matter(found: Predictions, data: st.DataObject) -> None:
    order = np.array(data.draw(st.permutations(range(len(found)))))
    mixed = Predictions(found.labels[order], found.logits[order])
    for name in ALL:
        assert metric(name).of(mixed) == pytest.approx(metric(name).of(found), rel=1e-9), name


@given(predictions())
def test_right_answers_are_best_and_shares_lie_between_0_and_1(found: Predictions) -> None:
    perfect = Predictions(found.labels, 20.0 * (2 * found.labels - 1))
    for name in ALL:
        best, own = metric(name).of(perfect), metric(name).of(found)
        assert metric(name).quality(best) == pytest.approx(1.0, abs=1e-6), name
        assert 0 <= metric(name).quality(own) <= 1, name
        assert not metric(name).better(own, best + 1e-9 * (-1 if name == "log-loss" else 1)), name


@given(predictions())
def test_an_interval_holds_the_value_and_is_the_same_again(found: Predictions) -> None:
    for name in ("map", "exact-match", "recall:red", "micro-f1"):
        low, high = metric(name).interval(found)
        assert (low, high) == metric(name).interval(found)
        assert low - 1e-9 <= metric(name).of(found) <= high + 1e-9 or name in ("map", "micro-f1")


@given(predictions())
def test_a_lead_over_itself_is_none(found: Predictions) -> None:
    for name in ALL:
        assert metric(name).lead(found, found) == (0.0, (0.0, 0.0)), name


@given(predictions())
def test_one_answer_to_all_images_is_no_better_than_its_mark(found: Predictions) -> None:
    marks = {name: metric(name).of_one_answer(found.labels, 3) for name in ALL}
    assert marks.pop("recall:red") is None
    always = Predictions(found.labels, np.ones(found.labels.shape))
    for name, mark in marks.items():
        assert mark is not None
        assert not metric(name).better(metric(name).of(always), mark), name


# Thresholds


@given(predictions())
def test_no_threshold_has_a_larger_f1_on_the_same_images(found: Predictions) -> None:
    thresholds, chosen = best_thresholds(found, least=1)
    assert chosen.all()
    assert ((thresholds > 0) & (thresholds < 1)).all()

    def f1(place: int, cut: float) -> float:
        said, own = found.logits[:, place] >= cut, found.labels[:, place] > 0
        return float(2 * (said & own).sum() / (said.sum() + own.sum()))

    for place, threshold in enumerate(thresholds):
        reached = f1(place, float(np.log(threshold / (1 - threshold))))
        assert reached == pytest.approx(max(f1(place, cut) for cut in np.unique(found.logits)))


def test_a_class_of_few_images_keeps_the_threshold_of_a_half() -> None:
    labels = np.array([[1, 1], [0, 1], [0, 0], [0, 0]])
    logits = np.array([[-3.0, -3], [-4, -2], [-5, -5], [-6, -6]])
    thresholds, chosen = best_thresholds(Predictions(labels, logits), least=2)
    assert chosen.tolist() == [False, True]
    assert thresholds[0] == 0.5
    assert thresholds[1] == pytest.approx(1 / (1 + np.exp(4.0)))  # between logits -3 and -5


# What is refused


@pytest.mark.parametrize(
    ("name", "several", "reason"),
    [
        ("balanced-accuracy", True, "of images with one label each"),
        ("top-2", True, "of images with one label each"),
        ("accuracy", True, "exact-match is the share of images of which all are right"),
        ("recall:blue", True, "no class 'blue'"),
        ("map", False, "of images that may have several labels"),
        ("exact-match", False, "of images that may have several labels"),
        ("micro-f1", False, "of images that may have several labels"),
    ],
)
def test_a_metric_of_other_labels_is_refused(name: str, several: bool, reason: str) -> None:
    with pytest.raises(InvalidSetting, match=reason):
        MetricChoice.named(name).for_classes(NAMES, several=several)


def test_a_table_of_costs_is_refused(tmp_path: object) -> None:
    file = f"{tmp_path}/costs.csv"
    with open(file, "w") as out:
        out.write("truth,a,b\na,0,1\nb,2,0\n")
    with pytest.raises(InvalidSetting, match="of images with one label each"):
        MetricChoice.named(f"cost:{file}").for_classes(("a", "b"), several=True)


@pytest.mark.parametrize(
    ("name", "labels", "reason"),
    [
        ("auroc", [[1, 1], [1, 1], [1, 0], [1, 0]], "2 images without each label; there are 0"),
        ("auroc", [[1, 1], [0, 1], [0, 0], [0, 0]], "2 images with each label; there is 1 with a"),
        ("map", [[0, 1], [0, 1]], "1 image with each label; there are 0 with a"),
        ("macro-f1", [[0, 1], [0, 1]], "1 image with each label"),
        ("micro-f1", [[0, 0], [0, 0]], "none has one"),
        ("recall:a", [[0, 1], [0, 1]], "images with a, and there is none"),
        ("log-loss", [[0, 1]], "needs 2 images"),
    ],
)
def test_images_of_which_a_metric_says_nothing_are_refused(
    name: str, labels: list[list[int]], reason: str
) -> None:
    with pytest.raises(InvalidSetting, match=reason):
        metric(name, ("a", "b")).require(np.array(labels), ("a", "b"), part="")


def test_labels_and_logits_of_other_shapes_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="a label for each logit"):
        Predictions(np.zeros((2, 3), dtype=np.int64), np.zeros((2, 2)))


def test_in_the_place_of_accuracy_stands_mean_average_precision() -> None:
    assert MetricChoice().suited(several=True).name == "map"
    assert MetricChoice().suited(several=False).usual
    assert MetricChoice.named("auroc").suited(several=True).name == "auroc"
    assert MeanAveragePrecision().by_class(FOUR) == pytest.approx([5 / 6, 5 / 6])
