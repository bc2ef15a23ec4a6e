"""Mean and deviation of images, as they are measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.datasets.pictures.measured import measured


@given(st.integers(1, 300), st.integers(1, 5), st.integers(1, 7), st.integers(1, 256))
def test_mean_and_deviation_are_numpys(count: int, side: int, bands: int, below: int) -> None:
    shape = (count, side, side, bands)
    pixels = np.random.default_rng(0).integers(0, below, shape, dtype=np.uint8)
    found = measured(pixels)
    assert found.mean == pytest.approx((pixels / 255).mean(axis=(0, 1, 2)), abs=1e-6)
    expected = np.maximum((pixels / 255).std(axis=(0, 1, 2)), 1 / 255)
    assert found.deviation == pytest.approx(expected, abs=1e-6)
    assert found.levels == tuple(len(np.unique(pixels[..., band])) for band in range(bands))


def test_the_order_of_the_images_changes_no_bit() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (700, 4, 4, 3), dtype=np.uint8)
    assert measured(pixels) == measured(pixels[random.permutation(700)])


def test_a_band_that_never_changes_deviates_by_one_level_and_is_told() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3), dtype=np.uint8)
    pixels[..., 1] = 7
    found = measured(pixels)
    assert found.deviation[1] == 1 / 255
    (notice,) = found.notices()
    assert "in channel 2 (1):" in notice
    assert measured(pixels[..., ::2]).notices() == ()
