"""Networks inside a larger one that learn by turns, each on images of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autoscale.aspect import ImageSize
from autoscale.datasets.data import Images
from autoscale.training.batches import batches, normalised, resized
from autoscale.training.fit import fit
from autoscale.training.nested.inner import Inner
from autoscale.training.process_group import ALONE
from autoscale.training.recipe import RECIPES
from autoscale.training.state import Snapshot, TrainingState
from autoscale.training.task import TrainingTask

SIDES = (4, 6)


class Small(nn.Sequential):
    """A convolution and a classifier."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.Conv2d(3, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, 3),
        )


def images(side: int = 8, count: int = 48) -> Images:
    random = np.random.default_rng(0)
    labels = np.arange(count, dtype=np.int64) % 3
    pixels = random.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    pixels[..., 0] //= 3
    pixels[..., 0] += (80 * labels).astype(np.uint8)[:, None, None]
    return resized(Images(pixels, labels), ImageSize(side, side))


def made(**changes: object) -> tuple[Small, TrainingTask]:
    """A network of 6 channels with two inside, and their training."""
    torch.manual_seed(0)
    outer = Small(6)
    inner = tuple(
        Inner(Small(width), outer, resolution=side, images=images(side))
        for width, side in zip((2, 4), SIDES, strict=True)
    )
    recipe = replace(RECIPES["proxy"], epochs=2, batch_size=8, **changes)  # type: ignore[arg-type]
    task = TrainingTask(
        train=images(), validation=images(), recipe=recipe, resolution=8, seed=0, inner=inner,
        turns=True,
    )  # fmt: skip
    return outer, task


def test_every_network_has_as_many_turns_as_the_others() -> None:
    _, task = made()
    for epoch in (1, 2):
        turns = Counter(batch.turn for batch in batches(task, epoch))
        assert turns == {0: 2, 1: 2, None: 2}
    orders = [[batch.turn for batch in batches(task, epoch)] for epoch in range(1, 6)]
    assert len({tuple(order) for order in orders}) > 1
    assert [batch.turn for batch in batches(task, 1)] == orders[0]


@pytest.mark.parametrize("crop", ["none", "shift", "random-resized"])
def test_each_sees_its_own_images_in_the_same_order(crop: str) -> None:
    _, task = made(crop=crop)
    alone = replace(task, inner=(), turns=False)
    sides = {0: 4, 1: 6, None: 8}
    for batch, other in zip(batches(task, 1), batches(alone, 1), strict=True):
        assert batch.pixels.shape[-2:] == (sides[batch.turn],) * 2
        assert torch.equal(batch.labels, other.labels)
        if crop == "none":
            rows = np.flatnonzero(np.isin(task.train.labels, batch.labels))
            stored = images(sides[batch.turn]).pixels[rows]
            for image, label in zip(batch.pixels, batch.labels, strict=True):
                of_label = stored[task.train.labels[rows] == int(label)]
                mirrored = np.concatenate([of_label, of_label[:, :, ::-1]])
                assert (mirrored == image.permute(1, 2, 0).numpy()).all((1, 2, 3)).any()


def test_a_step_moves_by_the_gradients_of_the_one_whose_turn_it_is() -> None:
    outer, task = made(label_smoothing=0.0)
    batch = next(batch for batch in batches(task, 1) if batch.turn == 1)
    first, norm, *_, last = outer
    assert isinstance(first, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(last, nn.Linear)
    x = functional.conv2d(normalised(batch.pixels), first.weight[:4], padding=1)
    x = functional.batch_norm(x, None, None, norm.weight[:4], norm.bias[:4], training=True).relu()
    logits = functional.linear(x.mean((2, 3)), last.weight[:, :4], last.bias)
    expected = torch.autograd.grad(
        functional.cross_entropy(logits, batch.labels), [first.weight, last.weight]
    )
    state = TrainingState(outer, task, torch.device("cpu"), ALONE)
    state.step(iter([batch]), learning_rate=0.0)
    for weight, gradient in zip((first.weight, last.weight), expected, strict=True):
        assert weight.grad is not None
        assert torch.allclose(weight.grad, gradient, atol=1e-6)


def test_mixed_and_split_batches_keep_their_turn() -> None:
    _, task = made(mixup=0.2)
    for batch in batches(task, 1):
        assert {part.turn for part in batch.split(3)} == {batch.turn}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rmsprop"])
def test_all_learn(optimizer: str) -> None:
    rate = {"adamw": 0.02, "sgd": 0.1, "rmsprop": 0.01}[optimizer]
    outer, task = made(optimizer=optimizer, learning_rate=rate, crop="none", ema_decay=0.0)
    task = replace(task, recipe=replace(task.recipe, epochs=30))
    assert fit(outer, task).accuracy > 0.9
    for part in task.inner:
        part.take()
        part.network.train()
        assert part.images is not None
        x = normalised(torch.from_numpy(part.images.pixels).permute(0, 3, 1, 2))
        right = part.network(x).argmax(1).numpy() == part.images.labels
        assert right.mean() > 0.8


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_training_by_turns_goes_on_to_the_same_bits(optimizer: str) -> None:
    def trained(resume: Snapshot | None, most: int) -> tuple[dict[str, Tensor], Snapshot]:
        outer, task = made(optimizer=optimizer)
        kept: list[Snapshot] = []

        def keep(snapshot: Snapshot) -> None:
            tensors = {name: tensor.clone() for name, tensor in snapshot.tensors.items()}
            kept.append(replace(snapshot, tensors=tensors))

        task = replace(task, recipe=replace(task.recipe, epochs=4))
        fit(outer, task, resume=resume, keep=keep, on_epoch=lambda epoch: epoch.number == most)
        return outer.state_dict(), kept[-1]

    whole, _ = trained(None, 4)
    _, half = trained(None, 2)
    again, _ = trained(half, 4)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_growing_images_grow_for_all() -> None:
    _, task = made(start_size=0.5)
    task = replace(task, recipe=replace(task.recipe, epochs=8))
    seen = {
        turn: [
            batch.pixels.shape[-1]
            for epoch in range(1, 9)
            for batch in batches(task, epoch)
            if batch.turn == turn
        ]
        for turn in (0, 1, None)
    }
    for turn, side in ((0, 4), (1, 6), (None, 8)):
        assert all(one <= other for one, other in pairwise(seen[turn]))
        assert (seen[turn][0], seen[turn][-1]) == (4, side)
