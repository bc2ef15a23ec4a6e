"""The size of images that are no squares."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.aspect import MOST, SQUARE, ImageSize, aspect_of, image_size, written
from autoscale.errors import InvalidSetting

RESOLUTIONS = st.integers(1, 1_000_000)
ASPECTS = st.builds(Fraction, st.integers(1, 10_000), st.integers(1, 10_000)).filter(
    lambda aspect: Fraction(1, MOST) <= aspect <= MOST
)


def test_a_square_is_as_wide_as_high() -> None:
    assert image_size(96) == ImageSize(96, 96)
    assert str(image_size(96)) == "96"


@pytest.mark.parametrize(
    ("resolution", "aspect", "size"),
    [(96, "4/3", "96x128"), (120, "4/3", "120x160"), (100, "4/3", "100x133"), (2, "1/8", "2x1")],
)
def test_a_width_is_the_nearest_whole_number(resolution: int, aspect: str, size: str) -> None:
    assert str(image_size(resolution, aspect_of(aspect))) == size


@given(RESOLUTIONS, ASPECTS)
def test_a_width_is_within_half_a_pixel(resolution: int, aspect: Fraction) -> None:
    height, width = image_size(resolution, aspect)
    assert height == resolution
    assert width == 1 or abs(width - resolution * aspect) <= Fraction(1, 2)


@given(st.lists(RESOLUTIONS, min_size=1, max_size=5), ASPECTS)
def test_arrays_are_as_single_numbers(resolutions: list[int], aspect: Fraction) -> None:
    found = image_size(np.array(resolutions), aspect)
    assert found.width.tolist() == [image_size(each, aspect).width for each in resolutions]


@given(ASPECTS)
def test_what_is_written_is_read(aspect: Fraction) -> None:
    assert aspect_of(written(aspect)) == aspect


@pytest.mark.parametrize("text", ["4:3", "wide", "0", "-1", "9", "1/9", "4/0", "", True, 1.5, None])
def test_what_is_no_aspect_is_refused(text: object) -> None:
    with pytest.raises(InvalidSetting, match="width of images divided by their height"):
        aspect_of(text)


def test_a_square_reads_as_one() -> None:
    assert aspect_of(1) == aspect_of("1") == aspect_of("4/4") == SQUARE
