from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from autoscale.datasets.data import Images, has_splits, load, load_whole
from autoscale.datasets.pictures import decoding
from autoscale.datasets.pictures.selection import carve
from autoscale.datasets.summary import DataSummary
from autoscale.datasets.survey import survey
from autoscale.errors import DataProblem, InvalidSetting
from tests.datasets.sources import (
    BLUE,
    RED,
    is_blue,
    jpeg,
    picture,
    read,
    write_class,
    write_classes,
)

CLOTHING = Path(__file__).parents[3] / "shared" / "data" / "clothing"


# Layouts


def test_a_folder_of_classes_is_cut_into_three(classes: Path) -> None:
    data = read(classes)
    assert data.classes == ("blue", "red")
    assert data.name == "colours"
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 4)
    for images in (data.train, data.validation, data.test):
        assert images.pixels.shape == (len(images), 8, 8, 3)
        assert images.pixels.dtype == np.uint8
        assert images.pixels.flags.c_contiguous
        assert images.labels.dtype == np.int64
        np.testing.assert_array_equal(images.labels == 0, is_blue(images))


def test_named_splits_are_respected(tmp_path: Path) -> None:
    for split, count in (("train", 6), ("valid", 3), ("test", 2)):
        write_classes(tmp_path / split, count)
    data = read(tmp_path)
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 6, 4)


def test_a_training_split_alone_gives_validation_but_no_test(tmp_path: Path) -> None:
    write_classes(tmp_path / "train")
    data = read(tmp_path, validation_fraction=0.5)
    assert (len(data.train), len(data.validation), data.test) == (10, 10, None)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    write_class(tmp_path / "train", RED)
    write_class(tmp_path / "plane", BLUE)
    write_class(tmp_path / "train" / "steam", RED)  # nested below the class, no class of its own
    assert read(tmp_path).classes == ("plane", "train")


def test_a_note_beside_the_classes_of_a_split_is_no_image(tmp_path: Path) -> None:
    write_classes(tmp_path / "train")
    (tmp_path / "train" / "README.md").write_text("about these images")
    assert read(tmp_path, strict=True).classes == ("blue", "red")


def test_nested_and_upper_case_files_count_and_litter_does_not(classes: Path) -> None:
    (classes / "red" / "more").mkdir()
    (classes / "red" / "more" / "A.JPEG").write_bytes(jpeg(RED))
    (classes / "red" / ".DS_Store").write_text("x")
    (classes / "red" / "Thumbs.db").write_text("x")
    for name in ("labels.txt", "boxes.JSON", "meta.csv", "README.md"):
        (classes / "red" / name).write_text("about these images")
    (classes / ".git").mkdir()
    (classes / "LICENSE").write_text("free")
    data = read(classes, test=True, strict=True)
    assert data.test is not None
    assert len(data.train) + len(data.validation) + len(data.test) == 21
    assert data.skipped == ()


def test_what_was_understood_is_a_sentence(classes: Path, tmp_path: Path) -> None:
    assert read(classes).summary.sentence == (
        "2 classes: blue, red; 12 train, 4 validation, 4 test, cut by the seed"
    )
    assert read(classes, test=False).summary.sentence == (
        "2 classes: blue, red; 12 train, 4 validation, 4 test (unread), cut by the seed"
    )
    split = tmp_path / "split"
    for name, count in (("Train", 5), ("other", 1)):
        write_classes(split / name, count)
    (split / "Train" / "sheet.jpg").write_bytes(jpeg(RED))
    data = read(split, strict=True)  # which is about files that cannot be read
    assert data.summary.sentence == (
        "2 classes: blue, red; 8 train, 2 validation cut from train (20 %); "
        "not used: other/, Train/sheet.jpg"
    )
    assert data.skipped == ("Train/sheet.jpg: lies beside the folders of classes",)
    assert data.unreadable == ()


def test_of_many_classes_the_first_are_named() -> None:
    names = tuple(f"class-{number:03}" for number in range(101))
    told = DataSummary(classes=names, parts={"train": 1_010}).sentence
    assert told == "101 classes: class-000, class-001, class-002, ...; 1,010 train"


