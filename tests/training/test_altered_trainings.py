"""Trainings on altered and mixed images, on several batches at a time, with clipped gradients."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autoscale.aspect import ImageSize
from autoscale.datasets.data import Images
from autoscale.datasets.pictures.preparation import OURS
from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.errors import AutoscaleError, InvalidSetting
from autoscale.jobs.workers.kernels import accelerated, load_kernels
from autoscale.network.build import build
from autoscale.training import fit as fitting
from autoscale.training.batches import Batch, batches
from autoscale.training.fit import Fit
from autoscale.training.gradients import Gradients, Losses
from autoscale.training.loss.losses import CrossEntropy, Focal
from autoscale.training.nested.inner import Inner
from autoscale.training.process_group import ALONE, ProcessGroup
from autoscale.training.recipe import RECIPES, Recipe
from autoscale.training.state import Snapshot, TrainingState
from autoscale.training.task import TrainingTask
from autoscale.training.teacher.crops import FixedCrops
from autoscale.training.teacher.teaching import Teaching
from tests.training.test_augmentation import ALL, ALTERING
from tests.training.trainings import fitted

RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=0.05, crop="none", flip=False)
CPU = torch.device("cpu")


def pictures(count: int, seed: int = 0) -> Images:
    """Two classes: bright above, or bright below."""
    random = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 2
    pixels = random.integers(0, 120, (count, 8, 8, 3))
    for image, label in zip(pixels, labels, strict=True):
        image[slice(0, 4) if label else slice(4, 8)] += 120
    return Images(pixels.astype(np.uint8), labels)


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))


def convnet() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.SiLU(),
        nn.Dropout(0.1),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 2),
    )


def task(recipe: Recipe, count: int = 40, **options: Any) -> TrainingTask:
    given = {"train": pictures(count), "validation": pictures(20, seed=1), **options}
    return TrainingTask(recipe=recipe, resolution=8, seed=5, **given)


def run(network: nn.Module, recipe: Recipe, **options: Any) -> Fit:
    asked = task(recipe, count=options.pop("count", 40))
    return fitting.fit(network, asked, **options)


def weights(network: nn.Module) -> list[Tensor]:
    return list(network.state_dict().values())


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(map(torch.equal, weights(one), weights(other)))


def near(one: nn.Module, other: nn.Module, rtol: float = 1e-4) -> bool:
    return all(
        torch.allclose(a.double(), b.double(), rtol=rtol, atol=1e-6)
        for a, b in zip(weights(one), weights(other), strict=True)
    )


# Bits


@pytest.mark.parametrize(
    "fields",
    [*ALTERING, {**ALL, "accumulate": 2, "clip_norm": 0.5, "start_regularisation": 0.3}],
)
def test_a_resumed_training_equals_the_unbroken_one(fields: dict[str, Any]) -> None:
    recipe = replace(RECIPE, ema_decay=0.9, **fields)
    kept: list[Snapshot] = []

    def keep(snapshot: Snapshot) -> None:
        kept.append(copy.deepcopy(snapshot))

    whole, again, resumed = convnet(), convnet(), convnet()
    found = run(whole, recipe, keep=keep)
    run(again, recipe)
    assert equal(whole, again)
    later = run(resumed, recipe, resume=kept[0])
    assert equal(whole, resumed)
    assert [epoch.loss for epoch in later.epochs] == [epoch.loss for epoch in found.epochs]
    usual = convnet()
    run(usual, replace(RECIPE, ema_decay=0.9))
    assert not equal(whole, usual)


def test_a_linear_layer_learns_from_all_of_it_together() -> None:
    recipe = replace(
        RECIPE, epochs=8, mixup=0.2, cutmix=1.0, color_jitter=0.3, erasing=0.2, clip_norm=5.0
    )
    assert run(linear(), recipe).accuracy > 0.9


# Several batches a move


def test_batches_that_are_accumulated_move_like_one_large_batch() -> None:
    """Where no norm sees the batch, and the order is that of the large one."""
    small, large = linear(), linear()
    asked = task(replace(RECIPE, accumulate=3))
    state = TrainingState(small, asked, CPU, ALONE)
    other = TrainingState(large, replace(asked, recipe=RECIPE), CPU, ALONE)
    three = list(batches(asked, 1))[:3]
    pixels = torch.cat([one.pixels for one in three])
    whole = three[0]._replace(pixels=pixels, labels=torch.cat([one.labels for one in three]))
    loss = state.step(three, learning_rate=0.1)
    assert loss.item() == pytest.approx(other.step([whole], learning_rate=0.1).item(), rel=1e-6)
    assert near(small, large)


def test_batch_norm_sees_single_batches_of_those_that_are_accumulated() -> None:
    seen: list[int] = []
    network = convnet()
    network[1].register_forward_hook(  # type: ignore[index]
        lambda module, inputs, _: seen.append(len(inputs[0])) if module.training else None
    )
    run(network, replace(RECIPE, epochs=1, accumulate=2))
    assert seen == [8] * 5
    assert int(network[1].num_batches_tracked) == 5  # type: ignore[index, arg-type]


def test_moves_are_counted_and_the_last_may_be_of_fewer_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moves: list[tuple[int, float]] = []
    usual = TrainingState.step

    def step(self: TrainingState, group: Iterable[Batch], *, learning_rate: float) -> Tensor:
        held = list(group)
        moves.append((len(held), learning_rate))
        return usual(self, held, learning_rate=learning_rate)

    monkeypatch.setattr(TrainingState, "step", step)
    recipe = replace(RECIPE, epochs=1, accumulate=2, schedule="linear")
    run(linear(), recipe)
    assert [count for count, _ in moves] == [2, 2, 1]
    # At the middle of the batches of each move; the peak is the recipe's, whatever is accumulated.
    assert [rate for _, rate in moves] == pytest.approx([0.05 * (1 - p) for p in (0.2, 0.6, 0.9)])
    assert task(recipe).moves == 3


def test_the_loss_of_an_epoch_is_the_mean_over_its_batches() -> None:
    losses = Losses(RECIPE, epoch=1, steps=3, device=CPU)
    losses.add(torch.tensor(1.0), steps=2)
    losses.add(torch.tensor(4.0))
    assert losses.mean() == 2
    frozen = replace(RECIPE, epochs=1, learning_rate=1e-30)
    usual = run(linear(), frozen).loss
    assert run(linear(), replace(frozen, accumulate=2)).loss == pytest.approx(usual, rel=1e-6)


# Memory


@pytest.mark.parametrize("fields", [{"mixup": 0.4}, {"cutmix": 1.0}, {"accumulate": 2}])
def test_halves_give_the_gradients_of_whole_batches(fields: dict[str, Any]) -> None:
    asked = task(replace(RECIPE, **fields))
    group = list(batches(asked, 1))[: asked.recipe.accumulate]
    found = []
    for halved in (False, True):
        network = linear()
        gradients = gradients_of(network)
        gradients.halved = halved
        loss = gradients.of(group).item()
        found.append((loss, [p.grad for p in network.parameters()]))
    (whole, of_whole), (parts, of_parts) = found
    assert parts == pytest.approx(whole, rel=1e-6)
    for one, other in zip(of_whole, of_parts, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-7)  # type: ignore[arg-type]


def test_memory_that_runs_out_in_a_later_batch_counts_no_gradient_twice() -> None:
    asked = task(replace(RECIPE, accumulate=3, mixup=0.4))
    group = list(batches(asked, 1))[:3]
    calm, pressed = linear(), linear()
    gradients_of(calm).of(group)
    passes = 0

    def fail_once(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal passes
        passes += 1
        if passes == 2:
            raise MemoryError

    pressed.register_forward_pre_hook(fail_once)
    gradients = gradients_of(pressed)
    gradients.of(group)
    assert gradients.halved
    for one, other in zip(calm.parameters(), pressed.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-5, atol=1e-7)  # type: ignore[arg-type]


def gradients_of(network: nn.Module) -> Gradients:
    return Gradients(
        network, CPU, loss=CrossEntropy(), preparation=OURS, teaching=None, may_halve=True
    )


# Clipping


def test_gradients_longer_than_the_limit_are_shortened_to_it_and_shorter_ones_left() -> None:
    def moved(clip_norm: float) -> Tensor:
        network = linear()
        before = torch.cat([p.detach().flatten().clone() for p in network.parameters()])
        recipe = replace(RECIPE, momentum=0.0, clip_norm=clip_norm)
        asked = task(recipe)
        state = TrainingState(network, asked, CPU, ALONE)
        state.step([next(iter(batches(asked, 1)))], learning_rate=1.0)
        return before - torch.cat([p.detach().flatten() for p in network.parameters()])

    usual = moved(0.0)
    norm = float(usual.norm())
    assert float(moved(norm / 4).norm()) == pytest.approx(norm / 4, rel=1e-3)
    assert torch.allclose(moved(norm / 4) * 4, usual, rtol=1e-3, atol=1e-6)
    assert torch.allclose(moved(norm * 2), usual, rtol=1e-5, atol=1e-7)


# Several processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Threads(ProcessGroup):
    """Peers that are threads of one process."""

    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(1))
    told: dict[int, Any] = field(default_factory=dict)

    def _sum(self, own: Any) -> Any:
        self.told[self.rank] = own
        self.meeting.wait()
        total = sum(self.told[rank] for rank in range(self.size))
        self.meeting.wait()
        return total

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        if not tensors:
            return
        flat = self._sum(torch.cat([t.reshape(-1).double() for t in tensors]))
        start = 0
        for tensor in tensors:
            tensor.copy_((flat[start : start + tensor.numel()] / self.size).view(tensor.shape))
            start += tensor.numel()

    def total(self, number: float) -> float:
        return float(self._sum(number))


def together(recipe: Recipe) -> list[nn.Module]:
    """The networks of two processes that train one together."""
    meeting, told = threading.Barrier(2, timeout=60), dict[int, Any]()
    networks = [linear(), linear()]

    def of(rank: int) -> None:
        peers = Threads(rank=rank, size=2, meeting=meeting, told=told)
        asked = task(recipe)
        fitted(
            networks[rank],
            recipe=recipe, train=asked.train, validation=asked.validation, resolution=8, seed=5,
            peers=peers,
        )  # fmt: skip

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(of, range(2)))
    return networks


def test_processes_hold_the_same_weights_whatever_is_mixed_and_accumulated() -> None:
    one, other = together(replace(RECIPE, accumulate=2, clip_norm=0.3, ema_decay=0.9, **ALL))
    assert equal(one, other)


def test_processes_that_accumulate_and_clip_do_what_one_does() -> None:
    recipe = replace(RECIPE, accumulate=2, clip_norm=0.3)
    alone = linear()
    run(alone, recipe)
    one, _ = together(recipe)
    assert near(alone, one)


# Kernels


def test_all_kernels_train_alike_on_mixed_images() -> None:
    design = Architecture(
        resolution=8,
        stem=Stem(width=8),
        stages=(Stage(width=8, expand_ratio=2, stride=1),),
        head=Head(width=16),
        num_classes=2,
    )
    recipe = replace(RECIPE, epochs=1, mixup=0.4, cutmix=1.0, accumulate=2)
    losses = {}
    for name in ("none", "torch", "native"):
        try:
            load_kernels(name)
        except AutoscaleError:  # no compiler
            continue
        torch.manual_seed(0)
        losses[name] = run(accelerated(build(design), name), recipe).loss
    assert {"none", "torch"} <= set(losses)
    assert [*losses.values()] == pytest.approx([losses["none"]] * len(losses), rel=1e-4)


# Networks inside a larger one


def test_networks_inside_learn_the_answers_to_mixed_images() -> None:
    outer, inner = linear(), linear()
    for parameter in inner.parameters():
        nn.init.zeros_(parameter)
    asked = task(replace(RECIPE, **ALL, accumulate=2), inner=(Inner(inner, outer, resolution=8),))
    taught = fitting.fit(outer, asked)
    assert np.isfinite(taught.loss)
    alone = linear()
    run(alone, asked.recipe)
    assert not equal(outer, alone)  # the gradients of the network inside were added


# What does not go together


def taught(count: int = 16) -> Teaching:
    crops = FixedCrops(recipe=RECIPE, size=ImageSize(8, 8), count=1, seed=0)
    return Teaching(
        crops=crops, answers={0: np.zeros((count, 2), np.float32)}, weight=0.5, temperature=1
    )


@pytest.mark.parametrize("fields", ALTERING)
def test_a_teacher_that_saw_other_images_is_refused(fields: dict[str, Any]) -> None:
    (name,) = fields
    message = f"{name} .* alters images, and a teacher's answers are of crops as they are; leave"
    with pytest.raises(InvalidSetting, match=message):
        task(replace(RECIPE, **fields), count=16, teaching=taught())
    task(replace(RECIPE, clip_norm=1.0, accumulate=2), count=16, teaching=taught())


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_a_loss_of_one_label_refuses_mixtures(name: str) -> None:
    message = f"{name} 0.5 gives images two labels, and a loss that is no cross-entropy takes one"
    with pytest.raises(InvalidSetting, match=message):
        task(replace(RECIPE, **{name: 0.5}), loss=Focal(2.0))
    task(replace(RECIPE, erasing=0.5, augment="trivial"), loss=Focal(2.0))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mixup", -0.1), ("cutmix", -1.0), ("erasing", 1.1), ("color_jitter", -0.1),
        ("clip_norm", -1.0), ("accumulate", 0), ("accumulate", 1.5), ("augment", 3),
        ("mixup", float("nan")), ("clip_norm", float("inf")),
    ],
)  # fmt: skip
def test_values_beyond_their_ranges_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidSetting, match=name):
        replace(RECIPE, **{name: value})


def test_named_recipes_alter_nothing() -> None:
    for recipe in RECIPES.values():
        assert recipe.altering == ()
        assert (recipe.clip_norm, recipe.accumulate) == (0, 1)
