"""Which part of a picture a network sees."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image

from autoscale.aspect import ImageSize
from autoscale.datasets.pictures.decoding import _content, decode_one
from autoscale.datasets.pictures.framing import BESIDE, frame_of
from autoscale.datasets.pictures.pictures import Pictures
from autoscale.datasets.pictures.preparation import OURS
from autoscale.errors import InvalidSetting

PADDED, SQUASHED = replace(OURS, area="padded"), replace(OURS, area="squashed")


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def png(image: Image.Image, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG", **options)
    return content.getvalue()


@given(st.integers(1, 40), st.integers(1, 20))
def test_of_a_square_picture_every_area_is_the_same(side: int, size: int) -> None:
    content = png(noise(side, side))
    usual = decode_one(content, size, OURS).pixels
    for preparation in (PADDED, SQUASHED):
        np.testing.assert_array_equal(decode_one(content, size, preparation).pixels, usual)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20))
def test_a_squashed_picture_is_pillows_resized_one(width: int, height: int, size: int) -> None:
    image = noise(width, height)
    expected = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(decode_one(png(image), size, SQUASHED).pixels, expected)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20))
def test_a_padded_picture_lies_whole_in_the_middle_of_grey(
    width: int, height: int, size: int
) -> None:
    found = decode_one(png(Image.new("RGB", (width, height), (9, 9, 9))), size, PADDED).pixels
    inside = (found == 9).all(axis=2)
    assert (found[~inside] == BESIDE).all()
    rows, columns = inside.any(axis=1), inside.any(axis=0)
    assert inside.sum() == rows.sum() * columns.sum()
    for lines in (rows, columns):
        before, after = int(lines.argmax()), int(lines[::-1].argmax())
        assert after - before in (0, 1)
    # To half a pixel, the sides are to each other as those of the picture.
    longer, shorter = max(rows.sum(), columns.sum()), min(rows.sum(), columns.sum())
    assert longer == size
    assert abs(shorter - max(1, size * min(width, height) / max(width, height))) <= 0.5


@given(
    st.floats(1, 1e4),
    st.floats(1, 1e4),
    st.builds(ImageSize, st.integers(1, 300), st.integers(1, 300)),
)
def test_what_an_area_takes_lies_in_the_picture_and_in_the_image(
    width: float, height: float, size: ImageSize
) -> None:
    for area in ("centre-square", "padded", "squashed"):
        frame = frame_of(area, (0, 0, width, height), width, height, size)  # type: ignore[arg-type]
        left, top, right, bottom = frame.box
        assert 0 <= left < right <= width * (1 + 1e-12)
        assert 0 <= top < bottom <= height * (1 + 1e-12)
        sides = (size.width, size.height)
        for corner, own, side in zip(frame.corner, frame.size, sides, strict=True):
            assert 0 <= corner <= corner + own <= side


@pytest.mark.parametrize("preparation", [PADDED, SQUASHED], ids=["padded", "squashed"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_upright_first(preparation: object, orientation: int) -> None:
    upright = noise(30, 17)
    back = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    stored = _turned(upright, back)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    found = decode_one(png(stored, exif=exif), 12, preparation).pixels  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, decode_one(png(upright), 12, preparation).pixels)  # type: ignore[arg-type]


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    from autoscale.datasets.pictures.decoding import _TURNS

    turn = _TURNS[orientation]
    return image if turn is None else image.transpose(turn)


@pytest.mark.parametrize("preparation", [PADDED, SQUASHED], ids=["padded", "squashed"])
def test_a_large_jpeg_that_is_reduced_while_it_is_read_keeps_its_edges(preparation: object) -> None:
    y, x = np.mgrid[0:1003, 0:1999]
    smooth = np.stack([x * 255 // 1998, y * 255 // 1002, (x + y) % 256 // 2], axis=-1)
    content = io.BytesIO()
    Image.fromarray(smooth.astype(np.uint8)).save(content, "JPEG", quality=95, subsampling=0)
    whole = png(Image.open(content))
    found = decode_one(content.getvalue(), 16, preparation).pixels.astype(int)  # type: ignore[arg-type]
    expected: NDArray[np.int64] = decode_one(whole, 16, preparation).pixels.astype(int)  # type: ignore[arg-type]
    assert abs(found - expected).max() <= 2


def test_kept_images_of_one_area_are_not_taken_for_another() -> None:
    content = png(noise(9, 7))
    pictures = Pictures(["a"], [len(content)], np.zeros(1, np.int64), lambda _: content)
    names = {_content(pictures, 8, one) for one in (OURS, PADDED, SQUASHED)}
    assert len(names) == 3


def test_there_is_no_other_area() -> None:
    with pytest.raises(InvalidSetting, match="centre-square, padded, squashed: 'whole'"):
        replace(OURS, area="whole")  # type: ignore[arg-type]
