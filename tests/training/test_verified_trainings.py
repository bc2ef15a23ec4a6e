"""Evaluations within trainings in bfloat16, most of whose images are computed in bfloat16."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autoscale.datasets.data import Images
from autoscale.design.architecture import Architecture, Head, Stage, Stem
from autoscale.jobs.names import BFLOAT16_KERNELS
from autoscale.jobs.workers.kernels import accelerated
from autoscale.metrics.answers import BalancedAccuracy
from autoscale.network.build import build
from autoscale.network.kernels.accelerate import Accelerated
from autoscale.network.kernels.compiled import NativeKernels, Way
from autoscale.network.kernels.library import compiler
from autoscale.network.kernels.precision import multiplies_bfloat16
from autoscale.training.evaluation.evaluation_set import EvaluationSet
from autoscale.training.fit import Fit, fit
from autoscale.training.parts import classifier_of
from autoscale.training.process_group import ProcessGroup
from autoscale.training.recipe import Recipe
from autoscale.training.task import Runtime, TrainingTask

compiled = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler here")
multiplied = pytest.mark.skipif(
    compiler() is None or not multiplies_bfloat16(),
    reason="there is no C++ compiler here, or the processor does not multiply bfloat16",
)

CLASSES, PIXELS, UNSEEN = 6, 16, 400
SMALL = Architecture(
    resolution=PIXELS,
    stem=Stem(width=8),
    stages=(
        Stage(width=8, expand_ratio=1),
        Stage(width=16, expand_ratio=4, stride=2, depth=2, se_ratio=0.25),
    ),
    head=Head(width=32),
    num_classes=CLASSES,
)
RECIPE = Recipe(epochs=4, batch_size=32, learning_rate=0.05, crop="none", flip=False)


def tinted(count: int, seed: int) -> Images:
    """A colour a class, below noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    colours = np.random.default_rng(99).uniform(60, 200, (CLASSES, 1, 1, 3))
    pixels = colours[labels] + random.normal(0, 40, (count, PIXELS, PIXELS, 3))
    return Images(pixels.clip(0, 255).astype(np.uint8), labels)


TRAIN, VALIDATION = tinted(480, 1), tinted(UNSEEN, 2)
SHOWN = EvaluationSet(images=VALIDATION, resolution=PIXELS)


def network(kernels: str = BFLOAT16_KERNELS, seed: int = 0) -> Accelerated:
    torch.manual_seed(seed)
    module = accelerated(build(SMALL), kernels)
    assert isinstance(module, Accelerated)
    return module


def trained(kernels: str = BFLOAT16_KERNELS, **options: Any) -> tuple[Fit, nn.Module]:
    module = network(kernels)
    task = TrainingTask(**{
        "train": TRAIN, "validation": VALIDATION, "recipe": RECIPE, "resolution": PIXELS,
        "seed": 0, "evaluate_after": range(1, RECIPE.epochs + 1), **options,
    })  # fmt: skip
    return fit(module, task), module


class Counted:
    """How many images passed in eval mode, each way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.narrow = self.usual = 0
        inner, outer = Accelerated._approximate, Accelerated.forward

        def approximate(module: Accelerated, x: Tensor) -> Tensor:
            self.narrow += len(x)
            return inner(module, x)

        def forward(module: Accelerated, x: Tensor) -> Tensor:
            self.usual += 0 if module.training else len(x)
            return outer(module, x)

        monkeypatch.setattr(Accelerated, "_approximate", approximate)
        monkeypatch.setattr(Accelerated, "forward", forward)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def assert_agreement(module: nn.Module) -> None:
    found, expected = (
        SHOWN.answered_right(module, verified=verified) for verified in (True, False)
    )
    assert found.tolist() == expected.tolist()


@multiplied
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_training_evaluates_most_images_in_bfloat16_and_answers_as_in_float32(
    ema_decay: float, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, ema_decay=ema_decay)
    found, module = trained(recipe=recipe)
    evaluations = recipe.epochs - 1  # and the last one in float32
    assert UNSEEN / 2 < counted.narrow <= evaluations * UNSEEN
    assert counted.usual < (evaluations + 1) * UNSEEN * 0.8
    with monkeypatch.context() as patch:
        patch.setattr(Accelerated, "approximately", None)
        usual, same = trained(recipe=recipe)
    assert [epoch.accuracy for epoch in found.epochs] == [epoch.accuracy for epoch in usual.epochs]
    assert found.accuracy > 0.8
    for one, other in zip(module.parameters(), same.parameters(), strict=True):
        assert torch.equal(one, other)
    assert_agreement(module)


@multiplied
@pytest.mark.parametrize("seed", range(3))
def test_random_networks_answer_as_in_float32(seed: int) -> None:
    assert_agreement(network(seed=seed))


@multiplied
def test_classes_that_are_always_tied_are_answered_as_in_float32() -> None:
    _, module = trained()
    classifier = classifier_of(module)
    with torch.no_grad():
        classifier.weight[1::2] = classifier.weight[::2]
        classifier.bias[1::2] = classifier.bias[::2]
    assert_agreement(module)


@compiled
def test_float32_other_metrics_and_several_labels_are_evaluated_as_ever(counted: Counted) -> None:
    assert network("native").approximately is None
    assert network("torch").approximately is None
    trained("native")
    trained(metric=BalancedAccuracy())
    several = np.eye(CLASSES, dtype=np.int64)
    train, validation = (replace(one, labels=several[one.labels]) for one in (TRAIN, VALIDATION))
    trained(train=train, validation=validation)
    assert counted.narrow == 0
    assert counted.usual == 3 * RECIPE.epochs * UNSEEN


@compiled
def test_without_products_of_bfloat16_nothing_is_computed_twice(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = network()
    assert isinstance(module.kernels, NativeKernels)
    monkeypatch.setattr(module.kernels, "way", Way.FMAS)
    assert module.approximately is None
    SHOWN.answered_right(module, verified=True)
    assert (counted.narrow, counted.usual) == (0, UNSEEN)


@multiplied
def test_processes_verify_their_own_batches() -> None:
    _, module = trained()
    whole = SHOWN.answered_right(module)
    parts = [
        replace(SHOWN, batch_size=150, runtime=Runtime(peers=ProcessGroup(rank, 2))).answered_right(
            module, verified=True
        )
        for rank in range(2)
    ]
    assert (parts[0] | parts[1]).tolist() == whole.tolist()
    assert not (parts[0] & parts[1]).any()
    assert not parts[0][150:300].any()
    assert not parts[1][:150].any()
