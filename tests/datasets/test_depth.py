"""Pictures of 16 bits a channel."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autoscale.datasets.pictures.decoding import decode_one
from autoscale.datasets.pictures.depth import FULL, range_notices
from autoscale.datasets.pictures.framing import DecodedPicture
from autoscale.datasets.pictures.preparation import Preparation
from tests.datasets.deep import deep_png, deep_tiff

RNG = np.random.default_rng(0)
COUNTS = RNG.integers(0, 401, (8, 8, 3)).astype(np.uint16)  # of a picture that reaches 400
COUNTS[0, 0] = 400


def saved(values: np.ndarray, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind, **options)
    return buffer.getvalue()


def portable(values: np.ndarray, white: int) -> bytes:
    """A binary PGM or PPM that calls `white` white."""
    height, width, channels = values.shape
    kind = "P6" if channels == 3 else "P5"
    return f"{kind} {width} {height} {white}\n".encode() + values.astype(">u2").tobytes()


def decoded(content: bytes, white_level: int = FULL) -> DecodedPicture:
    return decode_one(content, 8, Preparation(white_level=white_level))


def expected(values: np.ndarray, white_level: int) -> np.ndarray:
    levels = np.floor(values.astype(float) * 255 / white_level + 0.5).clip(0, 255)
    return np.broadcast_to(levels, (8, 8, 3)).astype(np.uint8)


GREY = COUNTS[..., :1]
FILES = {
    "grey PNG": (GREY, saved(GREY[..., 0], "PNG")),
    "grey PNG with opacity": (GREY, deep_png(np.concatenate([GREY, GREY * 0 + FULL], -1))),
    "grey TIFF": (GREY, saved(GREY[..., 0], "TIFF")),
    "grey TIFF, compressed": (GREY, saved(GREY[..., 0], "TIFF", compression="tiff_lzw")),
    "grey TIFF of 32 bits": (GREY, saved(GREY[..., 0].astype(np.int32), "TIFF")),
    "PNG": (COUNTS, deep_png(COUNTS)),
    "PNG with opacity": (COUNTS, deep_png(np.concatenate([COUNTS, GREY * 0 + FULL], -1))),
    "PGM": (GREY, portable(GREY, FULL)),
    "PPM": (COUNTS, portable(COUNTS, FULL)),
} | {
    f"TIFF {order} planes={planes} compressed={compressed}": (
        COUNTS,
        deep_tiff(COUNTS, order=order, planes=planes, compressed=compressed),
    )
    for order in "<>"
    for planes in (False, True)
    for compressed in (False, True)
    if not (planes and compressed)
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("white_level", [400, 300, 4095])
def test_the_white_level_becomes_white_whatever_the_file(name: str, white_level: int) -> None:
    values, content = FILES[name]
    found = decoded(content, white_level)
    assert found.peak == 400
    np.testing.assert_array_equal(found.pixels, expected(values, white_level))


@pytest.mark.parametrize("name", FILES)
def test_at_the_full_white_level_such_pictures_are_nearly_black(name: str) -> None:
    found = decoded(FILES[name][1])
    assert found.peak == 400
    assert found.pixels.max() in (1, 2)  # of colours, Pillow takes the high bytes


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_bright_colours_are_what_pillow_makes_of_them(channels: int, compressed: bool) -> None:
    values = RNG.integers(0, FULL + 1, (8, 8, channels)).astype(np.uint16)
    extra = {3: None, 4: 2}[channels]
    for content in (deep_png(values), deep_tiff(values, compressed=compressed, extra=extra)):
        with Image.open(io.BytesIO(content)) as image:
            usual = Image.new("RGB", image.size, "white")
            usual.paste(image, mask=image if channels == 4 else None)
        found = decoded(content)
        np.testing.assert_array_equal(found.pixels, np.asarray(usual))
        assert found.peak == int(values.max()) | 0xFF


def test_planes_of_colour_that_pillow_mixes_up_are_read_apart() -> None:
    values = RNG.integers(0, FULL + 1, (8, 8, 3)).astype(np.uint16)
    for order in "<>":
        found = decoded(deep_tiff(values, order=order, planes=True))
        np.testing.assert_array_equal(found.pixels, values >> 8)


def test_compressed_planes_are_refused_where_their_low_bytes_count() -> None:
    content = deep_tiff(COUNTS, planes=True, compressed=True)
    np.testing.assert_array_equal(decoded(content).pixels, COUNTS >> 8)
    with pytest.raises(ValueError, match="only the high bytes can be read of compressed planes"):
        decoded(content, 400)


def test_colours_multiplied_by_their_opacity_are_divided_by_it() -> None:
    opacity = np.full((8, 8, 1), FULL, np.uint16)
    opacity[4:] = 32768
    values = np.where(opacity == FULL, COUNTS, COUNTS // 2).astype(np.uint16)
    content = deep_tiff(np.concatenate([values, opacity], -1), extra=1)
    found = decoded(content, 400).pixels.astype(int)
    np.testing.assert_array_equal(found[:4], expected(COUNTS, 400)[:4])
    seen = 255 + (expected(COUNTS, 400)[4:].astype(int) - 255) * 128 / 255  # on white
    assert abs(found[4:] - seen).max() <= 2


def test_a_transparent_number_of_16_bits_is_laid_on_white() -> None:
    for values, key in ((GREY, (400,)), (COUNTS, (400, 400, 400))):
        for white_level in (FULL, 1000):
            found = decoded(deep_png(values, key=key), white_level).pixels
            clear = (values == 400).all(-1)
            assert clear.any()
            assert (found[clear] == 255).all()
            assert found[~clear].max() < 110


def test_a_file_that_names_its_own_white_keeps_it() -> None:
    for values in (GREY, COUNTS):
        found = decoded(portable(values, 400))
        np.testing.assert_array_equal(found.pixels, expected(values, 400))
        assert found.peak == FULL


@pytest.mark.parametrize("white_level", [FULL, 400])
def test_such_a_picture_is_turned_upright_once(white_level: int) -> None:
    values = np.zeros((8, 8, 3), np.uint16)
    values[:4] = 400  # the sky is above
    lying = np.rot90(values)
    content = deep_tiff(lying, orientation=6, compressed=True)
    found = decoded(content, white_level).pixels
    assert found[:4].min() > found[4:].max()
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = decoded(saved(lying[..., 0].copy(), "PNG", exif=exif), white_level).pixels
    assert grey[:4].min() > grey[4:].max()


@pytest.mark.parametrize(
    ("peaks", "white_level", "said"),
    [
        ([], FULL, None),
        ([], 4095, "no picture has 16 bits: the white level of 4095 changes nothing"),
        ([60000, 20000], FULL, None),
        ([400, 300], FULL, "2 of 9 pictures .* only 400 of 65535: .* nearly black; .*-level 400,"),
        ([1023], FULL, "reach only 1023 of 65535: they will look nearly black"),
        ([16383], FULL, "reach only 16383 of 65535: they will look darker than they are"),
        ([0], FULL, "set --white-level 1,"),
        ([65535, 4095, 4000], FULL, "2 of 3 .* only 4095 of 65535 .* while others reach 65535"),
        ([4095, 4000], 4095, None),
        ([4095, 5000], 4095, "1 of 2 .* beyond the white level of 4095, up to 5000"),
        ([400], 4095, "reach only 400 of 4095"),
    ],
)
def test_what_is_said_of_the_range(peaks: list[int], white_level: int, said: str | None) -> None:
    preparation = Preparation(white_level=white_level)
    found = range_notices(peaks, pictures=9, preparation=preparation)
    assert len(found) == (said is not None)
    assert re.search(said or "", " ".join(found))
