"""Losses of labels, and epochs that show all classes equally often."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from autoscale.datasets.data import Images
from autoscale.errors import DataProblem, InvalidSetting
from autoscale.runs.checkpoint import read_snapshot, write_snapshot
from autoscale.training.batches import balanced_order, batches, normalised
from autoscale.training.loss.balance import Balance
from autoscale.training.loss.losses import (
    CrossEntropy,
    Focal,
    LogitAdjusted,
    Loss,
    Weighted,
    balanced_weights,
    hard_loss,
)
from autoscale.training.recipe import RECIPES, Recipe
from autoscale.training.state import Snapshot
from autoscale.training.task import TrainingTask
from autoscale.training.teacher.crops import FixedCrops
from autoscale.training.teacher.teaching import UNLABELLED, Teaching
from tests.training.trainings import fitted

RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=0.05, ema_decay=0.9, crop="shift")


def drawn(seed: int = 0, images: int = 6, classes: int = 4) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(images, classes, generator=random)
    return logits.requires_grad_(), torch.randint(classes, (images,), generator=random)


def with_slope(loss: Loss, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    found = loss.mean(logits, labels)
    (slope,) = torch.autograd.grad(found, logits)
    return found.detach(), slope


def uneven(seed: int = 0) -> Images:
    """30, 12 and 3 images of three classes, mixed."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat([0, 1, 2], [30, 12, 3]))
    return Images(random.integers(0, 256, (45, 8, 8, 3), np.uint8), labels)


# Values and gradients


def test_focal_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=torch.float64))
    found = Focal(2.0).each(logits, torch.tensor([0, 0]))
    assert found.tolist() == pytest.approx([-(0.1**2) * math.log(0.9), -(0.8**2) * math.log(0.2)])
    root = Focal(0.5).each(logits, torch.tensor([1, 1]))
    assert root.tolist() == pytest.approx(
        [-(0.9**0.5) * math.log(0.1), -(0.2**0.5) * math.log(0.8)]
    )


def test_logit_adjusted_by_hand() -> None:
    logits = torch.tensor([[1.0, 2.0]])
    found = LogitAdjusted.of([30, 10], tau=2.0).each(logits, torch.tensor([1]))
    common, rare = math.e * 0.75**2, math.e**2 * 0.25**2  # e^(logit + 2 log share)
    assert found.item() == pytest.approx(-math.log(rare / (common + rare)), rel=1e-6)


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(2, 12), st.floats(0, 4))
def test_even_classes_need_no_adjustment_to_the_last_bit(
    seed: int, classes: int, tau: float
) -> None:
    logits, labels = drawn(seed, classes=classes)
    adjusted = with_slope(LogitAdjusted.of([7] * classes, tau=tau), logits, labels)
    plain = functional.cross_entropy(logits, labels)
    assert torch.equal(adjusted[0], plain.detach())
    assert torch.equal(adjusted[1], torch.autograd.grad(plain, logits)[0])


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_a_focus_of_0_is_cross_entropy(seed: int) -> None:
    logits, labels = drawn(seed)
    for found, wanted in zip(
        with_slope(Focal(0.0), logits, labels),
        with_slope(CrossEntropy(), logits, labels),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted, atol=1e-7, rtol=1e-6)


@settings(max_examples=15)
@given(
    st.integers(0, 2**32), st.floats(0.05, 5), st.lists(st.integers(1, 99), min_size=4, max_size=4)
)
def test_gradients_are_those_of_finite_differences(
    seed: int, number: float, counts: list[int]
) -> None:
    logits, labels = drawn(seed)
    exact = logits.detach().double().requires_grad_()
    adjusted = LogitAdjusted.of(counts, tau=number)
    weights = torch.tensor([0.5, 1.0, 2.0, 4.0])
    for loss in (Focal(number), adjusted, Weighted(Focal(number), weights)):
        assert torch.autograd.gradcheck(lambda z, loss=loss: loss.mean(z, labels), (exact,))


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_certain_answers_have_finite_gradients(gamma: float) -> None:
    logits = torch.tensor([[200.0, 0.0], [-200.0, 0.0]], requires_grad=True)
    found, slope = with_slope(Focal(gamma), logits, torch.tensor([0, 0]))
    assert torch.isfinite(slope).all()
    assert found.item() == pytest.approx(100)
    assert slope[0].abs().max() < 1e-6


