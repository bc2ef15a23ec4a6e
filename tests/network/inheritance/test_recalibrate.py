"""Batch norm's statistics from a few batches."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from autoscale.errors import InvalidSetting
from autoscale.network.inheritance.recalibrate import recalibrate


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4, momentum=0.03), nn.ReLU(),
        nn.Dropout(0.5), nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5), nn.AdaptiveAvgPool2d(1),
    )  # fmt: skip


def batches(count: int = 3) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(8, 3, 6, 6, generator=generator) + n for n in range(count)]


def test_the_statistics_are_the_mean_of_the_moments_of_the_batches() -> None:
    net = network()
    recalibrate(net, batches())
    maps = [net[0](batch).detach() for batch in batches()]
    means = torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0)
    variances = torch.stack([m.movedim(1, 0).flatten(1).var(1) for m in maps]).mean(0)
    assert torch.allclose(net[1].running_mean, means, atol=1e-6)
    assert torch.allclose(net[1].running_var, variances, atol=1e-5)
    # The second norm saw maps normalised by each batch, as in training, and without dropout.
    second = [
        net[4](net[2](nn.functional.batch_norm(m, None, None, net[1].weight, net[1].bias, True)))
        for m in maps
    ]
    means = torch.stack([m.detach().mean((0, 2, 3)) for m in second]).mean(0)
    assert torch.allclose(net[5].running_mean, means, atol=1e-5)


def test_nothing_but_the_statistics_changes() -> None:
    net = network()
    net.train()
    net[3].eval()
    net[1].num_batches_tracked += 9
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    recalibrate(net, batches())
    after = net.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {f"{n}.running_{leaf}" for n in (1, 5) for leaf in ("mean", "var")}
    assert [module.training for module in net.modules()] == modes
    assert (net[1].momentum, net[5].momentum) == (0.03, 0.1)
    assert all(p.grad is None for p in net.parameters())


def test_a_second_time_gives_the_same() -> None:
    net = network()
    recalibrate(net, batches())
    first = {name: value.clone() for name, value in net.state_dict().items()}
    recalibrate(net, iter(batches()))
    assert all(torch.equal(value, first[name]) for name, value in net.state_dict().items())


def test_without_usable_batches_the_network_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 6), nn.BatchNorm2d(4))
    net[1].running_mean.fill_(0.7)
    with pytest.raises(InvalidSetting, match="at least one batch"):
        recalibrate(net, [])
    with pytest.raises(InvalidSetting, match=r"one image .* give at least 2"):
        recalibrate(net, [batches()[0], batches()[1][:1]])
    assert (net[1].running_mean == 0.7).all()
    assert net[1].training
