"""What a picture becomes: formats, size, memory, and how near a reduced JPEG is."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features
from PIL.JpegImagePlugin import JpegImageFile

from autoscale.datasets.pictures import decoding
from autoscale.datasets.pictures.decoding import decode_one
from autoscale.datasets.pictures.formats import NoPicture, opened
from autoscale.datasets.pictures.preparation import Preparation
from tests.datasets.deep import deep_tiff
from tests.datasets.sources import RED, picture

CLOTHING = Path(__file__).parents[3] / "shared" / "data" / "clothing"
USUAL = Preparation()


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plainly(content: bytes, size: int, resample: Image.Resampling) -> np.ndarray:
    """What a few lines of Pillow make of a photograph, without any reduction on reading."""
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return np.asarray(image.convert("RGB").resize((size, size), resample, box=box))


@pytest.fixture(scope="module")
def photographs() -> list[bytes]:
    """Photographs with sharp edges and colours, of odd sizes."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(12):
        width, height = (int(n) for n in rng.integers(200, 330, 2))
        coarse = rng.integers(0, 256, (9, 12, 3)).astype(np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST)
        noisy = np.asarray(image).astype(int) + rng.integers(-20, 20, (height, width, 1))
        found.append(saved(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)), "JPEG"))
    return found


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [40, 224])
def test_photographs_are_what_plain_pillow_makes_of_them(
    photographs: list[bytes], size: int, interpolation: str
) -> None:
    preparation = Preparation(interpolation=interpolation)  # type: ignore[arg-type]
    for content in photographs:
        usual = plainly(content, size, Image.Resampling[interpolation.upper()])
        np.testing.assert_array_equal(decode_one(content, size, preparation).pixels, usual)


