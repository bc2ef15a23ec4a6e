"""Folding batch norms changes the modules, not the outputs."""

import pytest
import torch
from torch import nn

from autoscale.design.published import published
from autoscale.network.build import build
from autoscale.network.fold import fold_norms
from experiments.latency.amoebanet import amoebanet_b
from tests.models.networks import shaken


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("name", ["efficientnet-b0", "resnet-18", "mobilenet-v1"])
def test_every_norm_of_a_design_folds_and_the_logits_stay(name: str) -> None:
    torch.manual_seed(0)
    network = shaken(build(published(name)))
    before = norms(network)
    folded = fold_norms(network)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(folded(images), network(images), rtol=1e-3, atol=1e-4)
    assert norms(folded) == 0
    assert norms(network) == before


def test_norms_that_follow_no_convolution_stay() -> None:
    torch.manual_seed(0)
    network = shaken(amoebanet_b(cells=3, filters=16, num_classes=4))
    folded = fold_norms(network)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(folded(images), network(images), rtol=1e-3, atol=1e-4)
    assert 0 < norms(folded) < norms(network)


def test_a_sequential_with_its_own_forward_is_left_alone() -> None:
    class Backwards(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for module in reversed(self):
                x = module(x)
            return x

    network = shaken(Backwards(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)))
    assert norms(fold_norms(network)) == 1


def test_a_convolution_that_somebody_listens_to_keeps_its_norm() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    network[0].register_forward_hook(lambda *_: None)
    assert norms(fold_norms(network)) == 1
