from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from autoscale.datasets.data import Images
from autoscale.datasets.synthetic import CLASSES, COUNTS, Part, draw
from autoscale.errors import InvalidSetting
from autoscale.training.fit import fit
from autoscale.training.recipe import Recipe
from autoscale.training.task import TrainingTask


@pytest.mark.parametrize("part", COUNTS)
def test_every_part_is_balanced_and_of_its_size(part: Part) -> None:
    pixels, labels = draw(part, size=9, seed=0)
    assert pixels.shape == (COUNTS[part], 9, 9, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert labels.dtype == np.int64
    assert set(np.bincount(labels)) == {COUNTS[part] // len(CLASSES)}


def test_a_seed_always_draws_the_same() -> None:
    one, other = draw("test", size=20, seed=5, count=30), draw("test", size=20, seed=5, count=30)
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


def test_seeds_and_parts_share_no_scene() -> None:
    draws = [draw(part, size=12, seed=seed, count=50)[0] for part in COUNTS for seed in (0, 1)]
    pictures = np.concatenate(draws).reshape(300, -1)
    assert len(np.unique(pictures, axis=0)) == 300


def test_one_seed_gives_the_same_scenes_at_every_size() -> None:
    small, large = (draw("train", size=size, seed=0, count=20) for size in (24, 96))
    np.testing.assert_array_equal(small[1], large[1])
    for one, other in zip(small[0], large[0], strict=True):
        shrunk = Image.fromarray(other).resize((24, 24), Image.Resampling.BOX)
        difference = one.astype(float) - np.asarray(shrunk, dtype=float)
        assert np.abs(difference).mean() < 4  # of 255; strokes are measured across, not exactly


@pytest.mark.parametrize("size", [1, 2, 7, 33])
def test_any_size_can_be_drawn(size: int) -> None:
    assert draw("train", size=size, seed=0, count=3)[0].shape == (3, size, size, 3)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="part must be one of train, validation, test; got"):
        draw("dev", size=8, seed=0)  # type: ignore[arg-type]
    with pytest.raises(InvalidSetting, match="size must be at least 1 pixel; got 0"):
        draw("train", size=0, seed=0)
    with pytest.raises(InvalidSetting, match="count must be at least 1 image; got 0"):
        draw("train", size=8, seed=0, count=0)


def test_a_small_convnet_learns_the_marks_above_chance() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 48, 3, padding=1, bias=False),
        nn.BatchNorm2d(48),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(48, len(CLASSES)),
    )
    recipe = Recipe(
        epochs=4, batch_size=32, optimizer="adamw", learning_rate=0.01, warmup=0.1, crop="none"
    )
    train, validation = (Images(*draw(part, size=24, seed=0)) for part in ("train", "validation"))
    task = TrainingTask(train=train, validation=validation, recipe=recipe, resolution=24, seed=0)
    found = fit(network, task)
    assert found.accuracy > 0.2  # chance is 0.1