def test_cross_entropy_is_torchs_to_the_last_bit() -> None:
    logits, labels = drawn(images=33)
    for smoothing in (0.0, 0.1):
        plain = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        found, slope = with_slope(CrossEntropy(smoothing), logits, labels)
        assert torch.equal(found, plain.detach())
        assert torch.equal(slope, torch.autograd.grad(plain, logits)[0])


def test_what_images_do_not_tell_is_answered_evenly_with_adjusted_logits() -> None:
    labels = np.array([0] * 60 + [1] * 6)
    images = Images(np.full((66, 4, 4, 3), 128, np.uint8), labels)  # that tell nothing
    recipe = Recipe(
        epochs=20, batch_size=66, learning_rate=0.1, crop="none", flip=False, schedule="linear"
    )
    network = linear(4)
    loss = hard_loss(Balance(loss="logit-adjusted:1"), labels, ["a", "b"])
    fitted(network, train=images, validation=images, recipe=recipe, resolution=4, seed=0, loss=loss)
    with torch.inference_mode():
        seen = normalised(torch.full((1, 3, 4, 4), 128, dtype=torch.uint8))
        share = network(seen).softmax(1)[0, 1].item()
    assert share == pytest.approx(0.5, abs=0.05)


# Sampling


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any), st.integers(0, 99))
def test_classes_are_drawn_equally_often_and_images_of_a_class_too(
    counts: list[int], seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    order = balanced_order(labels, np.random.default_rng(seed))
    assert len(order) == len(labels)
    drawn_of = np.bincount(labels[order], minlength=len(counts))
    held = np.array(counts) > 0
    assert drawn_of[held].max() - drawn_of[held].min() <= 1
    assert not drawn_of[~held].any()
    times = np.bincount(order, minlength=len(labels))
    for label in np.flatnonzero(held):
        own = times[labels == label]
        assert own.max() - own.min() <= 1


def test_repeated_images_are_cut_anew_and_epochs_differ() -> None:
    images = uneven()
    task = TrainingTask(
        train=images, validation=images, recipe=RECIPE, resolution=8, seed=0, balanced=True
    )
    first, again, second = (list(batches(task, epoch)) for epoch in (1, 1, 2))
    assert all(torch.equal(one.pixels, two.pixels) for one, two in zip(first, again, strict=True))
    assert not all(
        torch.equal(one.pixels, two.pixels) for one, two in zip(first, second, strict=True)
    )
    labels = torch.cat([batch.labels for batch in first])
    rare = torch.cat([batch.pixels for batch in first])[labels == 2]
    assert len(rare) > 10  # of three images
    assert len(torch.unique(rare.flatten(1), dim=0)) > 3
    with_all = replace(task, balanced=False)
    seen = torch.cat([batch.labels for batch in batches(with_all, 1)])
    assert (seen == 2).sum() <= 3


# Trainings


@pytest.mark.parametrize(
    "asked",
    [Balance(sampling="balanced"), Balance(loss="focal:2"), Balance(loss="logit-adjusted:1")],
    ids=lambda asked: asked.told,
)
def test_a_broken_training_goes_on_to_the_same_bytes(asked: Balance, tmp_path: Path) -> None:
    images = uneven()
    options: dict[str, Any] = {
        "train": images, "validation": images, "recipe": RECIPE, "resolution": 8, "seed": 3,
        "loss": hard_loss(asked, images.labels, ["a", "b", "c"]),
        "balanced": asked.sampling == "balanced",
    }  # fmt: skip
    whole, broken, plain = tmp_path / "whole", tmp_path / "broken", tmp_path / "plain"
    fitted(linear(8, 3), **options, keep=lambda s: write_snapshot(whole, without_times(s)))
    fitted(linear(8, 3), **options, keep=lambda s: write_snapshot(broken, without_times(s)),
           on_epoch=lambda epoch: epoch.number == 1)  # fmt: skip
    assert whole.read_bytes() != broken.read_bytes()
    fitted(linear(8, 3), **options, resume=read_snapshot(broken),
           keep=lambda s: write_snapshot(broken, without_times(s)))  # fmt: skip
    assert whole.read_bytes() == broken.read_bytes()
    fitted(linear(8, 3), **(options | {"loss": None, "balanced": False}),
           keep=lambda s: write_snapshot(plain, without_times(s)))  # fmt: skip
    assert whole.read_bytes() != plain.read_bytes()


# Refusals


def test_names_are_completed_and_recorded_only_where_they_are_not_usual() -> None:
    assert Balance(loss="focal").record() == {"loss": "focal:2"}
    assert Balance(loss="logit-adjusted:1.0").loss == "logit-adjusted:1"
    assert Balance(loss="focal:0.5", class_weights="balanced").told == (
        "loss focal:0.5, class weights balanced"
    )
    assert Balance().record() == {}
    for one in (Balance(), Balance(loss="focal:2.5"), Balance(sampling="balanced")):
        assert Balance.from_record({"seed": 0, **one.record()}) == one


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"loss": "hinge"}, "no loss 'hinge'; choose from cross-entropy, focal:GAMMA"),
        ({"loss": "cross-entropy:1"}, "no loss 'cross-entropy:1'"),
        ({"loss": "focal:two"}, "gamma of the loss focal must be a number of at least 0 and "
         "at most 20, as in focal:2; got 'two'"),
        ({"loss": "focal:"}, "got ''"),
        ({"loss": "focal:-1"}, "at least 0"),
        ({"loss": "focal:1000000000"}, "at most 20"),
        ({"loss": "logit-adjusted:inf"}, "tau of the loss logit-adjusted"),
        ({"sampling": "even"}, "no sampling 'even'; choose from shuffled, balanced"),
        ({"class_weights": "even"}, "no class weights 'even'; choose from none, balanced"),
        ({"sampling": "balanced", "class_weights": "balanced"}, "give one of them"),
        ({"loss": "logit-adjusted", "sampling": "balanced"}, "has made equal; leave one"),
        ({"loss": "logit-adjusted", "class_weights": "balanced"}, "leave one of them out"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        Balance(**given)


def test_no_loss_of_labels_alone_meets_smoothed_labels_or_a_teacher() -> None:
    images, focal = uneven(), Focal(2.0)
    options: dict[str, Any] = {"train": images, "validation": images, "resolution": 8, "seed": 0}
    smooth = replace(RECIPE, label_smoothing=0.1)
    with pytest.raises(InvalidSetting, match=r"label_smoothing must be 0 .* got 0\.1"):
        TrainingTask(**options, recipe=smooth, loss=focal)
    assert Balance(loss="focal:2").suited(smooth) == RECIPE
    assert Balance(sampling="balanced").suited(smooth) == smooth
    teaching = Teaching(
        crops=FixedCrops(recipe=RECIPES["proxy"], side=8, count=1, seed=0), answers={}, weight=0.5,
        temperature=1.0,
    )  # fmt: skip
    for asked in ({"loss": focal}, {"balanced": True}):
        with pytest.raises(InvalidSetting, match="leave the teacher out"):
            TrainingTask(**options, recipe=RECIPE, teaching=teaching, **asked)
    for asked in (Balance(loss="focal:2"), Balance(loss="logit-adjusted"),
                  Balance(sampling="balanced")):  # fmt: skip
        with pytest.raises(InvalidSetting, match="--teacher, or take --class-weights balanced"):
            asked.require_no_teacher()
    Balance(class_weights="balanced").require_no_teacher()


def test_shares_of_all_classes_are_needed_to_adjust_for_them() -> None:
    labels = np.array([0, 0, 2, UNLABELLED])
    with pytest.raises(DataProblem, match="no training image of class 'b'"):
        hard_loss(Balance(loss="logit-adjusted"), labels, ["a", "b", "c"])
    assert balanced_weights(labels, 3)[1] == 0


def without_times(snapshot: Snapshot) -> Snapshot:
    epochs = (replace(epoch, seconds=0.0, evaluation_seconds=0.0) for epoch in snapshot.epochs)
    return replace(snapshot, epochs=tuple(epochs))


def linear(side: int, classes: int = 2) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * side * side, classes))
