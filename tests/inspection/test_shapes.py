"""What is said of the shapes of pictures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.aspect import ImageSize, aspect_of
from autoscale.inspection.shapes import ASPECTS, shapes_in_words

SIZES = st.builds(ImageSize, st.integers(1, 9000), st.integers(1, 9000))


@pytest.mark.parametrize(
    ("shapes", "told", "way"),
    [
        ([ImageSize(480, 640)] * 4, "all pictures are about 4:3; squares in their middle leave out "
         "25% of them", "--aspect 4/3 shows 100% of them"),
        ([ImageSize(640, 480)] * 3 + [ImageSize(9, 9)], "75% of pictures are about 3:4; squares in "
         "their middle leave out 19% of them", "--aspect 3/4 shows 94% of them"),
        ([ImageSize(32, 32), ImageSize(33, 32)], "all pictures are about 1:1; squares leave out "
         "hardly anything", ""),
        ([ImageSize(30, 60), ImageSize(60, 30)], "50% of pictures are about 2:1; squares in their "
         "middle leave out 50% of them", "--aspect 2/1 shows 62% of them"),
        ([ImageSize(50, 50)] * 2 + [ImageSize(20, 80)], "67% of pictures are about 1:1; squares in "
         "their middle leave out 25% of them", "--area padded or squashed shows all of them"),
        ([ImageSize(50, 150)] * 2, "all pictures are about 3:1; squares in their middle leave out "
         "67% of them", "--aspect 3/1 shows 100% of them"),
        ([ImageSize(200, 1)] * 2, "all pictures are about 1:8 or narrower; squares in their middle "
         "leave out 100% of them", "--area padded or squashed shows all of them"),
    ],
)  # fmt: skip
def test_the_usual_shape_and_what_squares_leave_out_are_said(
    shapes: list[ImageSize], told: str, way: str
) -> None:
    assert shapes_in_words(shapes) == (told, way)


@pytest.mark.parametrize(
    ("aspect", "told", "way"),
    [
        ("4/3", "all pictures are about 4:3; parts of aspect 4/3 leave out hardly anything", ""),
        ("3/4", "all pictures are about 4:3; parts of aspect 3/4 in their middle leave out 44% of "
         "them", "--aspect 4/3 shows 100% of them"),
    ],
)  # fmt: skip
def test_what_parts_of_another_aspect_leave_out_is_said(aspect: str, told: str, way: str) -> None:
    assert shapes_in_words([ImageSize(480, 640)] * 4, aspect_of(aspect)) == (told, way)


@given(st.lists(SIZES, min_size=1, max_size=6))
def test_what_is_advised_can_be_asked_for(shapes: list[ImageSize]) -> None:
    _, way = shapes_in_words(shapes)
    if way.startswith("--aspect"):
        assert aspect_of(way.split()[1]) in ASPECTS