@pytest.mark.parametrize("size", [4, 8, 16])
def test_a_jpeg_that_is_reduced_on_reading_differs_by_less_than_rounding_would(
    photographs: list[bytes], size: int
) -> None:
    off = [
        decode_one(content, size, USUAL).pixels.astype(int)
        - plainly(content, size, Image.Resampling.BILINEAR)
        for content in photographs
    ]
    assert np.any(off)  # reduced they were
    assert abs(np.array(off)).mean() < 0.5
    assert abs(np.array(off)).max() <= 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_reduced_photograph_is_cut_at_the_same_place_however_it_is_turned(
    orientation: int,
) -> None:
    ramp = np.zeros((201, 331, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(331) * 0.75, np.arange(201)[:, None]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(Image.fromarray(ramp), "JPEG", quality=98, subsampling=0, exif=exif)
    with Image.open(io.BytesIO(content)) as image:
        turn = decoding._TURNS[orientation]
        upright = image if turn is None else image.transpose(turn)
        whole = plainly(saved(upright, "PNG"), 10, Image.Resampling.BILINEAR)
    assert abs(decode_one(content, 10, USUAL).pixels.astype(int) - whole).max() <= 2


FORMATS = {
    "JPEG": {}, "PNG": {}, "WEBP": {"lossless": True}, "BMP": {}, "GIF": {}, "TIFF": {}, "PPM": {},
    "AVIF": {"quality": 100},
}  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_is_known_by_its_content(kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    found = decode_one(saved(picture(RED), kind, **FORMATS[kind]), 8, USUAL)
    assert abs(found.pixels.astype(int) - RED).max() <= 12
    assert min(found.shape) == 16
    assert found.peak is None


@pytest.mark.parametrize(
    ("beginning", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", "HEIC"),
        (b"\0\0\0\x18ftyphevc\0\0\0\0", "HEIC"),
        (b"\xff\x0a\0\0", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"%PDF-1.7", "a page"),
        (b"<?xml version='1.0'?>\n<!-- by hand -->\n<svg>", "a drawing"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "a raw photograph"),
        (b"PK\x03\x04", "an archive"),
        (b"PAR1", "a Parquet file"),
    ],
)
def test_what_else_lies_among_pictures_is_told_by_name(beginning: bytes, name: str) -> None:
    with pytest.raises(NoPicture, match=f"but {name}.*; convert it"):
        decode_one(beginning.ljust(64, b"\0"), 8, USUAL)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file; fetch it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS; git lfs pull"),
        (b"\n<!DOCTYPE HTML><html>404", "a web page; fetch it again"),
    ],
)
def test_a_picture_that_never_arrived_is_told(content: bytes, said: str) -> None:
    with pytest.raises(NoPicture, match=f"not an image but {said}"):
        decode_one(content, 8, USUAL)


def test_an_avif_of_a_general_brand_is_no_heic() -> None:
    if not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    content = saved(picture(RED), "AVIF").replace(b"ftypavif", b"ftypmif1", 1)
    assert decode_one(content, 8, USUAL).pixels[0, 0, 0] > 150


def test_the_thumbnail_of_a_raw_photograph_is_not_taken_for_it() -> None:
    content = deep_tiff(np.zeros((8, 8, 3), np.uint16), kind_of_page=1)
    with pytest.raises(NoPicture, match="a raw photograph with its thumbnail"):
        decode_one(content, 8, USUAL)


def test_what_begins_like_a_picture_and_is_none_is_refused() -> None:
    for content in (b"text", b"\xff\xd8 no more"):
        with pytest.raises(NoPicture, match=r"not an image \(JPEG, PNG, .*AVIF\)"):
            decode_one(content, 8, USUAL)


# Large ones


def large_jpeg(size: tuple[int, int]) -> bytes:
    """Grey, so that it is soon written."""
    return saved(Image.new("L", size, 90), "JPEG", quality=30)


@pytest.mark.parametrize("limit", [1000, None])
def test_pillows_own_limit_does_not_count_and_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    content = saved(picture(RED, size=(300, 300)), "PNG")
    assert decode_one(content, 8, USUAL).shape == (300, 300)
    assert limit == Image.MAX_IMAGE_PIXELS
    with opened(content), opened(content):
        pass
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_photograph_of_two_hundred_megapixels_is_decoded_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drafted: list[tuple[int, int]] = []
    draft = JpegImageFile.draft

    def watched(image: JpegImageFile, mode: str | None, size: tuple[int, int]) -> Any:
        found = draft(image, mode, size)
        drafted.append(image.size)
        return found

    monkeypatch.setattr(JpegImageFile, "draft", watched)
    found = decode_one(large_jpeg((16320, 12240)), 64, USUAL)
    assert drafted == [(2040, 1530)]
    assert found.shape == (12240, 16320)
    assert abs(found.pixels.astype(int) - 90).max() <= 4


def test_a_jpeg_is_reduced_further_where_memory_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    content = saved(picture(RED, size=(400, 300)), "JPEG", quality=95)
    monkeypatch.setattr(decoding, "MEMORY", 400 * 300 * 8 - 1)
    assert abs(decode_one(content, 100, USUAL).pixels.astype(int) - RED).max() < 5
    with pytest.raises(ValueError, match=r"its 400 x 300 pixels need .* over the limit of"):
        decode_one(content, 200, USUAL)


def test_what_memory_does_not_hold_is_refused_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoding, "MEMORY", 100_000)
    content = saved(picture(RED, size=(300, 300)), "PNG")
    with pytest.raises(ValueError, match=r"300 x 300 pixels need 0\.0 GiB .*; make it smaller, or"):
        decode_one(content, 8, USUAL)
    with pytest.raises(ValueError, match="300 x 300"):  # it is kept whole between its passes
        decode_one(saved(picture(RED, size=(300, 300)), "JPEG", progressive=True), 8, USUAL)
    assert decode_one(saved(picture(RED, size=(300, 300)), "JPEG"), 8, USUAL).shape == (300, 300)


def test_decoders_wait_for_each_other_rather_than_exceed_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoding, "MEMORY", 100)
    inside: list[int] = []
    most: list[int] = []

    def work(needed: int) -> None:
        with decoding._memory.taken(needed, "it"):
            inside.append(needed)
            most.append(sum(inside))
            time.sleep(0.005)
            inside.remove(needed)

    threads = [threading.Thread(target=work, args=(n,)) for n in (60, 60, 30, 100, 30, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert len(most) == 6
    assert max(most) <= 100


def test_fifty_real_photographs_are_what_plain_pillow_makes_of_them() -> None:
    if not CLOTHING.is_dir():
        pytest.skip("the clothing photographs are not here")
    for path in sorted(CLOTHING.glob("test/*/*"))[::7][:50]:
        content = path.read_bytes()
        usual = plainly(content, 64, Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(decode_one(content, 64, USUAL).pixels, usual)
