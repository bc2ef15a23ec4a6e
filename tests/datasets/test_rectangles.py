"""Pictures as images that are no squares."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace

import numpy as np
import PIL
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from autoscale.aspect import SQUARE, Aspect, ImageSize
from autoscale.datasets import synthetic
from autoscale.datasets.pictures.bands import decode_bands
from autoscale.datasets.pictures.decoding import VERSION, _content, decode, decode_one
from autoscale.datasets.pictures.framing import frame_of
from autoscale.datasets.pictures.pictures import Pictures
from autoscale.datasets.pictures.preparation import OURS, Preparation, ours

WIDE, TALL = Aspect(4, 3), Aspect(3, 4)
ASPECTS = st.fractions(min_value=Aspect(1, 8), max_value=8, max_denominator=20)


def noise(width: int, height: int) -> Image.Image:
    shape = (height, width, 3)
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


@pytest.mark.parametrize(
    ("width", "height", "aspect", "box"),
    [
        (80, 60, WIDE, (0, 0, 80, 60)),
        (100, 60, WIDE, (10, 0, 90, 60)),
        (80, 80, WIDE, (0, 10, 80, 70)),
        (60, 100, TALL, (0, 10, 60, 90)),
    ],
)
def test_the_largest_part_of_the_aspect_is_in_the_middle(
    width: int, height: int, aspect: Aspect, box: tuple[int, int, int, int]
) -> None:
    image, preparation = noise(width, height), Preparation(aspect=aspect)
    size = preparation.image_size(24)
    expected = image.resize((size.width, size.height), Image.Resampling.BILINEAR, box=box)
    found = decode_one(saved(image), 24, preparation)
    np.testing.assert_array_equal(found.pixels, np.asarray(expected))
    assert found.shape == (height, width)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("area", ["centre-square", "padded", "squashed"])
def test_a_turned_picture_is_the_upright_one(orientation: int, area: str) -> None:
    stored, exif = noise(70, 40), Image.Exif()
    exif[0x0112] = orientation
    turned = io.BytesIO(saved(stored, exif=exif))
    with Image.open(turned) as image:
        from PIL import ImageOps

        upright = ImageOps.exif_transpose(image)
    preparation = Preparation(aspect=TALL, area=area)  # type: ignore[arg-type]
    found = decode_one(saved(stored, exif=exif), 16, preparation)
    expected = decode_one(saved(upright), 16, preparation)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.shape == expected.shape == (upright.height, upright.width)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_reduced_by_the_side_that_has_least_to_spare(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = noise(40, 30).resize((1600, 1200), Image.Resampling.BICUBIC)
    content = saved(smooth, "JPEG", quality=95, exif=exif)
    whole = saved(Image.open(io.BytesIO(content)).convert("RGB"), exif=exif)
    for aspect in (WIDE, Aspect(4), Aspect(1, 4)):
        preparation = Preparation(aspect=aspect)
        found = decode_one(content, 24, preparation).pixels.astype(int)
        assert np.abs(found - decode_one(whole, 24, preparation).pixels).max() <= 2


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 100), ASPECTS)
def test_padded_pictures_touch_two_borders_and_squashed_all(
    width: int, height: int, resolution: int, aspect: Aspect
) -> None:
    size = Preparation(aspect=aspect).image_size(resolution)
    shown = (0, 0, width, height)
    padded = frame_of("padded", shown, width, height, size)
    assert padded.size[0] == size.width or padded.size[1] == size.height
    assert padded.box == shown
    assert frame_of("squashed", shown, width, height, size).size == (size.width, size.height)


def test_bands_are_cut_as_colours_are() -> None:
    image = noise(50, 31)
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(image))
    for area in ("centre-square", "padded", "squashed"):
        preparation = replace(ours(3), aspect=WIDE, area=area)  # type: ignore[arg-type]
        np.testing.assert_array_equal(
            decode_bands(buffer.getvalue(), 12, preparation).pixels,
            decode_one(saved(image), 12, preparation).pixels,
        )


def pictures(*contents: bytes) -> Pictures:
    labels = np.zeros(len(contents), dtype=np.int64)
    names = [str(number) for number in range(len(contents))]
    return Pictures(names, [len(c) for c in contents], labels, lambda i: contents[i])


def test_images_of_another_aspect_have_another_name_and_squares_keep_theirs() -> None:
    one = pictures(saved(noise(9, 9)))
    name = _content(one, 8, OURS)
    digest = hashlib.sha256(
        f"{VERSION}, centre-square, bilinear, 65535, Pillow {PIL.__version__}".encode()
    )
    content = one.read(0)
    digest.update(b"%d:" % len(content) + content)
    assert name == f"1x8-{digest.hexdigest()[:24]}"
    names = {_content(one, 8, Preparation(aspect=a)) for a in (SQUARE, WIDE, TALL)}
    assert len(names) == 3


def test_unreadable_pictures_leave_images_of_the_same_shape() -> None:
    preparation = Preparation(aspect=WIDE)
    found = decode(pictures(b"none"), 9, strict=False, keep=None, preparation=preparation)
    assert found.pixels.shape == (0, 9, 12, 3)
    assert found.unread.keys() == {0}


@given(ASPECTS)
def test_a_preparation_is_written_and_read(aspect: Aspect) -> None:
    preparation = Preparation(aspect=aspect, area="padded")
    assert Preparation.from_dict(preparation.to_dict()) == preparation
    assert ("aspect" in preparation.to_dict()) == (aspect != SQUARE)


def test_drawn_pictures_of_a_square_are_those_without_an_aspect() -> None:
    one, labels = synthetic.draw("validation", size=16, seed=3, count=20)
    other, same = synthetic.draw("validation", size=16, seed=3, count=20, aspect=Aspect(16, 16))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(labels, same)


def test_drawn_marks_are_as_large_in_wide_pictures_and_in_tall_ones() -> None:
    wide, _ = synthetic.draw("validation", size=24, seed=0, count=30, aspect=WIDE)
    assert wide.shape[1:3] == ImageSize(24, 32)
    tall, _ = synthetic.draw("validation", size=32, seed=0, count=30, aspect=TALL)
    assert tall.shape[1:3] == ImageSize(32, 24)
