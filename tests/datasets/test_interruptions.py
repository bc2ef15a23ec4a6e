"""Trainings that stop: to go on later, out of memory, out of time."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autoscale.datasets.data import Images
from autoscale.errors import InvalidSetting
from autoscale.training.failures import OutOfMemory, OutOfTime, TrainingFailed
from autoscale.training.fit import Fit
from autoscale.training.recipe import Recipe
from autoscale.training.state import Snapshot
from tests.training.trainings import fitted

RECIPE = Recipe(
    epochs=4, batch_size=8, learning_rate=0.02, crop="random-resized", flip=True, ema_decay=0.9
)


def noise(count: int, seed: int = 0) -> Images:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, 10, 10, 3), dtype=np.uint8)
    return Images(pixels, np.arange(count) % 2)


def convnet(norm: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8) if norm else nn.Identity(),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2 if norm else 0.0),
        nn.Linear(32, 2),
    )


def run(network: nn.Module, recipe: Recipe = RECIPE, **options: Any) -> Fit:
    return fitted(
        network,
        train=noise(40),
        validation=noise(20, seed=1),
        recipe=recipe,
        resolution=8,
        seed=3,
        **options,
    )


class Greedy(nn.Module):
    """A network for which more than so many images at once do not fit into memory."""

    def __init__(self, network: nn.Module, most: int) -> None:
        super().__init__()
        self.network, self.most = network, most
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen.append(len(x))
            if len(x) > self.most:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")
        out: Tensor = self.network(x)
        return out


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adamw"])
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_going_on_from_a_snapshot_gives_the_bits_of_the_unbroken_training(
    optimizer: str, ema_decay: float
) -> None:
    recipe = replace(RECIPE, optimizer=optimizer, ema_decay=ema_decay, weight_decay=0.01)  # type: ignore[arg-type]
    kept: list[Snapshot] = []
    whole, later = convnet(), convnet()
    expected = run(whole, recipe, keep=lambda s: kept.append(copy.deepcopy(s)))
    found = run(later, recipe, resume=kept[1])
    assert [e.loss for e in found.epochs] == [e.loss for e in expected.epochs]
    assert found.accuracy == expected.accuracy
    for one, other in zip(later.state_dict().values(), whole.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_a_snapshot_holds_the_weights_that_are_scored() -> None:
    kept: list[Snapshot] = []
    network = convnet()
    run(network, keep=lambda s: kept.append(copy.deepcopy(s)))
    assert len(kept) == RECIPE.epochs
    for name, tensor in network.state_dict().items():
        assert torch.equal(kept[-1].weights[name], tensor)
        assert kept[-1].part("network/").keys() == kept[-1].weights.keys()


def test_when_memory_runs_out_batches_go_through_in_halves() -> None:
    network = Greedy(convnet(), most=4)
    found = run(network, replace(RECIPE, epochs=1))
    assert found.halved
    assert network.seen == [8] + [4] * 10  # 40 images by 8, the first batch tried whole


def test_halves_without_batch_norm_give_the_gradients_of_the_whole() -> None:
    recipe = replace(RECIPE, epochs=1, batch_size=7)  # halves of 4 and 3
    whole, halves = convnet(norm=False), Greedy(convnet(norm=False), most=4)
    assert not run(whole, recipe).halved
    assert run(halves, recipe).halved
    for one, other in zip(whole.parameters(), halves.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_half_a_batch_that_does_not_fit_is_a_failure_with_a_cause() -> None:
    with pytest.raises(OutOfMemory, match="at 4 images a step of 8 pixels, half a batch; lower"):
        run(Greedy(convnet(), most=3))


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    class Broken(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        run(nn.Sequential(nn.Flatten(), Broken(192, 2)))


def test_too_little_time_is_a_failure_with_a_cause() -> None:
    with pytest.raises(OutOfTime, match=r"epoch 1 of 4, step 1 of 5, after 1e-09 seconds; allow"):
        run(convnet(), time_limit=1e-9)
    assert issubclass(OutOfTime, TrainingFailed)
    with pytest.raises(InvalidSetting, match="time_limit must be above 0"):
        run(convnet(), time_limit=0)
