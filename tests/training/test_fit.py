from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autoscale.datasets.data import Images
from autoscale.errors import DataProblem, InvalidSetting
from autoscale.training.batches import to_input
from autoscale.training.evaluation.evaluate import evaluate
from autoscale.training.failures import TrainingDiverged
from autoscale.training.fit import Fit
from autoscale.training.recipe import Recipe
from autoscale.training.state import Epoch, Snapshot
from tests.training.trainings import fitted

RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=0.05, crop="none", flip=False)


def stripes(count: int, size: int = 8, seed: int = 0) -> Images:
    """Two classes a linear layer can tell apart: bright above, or bright below."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pixels = random.integers(0, 120, (count, size, size, 3))
    for image, label in zip(pixels, labels, strict=True):
        half = slice(0, size // 2) if label else slice(size // 2, size)
        image[half] += 120
    return Images(pixels.astype(np.uint8), labels.astype(np.int64))


def linear(size: int = 8, classes: int = 2, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * size**2, classes))


def convnet(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.SiLU(),
        nn.Dropout(0.1),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 2),
    )


def weights(network: nn.Module) -> list[Tensor]:
    return list(network.state_dict().values())


def run(network: nn.Module, recipe: Recipe = RECIPE, seed: int = 0, **options: Any) -> Fit:
    options = {"train": stripes(40), "validation": stripes(20, seed=1), **options}
    return fitted(network, recipe=recipe, **{"resolution": 8, "seed": seed, **options})


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adamw"])
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_linear_layer_learns_with_every_optimizer(optimizer: str, ema_decay: float) -> None:
    recipe = Recipe(
        epochs=6,
        batch_size=8,
        optimizer=optimizer,  # type: ignore[arg-type]
        learning_rate=0.002,
        ema_decay=ema_decay,
        crop="none",
    )
    found = run(linear(), recipe)
    assert found.accuracy > 0.9
    assert found.epochs[-1].loss < found.epochs[0].loss


@pytest.mark.parametrize("crop", ["random-resized", "shift", "none"])
def test_the_same_seed_gives_bit_equal_weights(crop: str) -> None:
    recipe = replace(RECIPE, crop=crop, flip=True, ema_decay=0.9)
    one, other, third = convnet(), convnet(), convnet()
    assert run(one, recipe, seed=3).loss == run(other, recipe, seed=3).loss
    assert all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))
    run(third, recipe, seed=4)
    assert not torch.equal(weights(one)[0], weights(third)[0])


def test_the_global_random_state_neither_matters_nor_changes() -> None:
    one, other = convnet(), convnet()
    torch.manual_seed(1)
    run(one)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    run(other)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_the_network_keeps_the_weights_that_were_scored(ema_decay: float) -> None:
    network = convnet()
    found = run(network, replace(RECIPE, ema_decay=ema_decay))
    assert not network.training
    assert evaluate(network, stripes(20, seed=1), resolution=8) == found.accuracy


def test_averaging_follows_weights_and_running_statistics() -> None:
    class Counter(nn.Module):
        """Its statistic and its integer buffer grow by one a training step."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(192, 2)
            self.register_buffer("statistic", torch.zeros(1))
            self.register_buffer("steps", torch.zeros(1, dtype=torch.long))

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.statistic += 1
                self.steps += 1
            return self.layer(x.flatten(1))

    network = Counter()
    run(network, replace(RECIPE, epochs=1, ema_decay=0.999))
    average = 0.0
    for step in range(5):  # 40 images by 8
        decay = min(0.999, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * (step + 1)
    assert network.get_buffer("statistic").item() == pytest.approx(average)
    assert network.get_buffer("steps").item() == 5


def test_weight_decay_spares_biases_and_norms() -> None:
    network = convnet()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    # A rate so small that the gradients do nothing, and a decay that still bites.
    run(network, replace(RECIPE, learning_rate=1e-12, momentum=0.0, weight_decay=1e9))
    for name, parameter in network.named_parameters():
        moved = (parameter.detach() - before[name]).abs().max().item()
        assert (moved > 1e-4) == (parameter.ndim > 1), name


@pytest.mark.parametrize("crop", ["random-resized", "shift", "none"])
def test_images_that_grow_reach_the_network_in_their_sizes(crop: str) -> None:
    seen: list[int] = []
    network = convnet()

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if module.training:
            seen.append(inputs[0].shape[-1])

    network.register_forward_pre_hook(look)
    recipe = replace(RECIPE, crop=crop, epochs=4, start_size=0.5)
    images = stripes(16, size=16)
    run(network, recipe, train=images, validation=images, resolution=16)
    assert seen == [8, 8, 12, 12, 12, 12, 16, 16]


def test_what_drops_drops_less_while_images_are_small_and_has_its_rate_at_the_end() -> None:
    drop = nn.Dropout(0.4)
    network = nn.Sequential(nn.Flatten(), drop, nn.Linear(3 * 8 * 8, 2))
    rates: list[float] = []
    network.register_forward_pre_hook(lambda module, _: rates.append(drop.p))
    recipe = replace(RECIPE, epochs=4, start_regularisation=0.25)
    run(network, recipe, train=stripes(8), evaluate_after=())
    assert rates[:4] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert drop.p == 0.4


def test_an_incomplete_last_batch_is_dropped() -> None:
    seen: list[int] = []
    network = linear()
    network.register_forward_hook(
        lambda module, inputs, _: seen.append(len(inputs[0])) if module.training else None
    )
    run(network, replace(RECIPE, epochs=1), train=stripes(21))
    assert seen == [8, 8]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_fewer_images_than_a_batch_train_in_one_step(count: int) -> None:
    found = run(
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2)),
        train=stripes(count),
        validation=stripes(1),
    )
    assert len(found.epochs) == RECIPE.epochs


