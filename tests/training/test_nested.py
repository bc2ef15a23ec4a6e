"""Networks inside a larger one: what they compute and learn, and whose weights that moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.datasets.data import Images
from autoscale.errors import InvalidSetting
from autoscale.training.fit import fit
from autoscale.training.nested.inner import Inner, first_of
from autoscale.training.recipe import RECIPES, Recipe
from autoscale.training.state import Snapshot
from autoscale.training.task import TrainingTask


class Two(nn.Sequential):
    """Two convolutions and a classifier."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.Conv2d(3, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(2 * width, 3),
        )


@pytest.fixture
def outer() -> Two:
    torch.manual_seed(0)
    return Two(6)


def images(count: int = 24, side: int = 8) -> Images:
    random = np.random.default_rng(0)
    labels = np.arange(count, dtype=np.int64) % 3
    pixels = random.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    pixels[..., 0] //= 3
    pixels[..., 0] += (80 * labels).astype(np.uint8)[:, None, None]
    return Images(pixels, labels)


def recipe(**changes: object) -> Recipe:
    plain = replace(RECIPES["proxy"], epochs=2, batch_size=8)
    return replace(plain, **changes)  # type: ignore[arg-type]


def task(*inner: Inner, **changes: object) -> TrainingTask:
    return TrainingTask(
        train=images(),
        validation=images(),
        recipe=recipe(**changes),
        resolution=8,
        seed=0,
        inner=inner,
    )


def by_hand(outer: Two, x: Tensor, width: int) -> Tensor:
    """What the first channels of a network compute, in training mode, spelled out."""
    first, norm, _, second, _, _, last = outer
    assert isinstance(first, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(second, nn.Conv2d)
    assert isinstance(last, nn.Linear)
    assert second.bias is not None
    x = functional.conv2d(x, first.weight[:width], padding=1)
    x = functional.batch_norm(
        x, None, None, norm.weight[:width], norm.bias[:width], training=True, eps=norm.eps
    ).relu()
    x = functional.conv2d(
        x, second.weight[: 2 * width, :width], second.bias[: 2 * width], padding=1
    )
    return functional.linear(x.mean((2, 3)), last.weight[:, : 2 * width], last.bias)


def test_a_network_inside_computes_what_the_first_channels_compute(outer: Two) -> None:
    inner = Inner(Two(4), outer, resolution=8)
    inner.take()
    x = torch.randn(5, 3, 8, 8)
    assert torch.allclose(inner.network(x), by_hand(outer, x, 4), atol=1e-6)


def test_its_gradients_are_those_of_the_first_channels_and_are_added(outer: Two) -> None:
    inner = Inner(Two(4), outer, resolution=8)
    inner.take()
    x, y = torch.randn(5, 3, 8, 8), torch.tensor([0, 1, 2, 0, 1])
    functional.cross_entropy(outer(x), y).backward()
    functional.cross_entropy(inner.network(x), y).backward()
    inner.give()
    given = {name: p.grad.clone() for name, p in outer.named_parameters() if p.grad is not None}
    outer.zero_grad()
    whole = functional.cross_entropy(outer(x), y) + functional.cross_entropy(
        by_hand(outer, x, 4), y
    )
    whole.backward()
    for name, parameter in outer.named_parameters():
        assert parameter.grad is not None
        assert torch.allclose(given[name], parameter.grad, atol=1e-6), name


def test_a_network_that_is_no_part_of_another_is_refused(outer: Two) -> None:
    with pytest.raises(InvalidSetting, match=r"0\.weight of a network inside another is not"):
        Inner(Two(7), outer, resolution=8)
    with pytest.raises(InvalidSetting, match=r"7\.weight"):
        Inner(nn.Sequential(*Two(6), nn.Linear(3, 3)), outer, resolution=8)


def test_the_first_entries_of_a_state_are_a_copy(outer: Two) -> None:
    inner = Two(4)
    found = first_of(outer.state_dict(), inner.state_dict())
    inner.load_state_dict(found)
    found["0.weight"].zero_()
    assert torch.equal(inner[0].weight, outer[0].weight[:4])


@pytest.mark.parametrize("crop", ["shift", "random-resized"])
def test_what_is_inside_learns_the_answers_of_the_largest(outer: Two, crop: str) -> None:
    small, middle = Two(2), Two(4)
    parts = [Inner(small, outer, resolution=4), Inner(middle, outer, resolution=6)]
    asked = task(*parts, epochs=25, crop=crop, ema_decay=0.0)
    found = fit(outer, asked)
    assert found.accuracy > 0.9
    for part in parts:
        part.take()
        part.network.train()
        x = torch.from_numpy(asked.train.pixels).permute(0, 3, 1, 2)
        side = part.resolution
        seen = functional.interpolate(x, (side, side), mode="bilinear", antialias=True)
        guesses = part.network((seen.float() / 255 - 0.5) / 0.25).argmax(1)
        assert (guesses == torch.from_numpy(asked.train.labels)).float().mean() > 0.8


def test_the_smallest_is_seen_in_every_step_and_the_others_by_turns(outer: Two) -> None:
    seen: dict[int, list[int]] = {2: [], 3: [], 4: []}
    parts = []
    for width, side in ((2, 3), (3, 4), (4, 6)):
        network = Two(width)
        network.register_forward_pre_hook(
            lambda _, inputs, width=width: seen[width].append(inputs[0].shape[-1])
        )
        parts.append(Inner(network, outer, resolution=side))
    fit(outer, task(*parts, epochs=6))
    assert seen[2] == [3] * 18
    assert len(seen[3]) + len(seen[4]) == 18
    assert {*seen[3]} == {4}
    assert {*seen[4]} == {6}


def test_growing_images_grow_for_all_in_proportion(outer: Two) -> None:
    sides = []
    network = Two(2)
    network.register_forward_pre_hook(lambda _, inputs: sides.append(inputs[0].shape[-1]))
    fit(outer, task(Inner(network, outer, resolution=4), epochs=4, start_size=0.5))
    assert sides == [2] * 6 + [4] * 6


def test_a_training_with_networks_inside_goes_on_to_the_same_bits() -> None:
    def trained(resume: Snapshot | None, most: int) -> tuple[dict[str, Tensor], Snapshot]:
        torch.manual_seed(0)
        outer = Two(6)
        parts = [
            Inner(Two(width), outer, resolution=side) for width, side in ((2, 4), (3, 5), (4, 6))
        ]
        kept: list[Snapshot] = []

        def keep(snapshot: Snapshot) -> None:
            tensors = {name: tensor.clone() for name, tensor in snapshot.tensors.items()}
            kept.append(replace(snapshot, tensors=tensors))

        fit(
            outer,
            task(*parts, epochs=4),
            resume=resume,
            keep=keep,
            on_epoch=lambda epoch: epoch.number == most,
        )
        return outer.state_dict(), kept[-1]

    whole, _ = trained(None, 4)
    _, half = trained(None, 2)
    again, _ = trained(half, 4)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
