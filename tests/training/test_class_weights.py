"""Losses that count by class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from autoscale.aspect import ImageSize
from autoscale.datasets.data import Images
from autoscale.datasets.pictures.preparation import OURS
from autoscale.training.batches import Batch, normalised
from autoscale.training.gradients import Gradients
from autoscale.training.loss.losses import CrossEntropy, Loss, Weighted, balanced_weights
from autoscale.training.recipe import RECIPES, Recipe
from autoscale.training.teacher.crops import FixedCrops
from autoscale.training.teacher.teaching import UNLABELLED, Teaching
from tests.training.trainings import fitted


def linear(classes: int = 3) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, classes))


def batch(labels: list[int]) -> Batch:
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 3, 4, 4), np.uint8)
    return Batch(torch.from_numpy(pixels), torch.tensor(labels))


def gradients(network: nn.Module, weights: tuple[float, ...] | None) -> Gradients:
    loss: Loss = CrossEntropy(0.1)
    return Gradients(
        network,
        torch.device("cpu"),
        loss=loss if weights is None else Weighted(loss, torch.tensor(weights)),
        preparation=OURS,
        teaching=None,
        may_halve=True,
    )


def learned(network: nn.Module, asked: Gradients, images: Batch) -> tuple[float, Tensor]:
    """The loss and the gradient of the classifier."""
    loss = asked(images).item()
    weight = network[1].weight.grad  # type: ignore[index, union-attr]
    assert isinstance(weight, Tensor)
    return loss, weight.clone()


@given(st.lists(st.integers(1, 50), min_size=2, max_size=6))
def test_weights_are_1_on_average_and_give_each_class_the_same_share(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    weights = np.array(balanced_weights(labels, len(counts)))
    assert weights[labels].mean() == pytest.approx(1)
    assert weights * counts == pytest.approx(np.full(len(counts), sum(counts) / len(counts)))


def test_images_without_a_class_are_not_counted() -> None:
    assert balanced_weights(np.array([0, 0, 0, 1, UNLABELLED]), 2) == pytest.approx((2 / 3, 2))


def test_the_loss_is_the_mean_of_weighted_losses() -> None:
    network, images, weights = linear(), batch([0, 0, 1, 2]), (0.5, 1.0, 2.0)
    loss, _ = learned(network, gradients(network, weights), images)
    logits = network(normalised(images.pixels, OURS))
    each = functional.cross_entropy(logits, images.labels, label_smoothing=0.1, reduction="none")
    expected = (each * torch.tensor([0.5, 0.5, 1.0, 2.0])).mean()
    assert loss == pytest.approx(expected.item(), rel=1e-6)


def test_weights_of_1_change_nothing() -> None:
    one, two, images = linear(), linear(), batch([0, 0, 1, 2])
    loss, slope = learned(one, gradients(one, None), images)
    same, other = learned(two, gradients(two, (1.0, 1.0, 1.0)), images)
    assert same == pytest.approx(loss)
    assert torch.allclose(slope, other)


def test_a_batch_in_halves_has_the_same_gradient() -> None:
    weights, images = (0.5, 1.0, 2.0), batch([0, 0, 0, 1, 2, 2])
    one, two = linear(), linear()
    loss, slope = learned(one, gradients(one, weights), images)
    halves = gradients(two, weights)
    halves.halved = True
    other, parts = learned(two, halves, images)
    assert other == pytest.approx(loss)
    assert torch.allclose(slope, parts, atol=1e-6)


def test_what_images_do_not_tell_is_answered_by_shares_or_evenly_with_weights() -> None:
    labels = np.array([0] * 60 + [1] * 6)
    images = Images(np.full((66, 4, 4, 3), 128, np.uint8), labels)  # that tell nothing
    recipe = Recipe(
        epochs=20, batch_size=66, learning_rate=0.1, crop="none", flip=False, schedule="linear"
    )
    shares = []
    for weights in (None, balanced_weights(labels, 2)):
        network = linear(2)
        fitted(
            network, train=images, validation=images, recipe=recipe, resolution=4, seed=0,
            class_weights=weights,
        )  # fmt: skip
        with torch.inference_mode():
            seen = normalised(torch.full((1, 3, 4, 4), 128, dtype=torch.uint8), OURS)
            shares.append(network(seen).softmax(1)[0, 1].item())
    assert shares == pytest.approx([6 / 66, 0.5], abs=0.05)


def test_a_teachers_part_is_not_weighed() -> None:
    crops = FixedCrops(recipe=RECIPES["proxy"], size=ImageSize(4, 4), count=1, seed=0)
    teacher = Teaching(crops=crops, answers={}, weight=1.0, temperature=1.0)
    drawn = torch.Generator().manual_seed(0)
    logits, answers = torch.randn(2, 4, 3, generator=drawn)
    labels, weights = torch.tensor([0, 1, 2, UNLABELLED]), torch.tensor([1.0, 2.0, 3.0])

    def loss(teaching: Teaching, class_weights: Tensor | None) -> float:
        plain = CrossEntropy()
        of_labels = plain if class_weights is None else Weighted(plain, class_weights)
        return teaching.loss(logits, labels, answers, of_labels).item()

    assert loss(teacher, weights) == loss(teacher, None)
    half = replace(teacher, weight=0.5)
    each = functional.cross_entropy(logits, labels, ignore_index=UNLABELLED, reduction="none")
    more = 0.5 * (each * torch.tensor([0.0, 1.0, 2.0, 0.0])).mean()
    assert loss(half, weights) - loss(half, None) == pytest.approx(more.item(), rel=1e-5)
