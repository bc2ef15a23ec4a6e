"""A classifier fitted on features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.datasets.data import Images
from autoscale.errors import InvalidSetting
from autoscale.training.batches import to_input
from autoscale.training.evaluation.evaluate import evaluate
from autoscale.training.head import logistic
from autoscale.training.head.features import Features, read_features
from autoscale.training.head.folds import fit_folds
from autoscale.training.head.logistic import fit_head
from autoscale.training.recipe import Recipe
from autoscale.training.task import TrainingTask
from tests.training.test_fit import stripes

RECIPE = Recipe(epochs=1, batch_size=8, learning_rate=0.05, crop="none")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(32, 2),
    )  # fmt: skip


def task(flip: bool = True, resolution: int = 8) -> TrainingTask:
    recipe = Recipe(epochs=1, batch_size=8, learning_rate=0.05, crop="none", flip=flip)
    return TrainingTask(
        train=stripes(40), validation=stripes(20, seed=1), recipe=recipe, resolution=resolution,
        seed=0,
    )  # fmt: skip


def rows(count: int, *, seed: int = 0, classes: int = 3) -> Features:
    """Three overlapping clouds, of features with very different deviations."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    found = random.normal(size=(count, 5)) + 1.5 * np.eye(5)[labels]
    return Features(
        torch.tensor(found * [1, 10, 0.1, 1, 1] + 3, dtype=torch.float32), torch.tensor(labels)
    )


def test_features_are_what_the_classifier_is_given_in_eval_mode() -> None:
    module, asked = network(), task()
    train, validation = read_features(module, asked)
    module.eval()
    for found, images in ((train, asked.train), (validation, asked.validation)):
        with torch.no_grad():
            expected = module[:-1](to_input(images.pixels, resolution=8))
            torch.testing.assert_close(found.rows[: len(images)], expected)
    with torch.no_grad():
        mirrored = module[:-1](to_input(asked.train.pixels, resolution=8).flip(-1))
    torch.testing.assert_close(train.rows[40:], mirrored)
    assert torch.equal(train.labels, torch.from_numpy(asked.train.labels).repeat(2))
    assert len(read_features(module, task(flip=False))[0].rows) == 40


def test_reading_features_leaves_mode_statistics_and_hooks_as_they_are() -> None:
    module = network().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    read_features(module, task(resolution=6))
    assert module.training
    assert not module[-1]._forward_pre_hooks
    assert all(torch.equal(before[name], t) for name, t in module.state_dict().items())


def test_a_network_whose_last_linear_layer_sees_pixels_is_refused() -> None:
    class Pointwise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x.permute(0, 2, 3, 1)).mean((1, 2))

    with pytest.raises(InvalidSetting, match="is not given one row for each image"):
        read_features(Pointwise(), task())


def test_the_fitted_classifier_is_a_minimum_of_the_penalised_loss() -> None:
    train, classifier = rows(300), nn.Linear(5, 3)
    found = fit_head(classifier, train, rows(60, seed=1))
    deviation = train.rows.std(0, correction=0)
    loss = functional.cross_entropy(classifier(train.rows), train.labels)
    assert loss.item() == pytest.approx(found.train_loss, abs=1e-5)
    loss = loss + found.penalty / 2 * (classifier.weight * deviation).square().sum()
    loss.backward()
    of_weight, of_bias = classifier.weight.grad, classifier.bias.grad
    assert of_weight is not None
    assert of_bias is not None
    assert (of_weight / deviation).abs().max() < 1e-3
    assert of_bias.abs().max() < 1e-3


def test_the_penalty_is_the_one_with_the_least_loss_on_validation_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, validation = rows(30), rows(300, seed=1)  # few images: little penalty overfits
    chosen = fit_head(nn.Linear(5, 3), train, validation)
    losses = {}
    for penalty in logistic.PENALTIES:
        monkeypatch.setattr(logistic, "PENALTIES", (penalty,))
        losses[penalty] = fit_head(nn.Linear(5, 3), train, validation).loss
    assert chosen.penalty == min(losses, key=losses.__getitem__)
    assert 0.001 < chosen.penalty < 1


def test_a_head_that_is_fitted_is_right_as_often_as_it_says_and_the_same_twice() -> None:
    weights = []
    for _ in range(2):
        module, asked = network(), task()
        found = fit_head(module[-1], *read_features(module, asked))
        assert evaluate(module, asked.validation, resolution=8) == pytest.approx(found.accuracy)
        weights.append(module[-1].weight.detach().clone())
    assert found.accuracy > 0.9
    assert torch.equal(*weights)


def test_features_that_never_change_do_no_harm() -> None:
    pixels = np.full((6, 8, 8, 3), 7, np.uint8)
    images = Images(pixels, np.arange(6) % 2)
    asked = TrainingTask(train=images, validation=images, recipe=RECIPE, resolution=8, seed=0)
    module = network()
    fit_head(module[-1], *read_features(module, asked))
    assert all(tensor.isfinite().all() for tensor in module.state_dict().values())


# Answers to images that a classifier was not fitted to


def test_each_image_is_answered_by_a_classifier_that_was_not_fitted_to_it() -> None:
    """Features of noise: a classifier that saw an image knows its label, another one does not."""
    noise = np.random.default_rng(0).normal(size=(120, 100))
    features = Features(torch.tensor(noise, dtype=torch.float32), torch.arange(120) % 2)
    head = fit_folds(features, 2)
    seen = head.logits(features.rows).argmax(1) == features.labels
    apart = head.logits(features.rows, slice(0, 120)).argmax(1) == features.labels
    assert apart.float().mean() < 0.65
    assert seen.float().mean() > apart.float().mean() + 0.25
    assert head.accuracy == pytest.approx(apart.float().mean().item())


def test_a_classifier_of_features_that_tell_the_classes_is_right_and_sure() -> None:
    labels = np.arange(90) % 3
    noise = np.random.default_rng(0).normal(size=(90, 3))
    rows = torch.tensor(np.eye(3)[labels] * 4 + noise * 0.3, dtype=torch.float32)
    head = fit_folds(Features(rows, torch.tensor(labels)), 3)
    logits = head.logits(rows, slice(0, 90))
    assert head.accuracy == 1
    loss = functional.cross_entropy(logits, torch.tensor(labels)).item()
    assert loss == pytest.approx(head.loss)
    assert loss < 0.05


def test_a_fold_is_answered_as_by_a_fit_without_it() -> None:
    features = rows(60)
    head = fit_folds(features, 3)
    fold = 2
    rest = head.folds != fold
    scaled = logistic.Scaled(features)
    parts = [Features(scaled.features.rows[rest], features.labels[rest])]
    path = logistic.Path(parts, 3)
    found = [path.fit(p) for p in logistic.PENALTIES[: logistic.PENALTIES.index(head.penalty) + 1]]
    expected = scaled.unscaled(found[-1]).logits(features.rows)
    answered = head.logits(features.rows, slice(0, 60))
    torch.testing.assert_close(answered[~rest], expected[~rest], atol=1e-3, rtol=1e-3)
    again = fit_folds(features, 3)
    assert torch.equal(again.logits(features.rows), head.logits(features.rows))


@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_few_images_are_answered_too(count: int) -> None:
    head = fit_folds(rows(count, classes=2), 2)
    assert head.logits(rows(count).rows, slice(0, count)).isfinite().all()
