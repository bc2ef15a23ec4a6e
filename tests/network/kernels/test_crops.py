"""Compiled crops against torch's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoscale.datasets.data import Images
from autoscale.jobs.workers.kernels import load_kernels
from autoscale.network.kernels.compiled import NativeKernels
from autoscale.network.kernels.library import compiler
from autoscale.training import crops
from autoscale.training.batches import batches
from autoscale.training.recipe import RECIPES, Crop
from autoscale.training.task import Runtime, TrainingTask


@pytest.fixture(scope="module")
def native() -> NativeKernels:
    if compiler() is None:
        pytest.skip("there is no C++ compiler here")
    kernels = load_kernels("native")
    assert isinstance(kernels, NativeKernels)
    return kernels


def photos(count: int, side: int, channels: int = 3) -> np.ndarray:
    shape = (count, side, side, channels)
    return np.random.default_rng(side).integers(0, 256, shape, dtype=np.uint8)


def same_bytes(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Exactly; where torch has no vector instructions it may round a byte otherwise."""
    difference = (one.int() - other.int()).abs().max().item() if len(one) else 0
    exact = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    return difference <= (0 if exact else 1)


@given(st.data(), st.integers(1, 40), st.integers(1, 40), st.sampled_from([3, 1, 6]))
def test_windows_of_any_size_have_the_bytes_that_torch_gives(
    native: NativeKernels, data: st.DataObject, side: int, resolution: int, channels: int
) -> None:
    pixels = photos(3, side, channels)
    windows = []
    for _ in range(4):
        height = data.draw(st.integers(1, side))
        width = data.draw(st.integers(1, side))
        top = data.draw(st.integers(0, side - height))
        windows.append((top, data.draw(st.integers(0, side - width)), height, width))
    asked = (
        pixels,
        np.array([2, 0, 0, 1]),
        np.array(windows, dtype=np.int32),
        np.array([True, False, True, False]),
        resolution,
    )
    found = native.cut(*asked)
    assert same_bytes(found, crops.cut(*asked))
    assert found.shape == (4, channels, resolution, resolution)


@given(st.integers(1, 20), st.sampled_from([3, 1, 6]), st.data())
def test_over_the_borders_the_image_is_reflected(
    native: NativeKernels, side: int, channels: int, data: st.DataObject
) -> None:
    reach = (side - 1) // 2
    shifts = data.draw(
        st.lists(st.tuples(*[st.integers(-reach, reach)] * 2), min_size=4, max_size=4)
    )
    windows = np.array([(top, left, side, side) for top, left in shifts], dtype=np.int32)
    asked = (photos(4, side, channels), np.arange(4), windows, np.array([True, False] * 2), side)
    assert torch.equal(native.cut(*asked), crops.cut(*asked))


@pytest.mark.parametrize("channels", [3, 1, 5])
@pytest.mark.parametrize("crop", ["random-resized", "shift", "none"])
def test_an_epoch_is_the_same_with_both(native: NativeKernels, crop: Crop, channels: int) -> None:
    images = Images(photos(20, 24, channels), np.arange(20))
    recipe = replace(RECIPES["full"], crop=crop, batch_size=8)
    task = TrainingTask(train=images, validation=images, recipe=recipe, resolution=24, seed=3)
    epochs = [list(batches(task, 1, Runtime(cut=cut))) for cut in (native.cut, crops.cut)]
    for (one, labels, *_), (other, same_labels, *_) in zip(*epochs, strict=True):
        assert same_bytes(one, other)
        assert torch.equal(labels, same_labels)
        assert one.is_contiguous(memory_format=torch.channels_last)
        assert other.is_contiguous(memory_format=torch.channels_last)


def test_threads_change_nothing(native: NativeKernels) -> None:
    windows = np.tile(np.array([[1, 2, 10, 9]], dtype=np.int32), (9, 1))
    asked = (photos(9, 16), np.arange(9), windows, np.zeros(9, dtype=bool), 16)
    alone = native.cut(*asked)
    torch.set_num_threads(2)
    try:
        assert torch.equal(native.cut(*asked), alone)
    finally:
        torch.set_num_threads(1)
