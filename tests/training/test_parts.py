"""Parts of a network: how fast they learn, and what does not learn at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.errors import InvalidSetting
from autoscale.network.build import Network, build
from autoscale.network.freeze import freeze
from autoscale.training.fit import Fit
from autoscale.training.optimizers import make_optimizer, set_learning_rate
from autoscale.training.parts import classifier_of, parts_of, shares_of_rate, to_learn
from autoscale.training.recipe import Recipe
from tests.training.test_fit import stripes
from tests.training.trainings import fitted

DESIGN = Architecture(
    resolution=8,
    stem=Stem(width=8),
    stages=(Stage(width=8, expand_ratio=1), Stage(width=16, expand_ratio=2, stride=2, depth=2)),
    head=Head(width=16),
    num_classes=2,
)
RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=0.05, crop="none", flip=False)


def network(**options: Any) -> Network:
    torch.manual_seed(0)
    return build(DESIGN, **options)


def trained(module: nn.Module, recipe: Recipe = RECIPE, **options: Any) -> Fit:
    train, validation = stripes(40), stripes(20, seed=1)
    return fitted(
        module, train=train, validation=validation, recipe=recipe, resolution=8, seed=0, **options
    )


def moved(module: nn.Module, recipe: Recipe = RECIPE) -> set[str]:
    """The parameters and statistics that a training changes."""
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    trained(module, recipe)
    return {
        name
        for name, tensor in module.state_dict().items()
        if not torch.equal(tensor, before[name])
    }


def test_the_parts_of_a_network_hold_each_parameter_once_in_the_order_of_the_passes() -> None:
    module = network(dropout=0.1)
    assert [*module.parts] == ["stem", "stage 1", "stage 2", "head", "classifier"]
    held = [id(parameter) for part in parts_of(module) for parameter in part]
    assert held == [id(parameter) for parameter in module.parameters()]
    assert module.parts["classifier"] == (classifier_of(module),)


def test_a_network_that_tells_no_parts_has_its_classifier_and_the_rest() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 4), nn.Linear(4, 2))
    features, classifier = parts_of(module)
    assert [p.shape for p in classifier] == [(2, 4), (2,)]
    assert len(features) + len(classifier) == len([*module.parameters()])
    with pytest.raises(InvalidSetting, match="no linear layer at its end"):
        classifier_of(nn.Conv2d(3, 2, 1))


def test_rates_fall_from_the_classifier_to_the_stem() -> None:
    module = network()
    shares = shares_of_rate(module, 0.5)
    found = [{shares[parameter] for parameter in part} for part in parts_of(module)]
    assert found == [{0.0625}, {0.125}, {0.25}, {0.5}, {1.0}]


@pytest.mark.parametrize("kind", ["sgd", "rmsprop", "adamw"])
def test_each_part_is_stepped_by_its_share_of_the_rate(kind: str) -> None:
    recipe = replace(RECIPE, optimizer=kind, layer_decay=0.5, momentum=0.0)  # type: ignore[arg-type]
    steps = []
    for decay in (1.0, 0.5):
        module = network()
        optimizer = make_optimizer(module, replace(recipe, layer_decay=decay))
        set_learning_rate(optimizer, 0.01)
        before = [parameter.detach().clone() for parameter in module.parameters()]
        for parameter in module.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        steps.append([a - b for a, b in zip(module.parameters(), before, strict=True)])
    shares = shares_of_rate(module, 0.5)
    for parameter, one, other in zip(module.parameters(), *steps, strict=True):
        torch.testing.assert_close(other, one * shares[parameter], rtol=1e-3, atol=1e-6)


def test_frozen_stages_keep_weights_and_statistics() -> None:
    module = network(drop_path=0.5)
    freeze(module, stages=1)
    changed = moved(module, replace(RECIPE, ema_decay=0.5))
    assert {
        name.rsplit(".", 1)[0] for name in changed if name.startswith(("stem", "stages.0"))
    } == set()
    assert {name.partition(".")[0] for name in changed} == {"stages", "head"}


def test_frozen_norms_keep_their_statistics_while_convolutions_learn() -> None:
    module = network()
    freeze(module, norms=True)
    norms = {n for n, m in module.named_modules() if isinstance(m, nn.BatchNorm2d)}
    changed = {name.rpartition(".")[0] for name in moved(module)}
    assert not changed & norms
    assert "stem.0" in changed


def test_what_is_frozen_stays_in_eval_mode_and_nothing_else() -> None:
    module = network(dropout=0.1)
    freeze(module, features=True)
    to_learn(module)
    assert not module.stem.training
    assert not any(m.training for m in module.stages.modules() if m is not module.stages)
    assert module.head.training
    assert classifier_of(module).training


def test_more_stages_than_there_are_cannot_be_frozen() -> None:
    with pytest.raises(InvalidSetting, match="has 2 stages, and 3 are to be frozen"):
        freeze(network(), stages=3)


def test_a_training_of_nothing_is_refused() -> None:
    module = network().requires_grad_(False)
    with pytest.raises(InvalidSetting, match="no weight of the network learns"):
        trained(module)
