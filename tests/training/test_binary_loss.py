"""The loss of images that may have several labels, and trainings by it."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from autoscale.datasets.data import Images
from autoscale.errors import InvalidSetting
from autoscale.metrics.choice import MetricChoice
from autoscale.training.chance import chance_warning
from autoscale.training.evaluation.evaluate import scored
from autoscale.training.evaluation.evaluation_set import EvaluationSet
from autoscale.training.fit import fit
from autoscale.training.loss.balance import Balance
from autoscale.training.loss.losses import Binary, Focal, balanced_weights, hard_loss
from autoscale.training.nested.gradients import _divergence
from autoscale.training.recipe import RECIPES
from autoscale.training.task import TrainingTask

NUMBERS = st.floats(-20, 20)


def test_by_hand() -> None:
    logits, labels = torch.tensor([[0.0, log(3)]]), torch.tensor([[1, 0]])
    assert Binary().each(logits, labels).item() == pytest.approx((log(2) + log(4)) / 2)
    weighed = Binary(positives=torch.tensor([3.0, 5.0])).each(logits, labels)
    assert weighed.item() == pytest.approx((3 * log(2) + log(4)) / 2)
    # Of what is so the probabilities are 1/2 and 1/4.
    focal = Binary(gamma=2).each(logits, labels).item()
    assert focal == pytest.approx((0.25 * log(2) + 0.5625 * log(4)) / 2)


@given(st.lists(NUMBERS, min_size=6, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6))
def test_it_is_the_cross_entropy_of_two_classes_for_each_label(
    numbers: list[float], truths: list[bool]
) -> None:
    logits = torch.tensor(numbers, dtype=torch.float64).view(2, 3)
    labels = torch.tensor(truths).view(2, 3).long()
    pairs = torch.stack([torch.zeros_like(logits), logits], dim=-1).flatten(0, 1)
    each = functional.cross_entropy(pairs, labels.flatten(), reduction="none").view(2, 3)
    assert torch.allclose(Binary().each(logits, labels), each.mean(dim=1), atol=1e-12)
    focal = Focal(2.0).each(pairs, labels.flatten()).view(2, 3).mean(dim=1)
    assert torch.allclose(Binary(gamma=2.0).each(logits, labels), focal, atol=1e-9)


@given(st.lists(NUMBERS, min_size=4, max_size=4), st.sampled_from([0.0, 0.5, 2.0]))
def test_slopes_are_finite_and_lead_to_the_labels(numbers: list[float], gamma: float) -> None:
    logits = torch.tensor(numbers).view(2, 2).requires_grad_()
    labels = torch.tensor([[1, 0], [0, 1]])
    Binary(gamma=gamma, positives=torch.tensor([2.0, 0.5])).mean(logits, labels).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad * (1 - 2 * labels) >= -1e-6).all()


def test_positives_weigh_as_negatives_do_up_to_a_limit() -> None:
    labels = np.zeros((100, 4), dtype=np.int64)
    labels[:20, 0], labels[:50, 1], labels[0, 2], labels[:, 3] = 1, 1, 1, 1
    assert balanced_weights(labels, 4) == pytest.approx((4.0, 1.0, 20.0, 1 / 20))


def test_the_loss_that_is_asked_for() -> None:
    labels = np.array([[1, 0], [0, 1]])
    assert hard_loss(Balance(), labels, ("a", "b")) is None
    found = hard_loss(Balance(loss="focal:3"), labels, ("a", "b"))
    assert isinstance(found, Binary)
    assert found.gamma == 3


@pytest.mark.parametrize("asked", [{"loss": "logit-adjusted"}, {"sampling": "balanced"}])
def test_what_is_of_one_label_each_is_refused(asked: dict[str, str]) -> None:
    with pytest.raises(InvalidSetting, match="may have several labels; take --class-weights"):
        Balance(**asked).require_several()


def test_networks_inside_learn_each_label_of_the_outer_one() -> None:
    logits, answers = torch.randn(5, 3), torch.randn(5, 3)
    p, q = answers.sigmoid(), logits.sigmoid()
    by_hand = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).sum() / 3
    assert _divergence(logits, answers, several=True).item() == pytest.approx(by_hand.item(), 1e-4)
    assert _divergence(answers, answers, several=True).item() == pytest.approx(0, abs=1e-6)


# Trainings


def two_attributes(count: int, *, seed: int = 0) -> Images:
    """Noise that is brighter where the first label is and redder where the second is."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((count, 2)) < 0.4).astype(np.int64)
    pixels = rng.normal(90, 10, (count, 8, 8, 3)) + 50 * labels[:, :1, None, None]
    pixels[..., 0] += 60 * labels[:, 1, None, None]
    return Images(pixels.clip(0, 255).astype(np.uint8), labels)


