"""Pictures as grey images of one channel."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoscale.datasets import synthetic
from autoscale.datasets.data import load
from autoscale.datasets.pictures.decoding import decode_one
from autoscale.datasets.pictures.preparation import OURS, Preparation, ours
from autoscale.errors import InvalidSetting
from tests.models.kinds import KINDS, scene

GREY = ours(1)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


def test_colours_become_the_luma_of_pillow() -> None:
    picture = scene(30, 30)
    found = decode_one(encoded(picture), 30, GREY).pixels
    assert found.shape == (30, 30, 1)
    assert np.array_equal(found[..., 0], np.asarray(picture.convert("L")))


@pytest.mark.parametrize("name", KINDS)
def test_pictures_of_every_kind_are_the_luma_of_what_colour_shows(
    name: str, tmp_path: Path
) -> None:
    KINDS[name](tmp_path / name)
    content = (tmp_path / name).read_bytes()
    grey = decode_one(content, 40, GREY).pixels
    luma = synthetic.in_grey(decode_one(content, 40, OURS).pixels[None])[0]
    assert grey.shape == (40, 40, 1)
    # Resized after it was made grey, not before: each rounds once more.
    assert int(np.abs(grey.astype(int) - luma).max()) <= 2


def test_grey_of_sixteen_bits_is_kept_to_its_white_level() -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 16
    content = encoded(Image.fromarray(values))
    prepared = Preparation(mean=(0.5,), deviation=(0.25,), white_level=1023)
    found = decode_one(content, 8, prepared)
    assert found.peak == 1008
    expected = np.floor(values.astype(float) * 255 / 1023 + 0.5)
    assert np.array_equal(found.pixels[..., 0], expected.astype(np.uint8))


def test_the_drawn_set_in_grey_is_the_luma_of_the_drawn_set() -> None:
    colour, grey = load("synthetic", size=16), load("synthetic", size=16, preparation=GREY)
    assert grey.train.pixels.shape == (*colour.train.pixels.shape[:3], 1)
    for one, other in zip(grey.train.pixels[:20], colour.train.pixels[:20], strict=True):
        assert np.array_equal(one[..., 0], np.asarray(Image.fromarray(other).convert("L")))


def test_grey_and_coloured_images_of_a_folder_are_kept_apart(photos: Path) -> None:
    kept: list[tuple[str, tuple[int, ...]]] = []

    def keep(name: str, shape: tuple[int, ...], chunks: object) -> None:
        kept.append((name, shape))

    for prepared in (OURS, GREY):
        load(str(photos), size=8, preparation=prepared, keep=keep)  # type: ignore[arg-type]
    half = len(kept) // 2
    assert {shape[-1] for _, shape in kept[:half]} == {3}
    assert {shape[-1] for _, shape in kept[half:]} == {1}
    assert not {name for name, _ in kept[:half]} & {name for name, _ in kept[half:]}


@pytest.mark.parametrize("mean", [(), (0.5,) * 33])
def test_a_preparation_is_of_one_to_32_channels(mean: tuple[float, ...]) -> None:
    with pytest.raises(InvalidSetting, match="mean must be 3 numbers"):
        Preparation(mean=mean, deviation=mean)


def test_mean_and_deviation_are_of_the_same_channels() -> None:
    with pytest.raises(InvalidSetting, match="as many numbers"):
        Preparation(mean=(0.5,))