def test_only_the_last_epoch_is_evaluated_unless_asked() -> None:
    told: list[Epoch] = []
    found = run(linear(), replace(RECIPE, epochs=5), on_epoch=told.append)
    assert tuple(told) == found.epochs
    assert [epoch.accuracy for epoch in told] == [None] * 4 + [found.accuracy]

    found = run(linear(), replace(RECIPE, epochs=5), evaluate_after=(2, 4))
    assert [epoch.number for epoch in found.epochs if epoch.accuracy is not None] == [2, 4, 5]


def test_evaluating_in_between_changes_no_weight() -> None:
    one, other = convnet(), convnet()
    run(one, replace(RECIPE, epochs=3, ema_decay=0.5))
    run(other, replace(RECIPE, epochs=3, ema_decay=0.5), evaluate_after=range(1, 4))
    assert all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def test_times_add_up() -> None:
    found = run(linear(), evaluate_after=(1,))
    assert 0 < found.train_seconds < found.seconds
    assert sum(epoch.seconds for epoch in found.epochs) <= found.seconds
    assert all(one.number + 1 == next_.number for one, next_ in pairwise(found.epochs))


def test_what_on_epoch_raises_stops_the_training() -> None:
    class Enough(Exception):
        pass

    def stop(epoch: Epoch) -> None:
        raise Enough

    with pytest.raises(Enough):
        run(linear(), on_epoch=stop)


@pytest.mark.parametrize("evaluate_after", [(), (2,)])
def test_true_from_on_epoch_makes_that_epoch_the_last(evaluate_after: tuple[int, ...]) -> None:
    stopped, whole = convnet(), convnet()
    recipe = replace(RECIPE, epochs=4, ema_decay=0.5)
    found = run(stopped, recipe, on_epoch=lambda e: e.number == 2, evaluate_after=evaluate_after)
    assert [epoch.number for epoch in found.epochs] == [1, 2]
    assert found.epochs[-1].accuracy == found.accuracy
    assert evaluate(stopped, stripes(20, seed=1), resolution=8) == found.accuracy
    # Up to there it was the same training: the schedule is that of the whole recipe.
    assert run(whole, recipe).epochs[1].loss == found.loss


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    with pytest.raises(TrainingDiverged, match="epoch 1, step 2 of 5; lower the learning rate"):
        run(linear(), replace(RECIPE, learning_rate=1e38))