def test_a_limited_part_is_told_with_all_it_has(classes: Path) -> None:
    whole = read(classes).summary
    some = read(classes, limit=4).summary
    assert "; 4 of 12 train, 4 validation, 4 test, cut by the seed" in some.sentence
    assert "; 12 train (unread), 4 validation" in some.without("train").sentence
    labelled = replace(some, labels="several labels an image: 1.2 on average")
    assert "several labels" in labelled.sentence
    assert "several labels" not in labelled.without("train").sentence  # it counts what was read
    assert read(classes, limit=12).summary == whole
    assert "; 50 of 2,400 train" in read("synthetic", size=16, limit=50).summary.sentence


def test_classes_that_validation_or_test_lack_are_told(tmp_path: Path) -> None:
    write_classes(tmp_path / "train")
    write_class(tmp_path / "val" / "red", (210, 0, 0))
    write_class(tmp_path / "test" / "blue", (0, 0, 210))
    missing = [line for line in read(tmp_path).notices if "have no" in line]
    assert [line.partition(";")[0] for line in missing] == [
        "1 of 2 classes have no validation image: blue",
        "1 of 2 classes have no test image: red",
    ]


def test_pictures_that_are_in_two_classes_or_two_splits_are_told(tmp_path: Path) -> None:
    for split, offset in (("train", 0), ("val", 50), ("test", 100)):
        for name in ("red", "blue"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(5):
                colour = (offset + 9 * i, 100, 200 if name == "red" else 10)
                (tmp_path / split / name / f"{i}.jpg").write_bytes(jpeg(colour))
    assert read(tmp_path).notices == ()
    for copy, place in (("train/red/0", "train/blue/x"), ("train/red/1", "test/red/x"),
                        ("train/red/2", "test/red/y")):  # fmt: skip
        content = (tmp_path / f"{copy}.jpg").read_bytes()
        (tmp_path / f"{place}.jpg").write_bytes(content)
    told = read(tmp_path).notices
    assert told == (
        "1 picture is the same in two classes (train/blue/x.jpg = train/red/0.jpg); keep each in "
        "one class",
        "2 pictures are the same in train and test (train/red/1.jpg = test/red/x.jpg; "
        "train/red/2.jpg = test/red/y.jpg); the test accuracy flatters: keep one of each",
    )


def test_copies_within_a_class_are_told_where_a_cut_may_divide_them(tmp_path: Path) -> None:
    write_class(tmp_path / "red", RED, 3)
    write_class(tmp_path / "blue", BLUE, 1)
    found = survey(str(tmp_path))
    assert found.cut
    assert found.duplicates.sentences == ()
    (told,) = found.duplicates.before_a_cut
    assert told.startswith("2 pictures are the same as another of its class (red/")


def test_files_that_are_no_pictures_are_no_equal_pictures(tmp_path: Path) -> None:
    write_classes(tmp_path)
    for name in ("red", "blue"):
        (tmp_path / name / "lost.jpg").write_bytes(b"<html>not found</html>")
    data = read(tmp_path)
    assert len(data.skipped) == 2
    assert not any("lost.jpg" in notice for notice in data.notices)


def test_classes_whose_names_hardly_differ_are_told(tmp_path: Path) -> None:
    for name in ("Hot dog", "hot_dog", "a", "A"):
        write_class(tmp_path / name, RED)
    told = "classes that may be one: 'Hot dog' and 'hot_dog'; if so, give them one name"
    assert told in read(tmp_path).notices


def test_a_place_that_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(DataProblem, match=r"cannot look at .*round: .*; mount it or change"):
        read(tmp_path / "round")


def test_a_test_split_without_classes_is_told_and_stops_nothing(tmp_path: Path) -> None:
    write_classes(tmp_path / "train")
    write_class(tmp_path / "test", RED, 3)
    data = read(tmp_path)
    assert data.test is None
    assert data.notices[0].startswith("test/ holds 3 pictures without folders of classes, so it is")


def test_a_source_without_splits_is_read_as_a_whole(classes: Path, tmp_path: Path) -> None:
    whole = load_whole(str(classes), size=8)
    assert np.bincount(whole.images.labels).tolist() == [10, 10]
    np.testing.assert_array_equal(whole.images.labels == 0, is_blue(whole.images))
    assert whole.summary.sentence == "2 classes: blue, red; 20 images"
    assert not has_splits(str(classes))
    write_classes(tmp_path / "split" / "train")
    assert has_splits(str(tmp_path / "split"))
    with pytest.raises(DataProblem, match="has splits of its own; name one of them"):
        load_whole(str(tmp_path / "split"), size=8)


@pytest.mark.skipif(not CLOTHING.is_dir(), reason="the clothing photographs are not here")
def test_the_clothing_test_photographs_alone_are_all_read() -> None:
    assert len(load_whole(str(CLOTHING / "test"), size=8).images) == 372


# Decoding


def one_image(folder: Path, write: Any, name: str = "odd.png") -> Images:
    """What `write` left in a class of its own, at 8 pixels; the rest of the set is plain."""
    write_classes(folder / "train", 2)
    write_classes(folder / "validation", 1)
    (folder / "train" / "odd").mkdir()
    write(folder / "train" / "odd" / name)
    data = read(folder, strict=True)
    return data.train.subset(data.train.labels == data.classes.index("odd"))


def test_the_centre_square_is_kept(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        wide = np.zeros((10, 30, 3), np.uint8)
        wide[:, 10:20] = 255
        Image.fromarray(wide).save(path)

    assert one_image(tmp_path, write).pixels.min() > 200


def test_exif_orientation_is_honoured(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        upright = np.zeros((32, 32, 3), np.uint8)
        upright[:16] = 255  # the sky is above
        exif = Image.Exif()
        exif[0x0112] = 6  # "turn me a quarter clockwise"
        Image.fromarray(np.rot90(upright)).save(path, exif=exif)

    pixels = one_image(tmp_path, write, "turned.jpg").pixels[0]
    assert pixels[:3].mean() > 240
    assert pixels[5:].mean() < 15


@pytest.mark.parametrize(
    ("name", "kind"),
    [("grey.png", "<u2"), ("grey.tif", "<u2"), ("grey.tif", ">u2"), ("grey.tif", "<i4")],
)
def test_grey_images_of_sixteen_bits_are_scaled_to_eight(
    tmp_path: Path, name: str, kind: str
) -> None:
    def write(path: Path) -> None:
        values = np.zeros((8, 8), np.uint16)
        values[:4], values[4] = 65535, 257 * 100
        Image.fromarray(values.astype(kind)).save(path)

    pixels = one_image(tmp_path, write, name).pixels[0]
    assert pixels[:4].min() == 255
    assert (pixels[4] == 100).all()
    assert pixels[5:].max() == 0


@pytest.mark.parametrize("value", [-1, 65536])
def test_grey_images_of_more_bits_are_skipped(classes: Path, value: int) -> None:
    values = np.full((8, 8), value, np.int32)
    Image.fromarray(values).save(classes / "red" / "deep.tif")
    expected = f"red/deep.tif: its pixels have more than 16 bits ({value} to {value})"
    assert read(classes).skipped == (expected,)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "CMYK", "LA", "YCbCr"])
def test_every_eight_bit_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    def write(path: Path) -> None:
        picture((255, 255, 255)).convert(mode).save(path, "TIFF" if mode[0] in "CY" else "PNG")

    assert one_image(tmp_path, write).pixels.min() > 250


def test_transparent_pixels_are_white_and_palettes_do_not_warn(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        image = Image.new("P", (8, 8), 1)
        image.putpalette([0, 0, 0, 200, 0, 0])
        image.save(path, transparency=bytes([255, 0]))

    assert one_image(tmp_path, write).pixels.min() > 200


def test_a_file_is_read_by_its_content(tmp_path: Path) -> None:
    images = one_image(tmp_path, lambda path: picture(RED).save(path, "WEBP"), "no-extension")
    assert not is_blue(images).any()


def test_large_photographs_are_shrunk_with_antialiasing(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        board = np.indices((256, 256)).sum(0) % 2 * 255
        Image.fromarray(board.astype(np.uint8)).save(path)

    pixels = one_image(tmp_path, write).pixels
    assert abs(pixels.astype(int) - 127).max() <= 2


# Files that cannot be read


def damage(folder: Path, kind: str) -> Path:
    path = folder / "red" / "bad.jpg"
    if kind == "truncated":
        content = jpeg(RED, size=(400, 300))
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("this is no picture")
    elif kind == "dangling":
        path.symlink_to(folder / "nowhere.jpg")
    elif kind == "deep":
        Image.fromarray(np.zeros((8, 8), np.float32)).save(path, "TIFF")
    else:
        path = path.with_suffix(".pdf")
        path.write_text("a page")
    return path


KINDS = ["truncated", "empty", "text", "dangling", "deep", "pdf"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_unreadable_file_is_skipped_with_its_name(classes: Path, kind: str) -> None:
    path = damage(classes, kind)
    data = read(classes)
    assert data.test is not None
    assert len(data.skipped) == 1
    assert data.skipped == read(classes).skipped  # no memory addresses and the like
    assert data.skipped[0].startswith(f"red/{path.name}: ")
    assert len(data.train) + len(data.validation) + len(data.test) == 20


@pytest.mark.parametrize("kind", KINDS)
def test_strict_refuses_an_unreadable_file_by_name(classes: Path, kind: str) -> None:
    path = damage(classes, kind)
    with pytest.raises(DataProblem, match=rf"red/{path.name}: .*; re.* the file or load without"):
        read(classes, strict=True)


def test_a_picture_that_memory_does_not_hold_is_skipped(classes: Path, monkeypatch: Any) -> None:
    picture(RED, size=(100, 100)).save(classes / "red" / "large.png")
    monkeypatch.setattr(decoding, "MEMORY", 100_000)
    (line,) = read(classes).skipped
    assert line.startswith("red/large.png: its 100 x 100 pixels need ")


def test_loading_leaves_the_warning_filters_alone(classes: Path) -> None:
    before = list(warnings.filters)
    read(classes)
    assert warnings.filters == before


# Sources that cannot be used


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(DataProblem, match=r"no such folder or file: .*nowhere; give"):
        read(tmp_path / "nowhere")


def test_a_folder_without_classes(tmp_path: Path) -> None:
    with pytest.raises(DataProblem, match="0 class sub-folders; at least 2"):
        read(tmp_path)


def test_a_folder_with_one_class(tmp_path: Path) -> None:
    write_class(tmp_path / "red", RED)
    with pytest.raises(DataProblem, match="1 class sub-folders; at least 2"):
        read(tmp_path)


def test_an_empty_class_is_named(classes: Path) -> None:
    (classes / "green").mkdir()
    with pytest.raises(DataProblem, match=r"class 'green' in .* has 0 images"):
        read(classes)


def test_a_class_without_readable_images_is_named(classes: Path) -> None:
    (classes / "green").mkdir()
    for i in range(3):
        (classes / "green" / f"{i}.png").write_text("no")
    with pytest.raises(DataProblem, match=r"class 'green' could be read \(green/\d.png: "):
        read(classes)


def test_a_validation_split_without_readable_images(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", 3)
    (tmp_path / "val" / "red").mkdir(parents=True)
    with pytest.raises(DataProblem, match="leaves 0 validation images"):
        read(tmp_path)
    (tmp_path / "val" / "red" / "a.jpg").write_text("no")
    with pytest.raises(DataProblem, match="none of the 1 validation images"):
        read(tmp_path)


def test_a_validation_class_that_never_trains_is_named(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", 3)
    write_classes(tmp_path / "val", 2)
    write_class(tmp_path / "val" / "green", (0, 255, 0), 1)
    with pytest.raises(DataProblem, match=r"'green' of val has no training images; .* blue, red"):
        read(tmp_path)


def test_two_validation_splits(tmp_path: Path) -> None:
    for split in ("train", "val", "valid"):
        write_classes(tmp_path / split, 3)
    with pytest.raises(DataProblem, match="2 validation splits, val and valid; keep one"):
        read(tmp_path)


def test_too_few_images_to_share(tmp_path: Path) -> None:
    write_classes(tmp_path / "few", 1)
    with pytest.raises(DataProblem, match="leaves 0 validation images"):
        read(tmp_path / "few")


@pytest.mark.parametrize(
    "option",
    [
        {"size": 0},
        {"validation_fraction": 0.0},
        {"validation_fraction": 0.6},
        {"limit": 0},
        {"limit": 1},
    ],
)
def test_settings_out_of_range(classes: Path, option: dict[str, Any]) -> None:
    with pytest.raises(InvalidSetting, match=f"{next(iter(option))} must be .*; got"):
        read(classes, **option)


@pytest.mark.parametrize("source", ["", " "])
def test_an_empty_source(source: str) -> None:
    with pytest.raises(InvalidSetting, match="data must not be empty; give a folder"):
        load(source, size=8)


def test_a_negative_seed(classes: Path) -> None:
    for source in (str(classes), "synthetic"):
        with pytest.raises(InvalidSetting, match="seed must be at least 0, got -1"):
            read(source, seed=-1)


# What a seed decides


label_lists = st.lists(st.integers(0, 4), min_size=1, max_size=80).map(np.array)
seeds = st.integers(0, 2**31)


@given(label_lists, st.floats(0.01, 0.5), seeds)
def test_carving_shares_every_class_and_loses_no_image(
    labels: np.ndarray, fraction: float, seed: int
) -> None:
    kept, aside = carve(labels, fraction, seed=seed)
    assert sorted([*kept, *aside]) == list(range(len(labels)))
    for label in np.unique(labels):
        members = np.sum(labels == label)
        assert np.sum(labels[kept] == label) >= 1
        assert abs(np.sum(labels[aside] == label) - fraction * members) <= 0.5 + 1e-9
    again, _ = carve(labels, fraction, seed=seed)
    np.testing.assert_array_equal(kept, again)


def test_the_seed_decides_the_cut_and_nothing_else(classes: Path) -> None:
    for i in range(10):  # make the images of a class differ
        (classes / "red" / f"{i:03}.jpg").write_bytes(jpeg((100 + 15 * i, 0, 0)))
    one, same, other = read(classes, seed=1), read(classes, seed=1), read(classes, seed=2)
    np.testing.assert_array_equal(one.train.pixels, same.train.pixels)
    assert one.fingerprint == same.fingerprint
    assert not np.array_equal(one.train.pixels, other.train.pixels)
    assert one.fingerprint != other.fingerprint


def test_leaving_the_test_images_out_changes_nothing_else(classes: Path) -> None:
    whole, blind = read(classes), read(classes, test=False)
    assert blind.test is None
    assert blind.fingerprint == whole.fingerprint
    np.testing.assert_array_equal(blind.train.pixels, whole.train.pixels)
    np.testing.assert_array_equal(blind.validation.labels, whole.validation.labels)


def test_test_images_are_not_even_opened_when_not_asked_for(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_classes(tmp_path / split, 5)
    (tmp_path / "test" / "red" / "000.jpg").write_text("unreadable")
    assert read(tmp_path, test=False, strict=True).test is None
    with pytest.raises(DataProblem, match=r"test/red/000\.jpg"):
        read(tmp_path, strict=True)


def test_a_limit_keeps_the_proportions_and_the_validation_images(tmp_path: Path) -> None:
    write_class(tmp_path / "train" / "red", RED, 30)
    write_class(tmp_path / "train" / "blue", BLUE, 10)
    whole, part = read(tmp_path), read(tmp_path, limit=16)
    assert np.bincount(part.train.labels).tolist() == [4, 12]
    np.testing.assert_array_equal(part.validation.pixels, whole.validation.pixels)
    assert part.fingerprint != whole.fingerprint
    assert len(read(tmp_path, limit=1000).train) == len(whole.train)


def test_every_class_survives_a_small_limit(tmp_path: Path) -> None:
    write_class(tmp_path / "train" / "red", RED, 60)
    write_class(tmp_path / "train" / "blue", BLUE, 3)
    assert np.bincount(read(tmp_path, limit=2).train.labels).tolist() == [1, 1]


@pytest.mark.parametrize("change", ["content", "name", "label"])
def test_the_fingerprint_sees_what_decides_results(classes: Path, change: str) -> None:
    before = read(classes).fingerprint
    first = classes / "red" / "000.jpg"
    if change == "content":
        first.write_bytes(jpeg(RED, size=(50, 50)))
    elif change == "name":
        first.rename(classes / "red" / "zzz.jpg")
    elif change == "label":
        first.rename(classes / "blue" / "zzz.jpg")
    assert read(classes).fingerprint != before


def test_the_fingerprint_does_not_depend_on_the_size(classes: Path) -> None:
    for source in (str(classes), "synthetic"):
        assert load(source, size=8).fingerprint == load(source, size=9).fingerprint


# Sources at hand


def test_the_synthetic_source(tmp_path: Path) -> None:
    data, blind = read("synthetic", size=12), read("synthetic", size=12, limit=100, test=False)
    assert data.name == "synthetic shapes"
    assert data.test is not None
    assert blind.test is None
    assert np.bincount(blind.train.labels).tolist() == [10] * 10
    assert blind.fingerprint != data.fingerprint
    np.testing.assert_array_equal(blind.validation.pixels, data.validation.pixels)
    assert read("synthetic", size=12, seed=1).fingerprint != data.fingerprint


@pytest.mark.skipif(not CLOTHING.is_dir(), reason="the clothing photographs are not here")
def test_clothing_photographs() -> None:
    data = read(CLOTHING, size=16, limit=100, test=False, strict=True)
    assert len(data.classes) == 10
    assert data.classes[0] == "dress"
    assert (len(data.train), len(data.validation)) == (100, 341)
    assert data.name == "clothing"
