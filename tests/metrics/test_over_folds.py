"""Metrics of networks that answered a fold each."""

from __future__ import annotations

import numpy as np
import pytest

from autoscale.metrics import intervals
from autoscale.metrics.answers import Accuracy, BalancedAccuracy
from autoscale.metrics.folds import over_folds
from autoscale.metrics.intervals import bootstrapped, bootstrapped_by_group
from autoscale.metrics.predictions import Predictions


def answered(right: np.ndarray, labels: np.ndarray | None = None) -> Predictions:
    labels = np.zeros(len(right), dtype=np.int64) if labels is None else labels
    logits = np.zeros((len(right), 2))
    logits[np.arange(len(right)), np.where(right, labels, 1 - labels)] = 1
    return Predictions(labels, logits)


def test_pooled_mean_and_spread_are_those_of_the_definitions() -> None:
    right = np.array([1, 1, 0, 1, 0, 0, 1], dtype=bool)
    folds = np.array([1, 1, 1, 2, 2, 3, 3])
    found = over_folds(Accuracy(), answered(right), folds)
    assert found.value == 4 / 7
    assert found.of_folds == (2 / 3, 1 / 2, 1 / 2)
    assert found.mean == pytest.approx(5 / 9)
    assert found.spread == pytest.approx(np.std([2 / 3, 1 / 2, 1 / 2], ddof=1))
    assert found.interval == Accuracy().interval(answered(right))
    assert "over images; of a fold 0.5556 on average" in found.sentence
    assert found.to_dict()["interval_over"] == "images"


def test_groups_of_one_image_give_the_interval_of_images() -> None:
    right = np.random.default_rng(0).random(90) < 0.7
    labels = np.arange(90) % 2
    own, names = answered(right, labels), [f"{i:03}" for i in range(90)]
    metric = BalancedAccuracy()
    by_group = metric.interval_by_group(own, names, seed=3)
    assert by_group == bootstrapped(lambda w: metric.weighted(own, w), 90, seed=3, work=2)


def test_images_that_are_alike_make_the_interval_wider() -> None:
    """Ten copies of each say no more than one: the interval is that of the originals."""
    right = np.random.default_rng(1).random(60) < 0.7
    copies, groups = np.repeat(right, 10), np.repeat([f"{i:03}" for i in range(60)], 10)
    folds = np.repeat(np.arange(60) % 3, 10)
    grouped = over_folds(Accuracy(), answered(copies), folds, groups=groups.tolist())
    single = over_folds(Accuracy(), answered(copies), folds)
    assert grouped.value == single.value
    low, high = grouped.interval
    assert high - low > 2.5 * (single.interval[1] - single.interval[0])
    originals = answered(right)
    assert grouped.interval == pytest.approx(
        bootstrapped(lambda w: Accuracy().weighted(originals, w), 60), abs=1e-12
    )
    assert "over groups" in grouped.sentence


def test_what_is_held_at_once_does_not_change_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    own = answered(np.random.default_rng(2).random(40) < 0.6)
    groups = [str(i // 4) for i in range(40)]
    whole = bootstrapped_by_group(lambda w: Accuracy().weighted(own, w), groups)
    monkeypatch.setattr(intervals, "_AT_ONCE", 400)
    parts = bootstrapped_by_group(lambda w: Accuracy().weighted(own, w), groups)
    # The draws differ where fewer are made at a time, so the ends agree nearly.
    assert parts == pytest.approx(whole, abs=0.05)
