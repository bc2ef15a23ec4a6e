from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from autoscale.training.optimizers import (
    Eager,
    RMSpropTF,
    make_optimizer,
    optimizer_tensors,
    restore_optimizer,
)
from autoscale.training.recipe import RECIPES, Recipe


def test_rmsprop_is_that_of_tensorflow() -> None:
    """Written out: mean square from 1, eps inside the root, momentum of scaled steps."""
    parameter = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
    optimizer = RMSpropTF([parameter], lr=0.1, decay=0.9, momentum=0.8, eps=1e-3, weight_decay=0.01)
    value = parameter.detach().double().numpy().copy()
    square, momentum = np.ones(3), np.zeros(3)
    for step in range(5):
        gradient = np.array([0.3, -0.1, 2.0]) * (step + 1)
        rate = 0.1 / (step + 1)
        optimizer.param_groups[0]["lr"] = rate
        parameter.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
        decayed = gradient + 0.01 * value
        square = 0.9 * square + 0.1 * decayed**2
        momentum = 0.8 * momentum + rate * decayed / np.sqrt(square + 1e-3)
        value = value - momentum
        np.testing.assert_allclose(parameter.detach().numpy(), value, rtol=1e-5)


@pytest.mark.parametrize("kind", ["sgd", "rmsprop", "adamw"])
def test_what_an_optimizer_remembers_can_be_given_to_another(kind: str) -> None:
    recipe = Recipe(epochs=1, batch_size=2, learning_rate=0.1, optimizer=kind)  # type: ignore[arg-type]

    def network() -> nn.Module:
        torch.manual_seed(0)
        made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 2))
        return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def step(module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        module(torch.ones(2, 3, 4, 4)).square().sum().backward()
        optimizer.step()

    one, other = network(), network()
    first, second = make_optimizer(one, recipe), make_optimizer(other, recipe)
    step(one, first)
    other.load_state_dict(one.state_dict())
    kept = {name: t.contiguous().clone() for name, t in optimizer_tensors(first).items()}
    restore_optimizer(second, kept)
    for _ in range(3):
        step(one, first)
        step(other, second)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_rate_of_the_efficientnet_recipe_falls_by_3_percent_every_2_4_epochs() -> None:
    recipe = RECIPES["efficientnet"]
    for epoch, steps in ((6, 2), (7.19, 2), (7.21, 3), (24.1, 10), (349.9, 145)):
        rate = recipe.learning_rate_at(epoch / 350)
        assert rate == pytest.approx(0.016 * 0.97**steps)
    assert recipe.learning_rate_at(2.5 / 350) == pytest.approx(0.008)


def test_the_learning_rate_grows_with_the_batch() -> None:
    wide = RECIPES["efficientnet"].with_batch(4096)
    assert (wide.batch_size, wide.learning_rate) == (4096, pytest.approx(0.256))


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_an_eager_optimizer_gives_the_bits_of_torchs(kind: str) -> None:
    recipe = Recipe(epochs=1, batch_size=2, learning_rate=0.1, optimizer=kind)  # type: ignore[arg-type]
    networks = []
    for eager in (True, False):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
        optimizer = make_optimizer(network, recipe)
        assert isinstance(optimizer, Eager)
        if not eager:
            groups = [{**group, "params": [*group["params"]]} for group in optimizer.param_groups]
            usual = torch.optim.SGD if kind == "sgd" else torch.optim.AdamW
            optimizer = usual(groups)
        for _ in range(3):
            optimizer.zero_grad()
            network(torch.randn(2, 3, 4, 4)).square().sum().backward()
            optimizer.step()
        networks.append(network)
    for a, b in zip(*(network.parameters() for network in networks), strict=True):
        assert torch.equal(a, b)


def test_a_training_does_not_load_torchs_compiler() -> None:
    code = """
import sys, torch
from autoscale.training.optimizers import make_optimizer, optimizer_tensors, restore_optimizer
from autoscale.training.head.logistic import Features, fit_head
from autoscale.training.recipe import RECIPES
network = torch.nn.Linear(2, 2)
for recipe in RECIPES.values():
    optimizer = make_optimizer(network, recipe)
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    restore_optimizer(optimizer, optimizer_tensors(optimizer))
rows, labels = torch.eye(2), torch.tensor([0, 1])
fit_head(network, Features(rows, labels), Features(rows, labels))
print({"torch._dynamo", "sympy"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
