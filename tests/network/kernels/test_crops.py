"""Compiled crops against torch's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoscale.aspect import SQUARE, Aspect, ImageSize
from autoscale.datasets.data import Images
from autoscale.datasets.pictures.preparation import ours
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


def photos(count: int, size: ImageSize, channels: int = 3) -> np.ndarray:
    shape = (count, *size, channels)
    return np.random.default_rng(size).integers(0, 256, shape, dtype=np.uint8)


def same_bytes(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Exactly; where torch has no vector instructions it may round a byte otherwise."""
    difference = (one.int() - other.int()).abs().max().item() if len(one) else 0
    exact = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    return difference <= (0 if exact else 1)


SIZES = st.builds(ImageSize, st.integers(1, 40), st.integers(1, 40))


# torch brings bytes of more than four channels to a wrong column where that is all of the width.
@given(st.data(), SIZES, SIZES.filter(lambda one: one.width > 1), st.sampled_from([3, 1, 6]))
def test_windows_of_any_size_have_the_bytes_that_torch_gives(
    native: NativeKernels, data: st.DataObject, stored: ImageSize, size: ImageSize, channels: int
) -> None:
    pixels = photos(3, stored, channels)
    windows = []
    for _ in range(4):
        height = data.draw(st.integers(1, stored.height))
        width = data.draw(st.integers(1, stored.width))
        top = data.draw(st.integers(0, stored.height - height))
        windows.append((top, data.draw(st.integers(0, stored.width - width)), height, width))
    asked = (
        pixels,
        np.array([2, 0, 0, 1]),
        np.array(windows, dtype=np.int32),
        np.array([True, False, True, False]),
        size,
    )
    found = native.cut(*asked)
    assert same_bytes(found, crops.cut(*asked))
    assert found.shape == (4, channels, *size)


@given(SIZES, st.sampled_from([3, 1, 6]), st.data())
def test_over_the_borders_the_image_is_reflected(
    native: NativeKernels, size: ImageSize, channels: int, data: st.DataObject
) -> None:
    down, across = ((side - 1) // 2 for side in size)
    shift = st.tuples(st.integers(-down, down), st.integers(-across, across))
    shifts = data.draw(st.lists(shift, min_size=4, max_size=4))
    windows = np.array([(top, left, *size) for top, left in shifts], dtype=np.int32)
    asked = (photos(4, size, channels), np.arange(4), windows, np.array([True, False] * 2), size)
    assert torch.equal(native.cut(*asked), crops.cut(*asked))


@pytest.mark.parametrize("channels", [3, 1, 5])
@pytest.mark.parametrize("crop", ["random-resized", "shift", "none"])
@pytest.mark.parametrize("aspect", [SQUARE, Aspect(4, 3), Aspect(1, 8)])
def test_an_epoch_is_the_same_with_both(
    native: NativeKernels, crop: Crop, channels: int, aspect: Aspect
) -> None:
    preparation = replace(ours(channels), aspect=aspect)
    images = Images(photos(20, preparation.image_size(24), channels), np.arange(20))
    recipe = replace(RECIPES["full"], crop=crop, batch_size=8, shift=0.4, start_size=0.6)
    task = TrainingTask(
        train=images,
        validation=images,
        recipe=recipe,
        resolution=24,
        seed=3,
        preparation=preparation,
    )
    epochs = [list(batches(task, 1, Runtime(cut=cut))) for cut in (native.cut, crops.cut)]
    for (one, labels, *_), (other, same_labels, *_) in zip(*epochs, strict=True):
        assert same_bytes(one, other)
        assert torch.equal(labels, same_labels)
        assert one.is_contiguous(memory_format=torch.channels_last)
        assert other.is_contiguous(memory_format=torch.channels_last)


def test_threads_change_nothing(native: NativeKernels) -> None:
    windows = np.tile(np.array([[1, 2, 10, 9]], dtype=np.int32), (9, 1))
    size = ImageSize(16, 16)
    asked = (photos(9, size), np.arange(9), windows, np.zeros(9, dtype=bool), size)
    alone = native.cut(*asked)
    torch.set_num_threads(2)
    try:
        assert torch.equal(native.cut(*asked), alone)
    finally:
        torch.set_num_threads(1)
