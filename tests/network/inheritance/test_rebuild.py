"""Channels that leave because others can stand for them."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from autoscale.errors import InvalidSetting
from autoscale.network.inheritance.rebuild import (
    Moments,
    Reader,
    input_moments,
    reduce_channels,
)


def moments(inputs: Tensor) -> Moments:
    return Moments(inputs.mean(0), inputs.T.cov(correction=0))


def reader(weight: Tensor, inputs: Tensor) -> Reader:
    return Reader(weight, moments(inputs), torch.arange(len(weight)))


def draws(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def loss(weight: Tensor, inputs: Tensor, chosen: list[int]) -> float:
    """What is left of the output's variance when the chosen inputs explain it best."""
    outputs = inputs @ weight.T
    centred = inputs - inputs.mean(0)
    outputs = outputs - outputs.mean(0)
    best = torch.linalg.lstsq(centred[:, chosen], outputs).solution
    return float((outputs - centred[:, chosen] @ best).square().sum())


def test_weights_for_the_kept_channels_are_those_of_least_squares() -> None:
    inputs, weight = draws(400, 7) @ draws(7, 7, seed=1) + 3, draws(4, 7, seed=2)
    chosen, (found,) = reduce_channels([reader(weight, inputs)], 4)
    outputs = inputs @ weight.T
    rebuilt = inputs @ found.weight.T + found.shift
    assert torch.allclose(rebuilt.mean(0), outputs.mean(0))
    kept = chosen.tolist()
    assert float((rebuilt - outputs).square().sum()) == pytest.approx(
        loss(weight, inputs, kept), rel=0.01
    )
    assert set(found.weight.abs().sum(0).nonzero()[:, 0].tolist()) == set(kept)


def test_the_channel_that_leaves_first_is_the_one_that_is_missed_least() -> None:
    for seed in range(5):
        inputs = draws(300, 7, seed=seed) @ draws(7, 7, seed=seed + 10)
        weight = draws(3, 7, seed=seed + 20)
        chosen, _ = reduce_channels([reader(weight, inputs)], 6)
        best = min(combinations(range(7), 6), key=lambda c: loss(weight, inputs, [*c]))
        assert chosen.tolist() == [*best]


def test_of_twins_one_leaves_and_the_other_does_its_work() -> None:
    inputs = draws(200, 6)
    inputs[:, 4] = inputs[:, 1]
    weight = draws(3, 6, seed=1)
    chosen, (found,) = reduce_channels([reader(weight, inputs)], 5)
    assert {1, 4} - {*chosen.tolist()} in ({1}, {4})
    twin = 1 if 1 in chosen.tolist() else 4
    assert torch.allclose(found.weight[:, twin], weight[:, 1] + weight[:, 4], rtol=1e-3)


def test_every_reader_counts_alike_and_dropped_outputs_not_at_all() -> None:
    inputs = draws(500, 4)
    first, second = torch.zeros(2, 4).double(), torch.zeros(2, 4).double()
    first[0, 0], first[1, 1] = 100, 100
    second[0, 2], second[1, 3] = 0.1, 0.1
    both = [reader(first, inputs), reader(second, inputs)]
    only = Reader(first, both[0].inputs, torch.tensor([0]))  # its second output is not wanted
    chosen, _ = reduce_channels([only, both[1]], 3)
    assert chosen.tolist() == [0, 2, 3]


def test_moments_are_those_of_what_the_layers_read() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(5, 2),
    )  # fmt: skip
    batches = [torch.randn(3, 3, 5, 5), torch.randn(2, 3, 5, 5)]
    found = input_moments(network, batches)
    assert [*found] == ["2", "6"]
    assert network.training
    with torch.no_grad():
        maps = network[:2](torch.cat(batches)).double()
        pooled = network.eval()[:5](torch.cat(batches)).double()
    for name, inputs in (("2", maps.movedim(1, -1).flatten(0, 2)), ("6", pooled)):
        expected = moments(inputs)
        assert torch.allclose(found[name].mean, expected.mean, atol=1e-6)
        assert torch.allclose(found[name].covariance, expected.covariance, atol=1e-5)


def test_without_batches_there_are_no_moments() -> None:
    with pytest.raises(InvalidSetting, match="at least one batch"):
        input_moments(nn.Linear(3, 2), [])
