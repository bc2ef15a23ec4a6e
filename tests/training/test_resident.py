"""Windows cut by products of matrices, as on a graphics card, agree with those cut from bytes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from autoscale.aspect import ImageSize
from autoscale.datasets.data import Images
from autoscale.training import crops, fit
from autoscale.training.failures import TrainingDiverged
from autoscale.training.gradients import Losses
from autoscale.training.recipe import RECIPES
from autoscale.training.resident import ResidentCut, fits, shares
from autoscale.training.task import TrainingTask

CPU = torch.device("cpu")


@pytest.mark.parametrize("crop", ["random-resized", "shift", "none"])
@pytest.mark.parametrize(
    ("stored", "resolution"),
    [
        (ImageSize(20, 20), ImageSize(20, 20)),
        (ImageSize(33, 33), ImageSize(16, 16)),
        (ImageSize(17, 17), ImageSize(40, 40)),
        (ImageSize(24, 32), ImageSize(12, 16)),
        (ImageSize(32, 13), ImageSize(40, 16)),
    ],
)
@pytest.mark.parametrize("channels", [3, 7])
def test_windows_are_those_of_the_bytes(
    crop: str, stored: ImageSize, resolution: ImageSize, channels: int
) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, *stored, channels), dtype=np.uint8)
    recipe = replace(RECIPES["proxy"], crop=crop, shift=0.25)  # type: ignore[arg-type]
    size = resolution if crop == "random-resized" else stored
    rows, mirrored = np.array([8, 0, 3, 3, 5]), np.array([True, False, True, False, False])
    windows = crops.windows_of(recipe, 5, stored, rng)
    expected = crops.cut(pixels, rows, windows, mirrored, size)
    found = ResidentCut(pixels, CPU)(pixels, rows, windows, mirrored, size)
    assert found.is_contiguous(memory_format=torch.channels_last)
    difference = (found - expected.float()).abs()
    assert difference.max() <= (2 if crop == "random-resized" else 0)
    assert difference.mean() < 0.05


def test_shares_of_a_line_sum_to_one() -> None:
    start, length = torch.tensor([0, 3, -2]), torch.tensor([10, 5, 10])
    assert torch.allclose(shares(start, length, 7, 10).sum(2), torch.ones(3, 7))


def test_images_stay_only_on_a_graphics_card() -> None:
    assert not fits(np.zeros((1, 2, 2, 3), dtype=np.uint8), CPU)


def test_a_training_learns_from_resident_images(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    pixels = rng.integers(0, 100, (40, 8, 8, 3), dtype=np.uint8)
    pixels[labels == 1] += 120
    images = Images(pixels, labels)
    recipe = replace(RECIPES["proxy"], epochs=4, batch_size=8)
    monkeypatch.setattr(fit, "fits", lambda *_: True)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 36, 2))
    task = TrainingTask(train=images, validation=images, recipe=recipe, resolution=6, seed=0)
    found = fit.fit(network, task)
    assert found.accuracy == 1.0


def test_a_card_is_asked_now_and_then_and_the_step_that_diverged_is_named() -> None:
    losses = Losses(RECIPES["proxy"], epoch=3, steps=50, device=torch.device("cuda"))
    for step in range(19):
        losses.add(torch.tensor(float("nan") if step == 4 else 1.0))
    with pytest.raises(TrainingDiverged, match="became nan in epoch 3, step 5 of 50"):
        losses.add(torch.tensor(1.0))