def test_images_of_another_size_are_resized_for_training_and_evaluation() -> None:
    sizes: set[tuple[int, ...]] = set()
    for crop in ("random-resized", "shift", "none"):
        network = linear()
        network.register_forward_hook(
            lambda module, inputs, _: sizes.add(tuple(inputs[0].shape[1:]))
        )
        recipe = replace(RECIPE, crop=crop, epochs=4, learning_rate=0.002)
        train, validation = stripes(40, size=12), stripes(20, size=16, seed=1)
        found = run(network, recipe, train=train, validation=validation)
        assert found.accuracy > 0.9
    assert sizes == {(3, 8, 8)}


def test_the_callers_images_are_never_written_to() -> None:
    for crop in ("random-resized", "shift", "none"):
        train, validation = stripes(20), stripes(8)
        before = train.pixels.copy(), validation.pixels.copy()
        recipe = replace(RECIPE, crop=crop, flip=True)
        run(linear(), recipe, train=train, validation=validation)
        np.testing.assert_array_equal(train.pixels, before[0])
        np.testing.assert_array_equal(validation.pixels, before[1])


def test_network_input_is_normalised_and_channels_last() -> None:
    pixels = np.zeros((2, 8, 8, 3), dtype=np.uint8)
    pixels[1] = 255
    batch = to_input(pixels, resolution=4)
    assert batch.shape == (2, 3, 4, 4)
    assert batch[0].unique().tolist() == [-2]
    assert batch[1].unique().tolist() == [2]
    assert to_input(pixels, resolution=8).is_contiguous(memory_format=torch.channels_last)


def test_evaluation_counts_the_right_answers_and_restores_the_mode() -> None:
    class Always(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tensor([1.0, 0.0]).expand(len(x), 2)

    network = Always().train()
    images = Images(np.zeros((5, 8, 8, 3), np.uint8), np.array([0, 0, 0, 1, 1]))
    assert evaluate(network, images, resolution=8, batch_size=2) == pytest.approx(0.6)
    assert network.training


def test_settings_and_images_out_of_range_are_refused() -> None:
    images, none = stripes(4), stripes(0)
    with pytest.raises(InvalidSetting, match="resolution must be at least 1"):
        run(linear(), resolution=0)
    for number in (0, 3):
        with pytest.raises(InvalidSetting, match=f"epochs from 1 to 2, the recipe's; got {number}"):
            run(linear(), evaluate_after=[number])
    with pytest.raises(InvalidSetting, match="device 'warp'"):
        run(linear(), device="warp")
    with pytest.raises(InvalidSetting, match="batch_size must be at least 1"):
        evaluate(linear(), images, resolution=8, batch_size=0)
    for train, validation in ((none, images), (images, none)):
        with pytest.raises(DataProblem, match="got 0 images"):
            run(linear(), train=train, validation=validation)
    with pytest.raises(DataProblem, match="got 0 images"):
        evaluate(linear(), none, resolution=8)


def accuracies(found: Fit) -> list[float]:
    return [epoch.accuracy for epoch in found.epochs if epoch.accuracy is not None]


def test_patience_ends_a_training_after_so_many_epochs_without_a_better_one() -> None:
    recipe = replace(RECIPE, epochs=30, learning_rate=0.002)
    whole = accuracies(run(convnet(), recipe, evaluate_after=range(1, 31)))
    for patience in (1, 2, 5):
        found = accuracies(run(convnet(), replace(recipe, patience=patience)))
        assert found == whole[: len(found)]
        best = found.index(max(found))
        assert len(found) == min(30, best + 1 + patience)
    assert len(found) < 30


def test_patience_ends_a_training_that_goes_on_where_the_unbroken_one_ends() -> None:
    recipe = replace(RECIPE, epochs=30, learning_rate=0.002, patience=2, ema_decay=0.5)
    kept: list[Snapshot] = []
    expected = run(convnet(), recipe, keep=lambda s: kept.append(copy.deepcopy(s)))
    for snapshot in (kept[0], kept[-1]):
        found = run(convnet(), recipe, resume=snapshot)
        assert [e.loss for e in found.epochs] == [e.loss for e in expected.epochs]