def task(**changes: Any) -> TrainingTask:
    recipe = replace(
        RECIPES["proxy"], epochs=20, batch_size=8, label_smoothing=0.0, learning_rate=0.1
    )
    given = {
        "train": two_attributes(64), "validation": two_attributes(40, seed=1), "recipe": recipe,
        "resolution": 8, "seed": 0, **changes,
    }  # fmt: skip
    return TrainingTask(**given)


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))


@pytest.mark.parametrize(
    "changes", [{}, {"loss": Binary(1.0)}, {"class_weights": (2.0, 2.0)}], ids=str
)
def test_a_linear_network_learns_two_attributes(changes: dict[str, Any]) -> None:
    asked = task(
        metric=MetricChoice(name="map").for_classes(("bright", "red"), several=True), **changes
    )
    network = linear()
    before = scored(network, asked, asked.validation)
    found = fit(network, asked)
    assert found.score is not None
    assert before[1] is not None
    assert found.score > max(0.9, before[1])
    assert (
        found.accuracy == EvaluationSet.of(asked, asked.validation).answered_right(network).mean()
    )
    again = fit(linear(), asked)
    assert [one.loss for one in again.epochs] == [one.loss for one in found.epochs]


def test_thresholds_change_what_is_right_and_not_the_ranks() -> None:
    asked = task(metric=MetricChoice(name="map").for_classes(("bright", "red"), several=True))
    network = linear()
    fit(network, asked)
    usual = scored(network, asked, asked.validation)
    same = scored(network, asked, asked.validation, thresholds=np.full(2, 0.5))
    never = scored(network, asked, asked.validation, thresholds=np.full(2, 1 - 1e-12))
    assert usual == same
    assert never[1] == usual[1]
    assert never[0] == (~asked.validation.labels.any(axis=1)).mean()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"balanced": True}, "without a teacher, balanced sampling and label smoothing"),
        ({"loss": Focal(2.0)}, "must be a Binary one, got Focal"),
        (
            {"recipe": replace(RECIPES["proxy"], label_smoothing=0.1)},
            "without a teacher, balanced sampling and label smoothing",
        ),
    ],
)
def test_a_task_refuses_what_is_of_one_label_each(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidSetting, match=reason):
        task(**changes)


def test_an_exact_match_that_one_set_of_labels_reaches_is_told() -> None:
    labels = np.array([[1, 1]] * 6 + [[0, 0]] * 4)
    told = chance_warning(0.6, labels, ("a", "b"))
    assert told is not None
    assert "no better than always saying a, b of every image (0.6000 of 10 images)" in told
    assert chance_warning(1.0, labels, ("a", "b")) is None
    none = chance_warning(0.5, labels[::-1][:5], ("a", "b"))
    assert none is not None
    assert "nothing of any image" in none
    metric = MetricChoice(name="map").for_classes(("a", "b"), several=True)
    assert chance_warning(0.6, labels, ("a", "b"), metric=metric) is not None
    assert chance_warning(0.7, labels, ("a", "b"), metric=metric) is None
