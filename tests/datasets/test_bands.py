"""Arrays of bands become square images as pictures do."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from autoscale.datasets.data import classes_in, load, load_whole
from autoscale.datasets.pictures.bands import OtherBands, bands_in, decode_bands
from autoscale.datasets.pictures.decoding import decode_one
from autoscale.datasets.pictures.preparation import MOST_BANDS, OURS, ours
from autoscale.datasets.survey import survey
from autoscale.design.architecture import MOST_CHANNELS
from autoscale.errors import DataProblem
from tests.datasets.arrays import draw_arrays, npy

AREAS = ["centre-square", "padded", "squashed"]


def numbers(shape: tuple[int, ...], kind: str = "uint8", *, below: int = 256) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, below, shape).astype(kind)


def png(pixels: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def test_designs_and_pictures_know_the_same_most_bands() -> None:
    assert MOST_BANDS == MOST_CHANNELS


@pytest.mark.parametrize("area", AREAS)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 20))
def test_three_bands_become_what_a_picture_of_the_same_numbers_becomes(
    area: str, height: int, width: int, size: int
) -> None:
    values = numbers((height, width, 3))
    preparation = replace(OURS, area=area)  # type: ignore[arg-type]
    found = decode_bands(npy(values), size, preparation)
    expected = decode_one(png(values), size, preparation)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.shape == expected.shape


@given(st.integers(2, MOST_BANDS), st.booleans())
def test_bands_may_come_first_or_last_in_any_order_of_memory(bands: int, turned: bool) -> None:
    values = numbers((40, 50, bands))
    last = np.asfortranarray(values) if turned else values
    found = decode_bands(npy(last), 12, ours(bands)).pixels
    first = decode_bands(npy(np.moveaxis(values, -1, 0)), 12, ours(bands)).pixels
    assert found.shape == (12, 12, bands)
    np.testing.assert_array_equal(found, first)


def test_each_band_is_resized_as_it_would_be_alone() -> None:
    values = numbers((31, 44, 5))
    together = decode_bands(npy(values), 10, ours(5)).pixels
    for band in range(5):
        alone = decode_bands(npy(values[..., band]), 10, ours(1)).pixels[..., 0]
        np.testing.assert_array_equal(together[..., band], alone)


@pytest.mark.parametrize("order", ["<u2", ">u2"])
@pytest.mark.parametrize("white", [1, 4095, 65535])
def test_16_bits_become_8_by_the_white_level(order: str, white: int) -> None:
    values = numbers((8, 8, 4), order, below=65536)
    found = decode_bands(npy(values), 8, replace(ours(4), white_level=white))
    expected = np.minimum(np.floor(values * 255.0 / white + 0.5), 255)
    np.testing.assert_array_equal(found.pixels, expected.astype(np.uint8))
    assert found.peak == values.max()


@pytest.mark.parametrize("kind", ["float32", "int16", "uint32", "bool"])
def test_other_numbers_are_refused_with_the_way_to_scale_them(kind: str) -> None:
    with pytest.raises(ValueError, match=f"its numbers are {kind}, .*astype"):
        decode_bands(npy(np.ones((8, 8, 4), kind)), 8, ours(4))


@pytest.mark.parametrize(
    ("shape", "count"), [((8, 9, 5), 5), ((5, 8, 9), 5), ((8, 9), 1), ((20, 26, 9), 9)]
)
def test_other_bands_are_refused_with_the_number_that_is_there(
    shape: tuple[int, ...], count: int
) -> None:
    with pytest.raises(OtherBands, match=rf"of {count} bands?, .* takes 6 channels; .*: {count}$"):
        decode_bands(npy(numbers(shape)), 8, ours(6))


@pytest.mark.parametrize(
    "content",
    [
        npy(numbers((8, 8, 4)))[:-1],
        npy(numbers((8, 8, 4))) + b"\0",
        npy(np.zeros((0, 8, 4), np.uint8)),
        npy(np.zeros((2, 2, 2, 4), np.uint8)),
        npy(np.array([{}], dtype=object)),
        b"\x93NUMPY",
        b"\x93NUMPY\x03\0" + b"\0" * 20,
        npy(numbers((8, 8, 4))).replace(b"(8, 8, 4)", b"(9**9, 4)"),
    ],
    ids=["short", "long", "empty", "4 axes", "objects", "begun", "version 3", "no header"],
)
def test_a_damaged_array_is_refused_in_a_line(content: bytes) -> None:
    with pytest.raises(ValueError) as raised:
        decode_bands(content, 8, ours(4))
    assert not isinstance(raised.value, OtherBands)
    assert bands_in(content) in (None, 4)


def test_a_header_that_tells_of_far_too_much_takes_no_memory() -> None:
    content = npy(numbers((8, 8, 4)))
    lied = content.replace(b"(8, 8, 4), }", b"(8000000000, 4)}")
    with pytest.raises(ValueError, match="it holds something else"):
        decode_bands(lied, 8, ours(4))


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_tiff_of_bands_becomes_what_the_same_array_becomes(planes: str, kind: str) -> None:
    tifffile = pytest.importorskip("tifffile", reason="needs the extra tiff")
    values = numbers((20, 24, 6), kind)
    given = values if planes == "contig" else np.moveaxis(values, -1, 0)
    content = io.BytesIO()
    tifffile.imwrite(content, given, photometric="minisblack", planarconfig=planes)
    assert bands_in(content.getvalue()) == 6
    found = decode_bands(content.getvalue(), 10, ours(6))
    np.testing.assert_array_equal(found.pixels, decode_bands(npy(values), 10, ours(6)).pixels)


def test_without_its_package_tiff_of_bands_says_how_to_get_it(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["tifffile"] = None
from autoscale.datasets.pictures.bands import decode_bands
from autoscale.datasets.pictures.preparation import ours
decode_bands(b"II*\\0" + bytes(20), 8, ours(6))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "needs the package tifffile: pip install" in done.stderr.splitlines()[-1]


# Data sets


def test_a_folder_of_arrays_is_cut_like_one_of_pictures(tmp_path: Path) -> None:
    folder = str(draw_arrays(tmp_path / "set", count=10))
    found = load(folder, size=8, preparation=ours(6))
    assert found.classes == classes_in(folder) == ("bright", "dark")
    assert (len(found.train), len(found.validation)) == (12, 4)
    assert found.train.pixels.shape == (12, 8, 8, 6)
    assert load_whole(folder, size=8, preparation=ours(6)).images.pixels.shape == (20, 8, 8, 6)


def test_an_array_of_other_bands_is_refused_by_its_name(tmp_path: Path) -> None:
    folder = draw_arrays(tmp_path / "set")
    (folder / "dark" / "3.npy").write_bytes(npy(numbers((20, 26, 5))))
    with pytest.raises(DataProblem, match=r"dark/3\.npy: an array \(20, 26, 5\) of 5 bands"):
        load(str(folder), size=8, preparation=ours(6))


def test_a_picture_among_arrays_is_refused_by_its_name(tmp_path: Path) -> None:
    folder = draw_arrays(tmp_path / "set")
    (folder / "dark" / "photo.png").write_bytes(png(numbers((20, 26, 3))))
    with pytest.raises(DataProblem, match=r"dark/photo\.png: no array of bands"):
        load(str(folder), size=8, preparation=ours(6))


def test_a_network_of_colours_refuses_arrays_of_bands(tmp_path: Path) -> None:
    folder = draw_arrays(tmp_path / "set")
    with pytest.raises(DataProblem, match=r"takes 3 channels; .* channels: 6"):
        load(str(folder), size=8)


def test_arrays_beside_pictures_stay_no_pictures(photos: Path, tmp_path: Path) -> None:
    usual = load(str(photos), size=8)
    folder = tmp_path / "photos"
    for path in photos.rglob("*.*"):
        to = folder / path.relative_to(photos)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(path.read_bytes())
    (folder / usual.classes[0] / "mask.npy").write_bytes(npy(numbers((8, 8, 3))))
    found = load(str(folder), size=8)
    np.testing.assert_array_equal(found.train.pixels, usual.train.pixels)
    assert found.skipped == (f"{usual.classes[0]}/mask.npy: .npy is no picture",)


def test_synthetic_shapes_have_no_bands() -> None:
    with pytest.raises(DataProblem, match="in colour or grey, and the network takes 6 bands"):
        load("synthetic", size=8, preparation=ours(6))


def test_16_bits_that_stay_dark_are_told(tmp_path: Path) -> None:
    folder = draw_arrays(tmp_path / "set", deep=True)
    (notice,) = load(str(folder), size=8, preparation=ours(6)).notices
    assert "nearly black" in notice
    assert "--white-level" in notice


def test_a_survey_tells_the_bands(tmp_path: Path, photos: Path) -> None:
    found = survey(str(draw_arrays(tmp_path / "set", count=3)))
    assert (found.bands, found.images, found.unreadable) == (6, 6, ())
    assert survey(str(photos)).bands is None
