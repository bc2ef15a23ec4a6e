"""The layout of a data set is read as its owner meant it."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoscale.datasets.data import list_source
from autoscale.datasets.pictures.pictures import Listing, Pictures
from autoscale.errors import DataProblem
from tests.datasets.layouts import Drawn, draw, write

#: Refusals of layouts that nobody could tell: classes that are all called like splits.
CANNOT_TELL = (
    "hold pictures but no folders", "may be a split", "cannot be told whether", "look like annot"
)  # fmt: skip


def tree(root: Path, *files: str) -> Path:
    """Empty files; a name that ends with / is a folder, and `a/*3` are three pictures in a."""
    for name in files:
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        elif path.name.startswith("*"):
            write(path.parent, int(path.name[1:]))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    return root


def counts(pictures: Pictures | None, classes: tuple[str, ...]) -> dict[str, int] | None:
    """Pictures of each class that has some."""
    if pictures is None:
        return None
    found = np.bincount(pictures.labels, minlength=len(classes))
    return {name: int(count) for name, count in zip(classes, found, strict=True) if count}


def parts(listing: Listing) -> dict[str, dict[str, int]]:
    own = {"train": listing.train, "validation": listing.validation, "test": listing.test}
    found = {part: counts(pictures, listing.classes) for part, pictures in own.items()}
    return {part: of for part, of in found.items() if of is not None}


def as_meant(listing: Listing, drawn: Drawn) -> None:
    assert listing.classes == tuple(sorted(drawn.classes))
    assert parts(listing) == drawn.splits
    assert listing.splits == (len(drawn.splits) > 1 or listing.splits)
    unused = {Path(name).name + "/" * name.endswith("/") for name in listing.unused}
    assert unused == set(drawn.unused)
    assert len(listing.notices) == len(drawn.unlabelled)
    assert listing.skipped == ()


@pytest.mark.parametrize("seed", range(24))
def test_a_drawn_layout_is_read_as_it_was_meant_or_refused_in_a_sentence(
    tmp_path: Path, seed: int
) -> None:
    refused = 0
    for number in range(12):
        rng = random.Random(f"layout {seed} {number}")
        root = tmp_path / f"set{number}"
        drawn = draw(root, rng)
        try:
            listing = list_source(root)
        except DataProblem as problem:
            refused += 1
            said = str(problem).replace(str(tmp_path), "")
            assert any(part in said for part in CANNOT_TELL), said
            continue
        try:
            as_meant(listing, drawn)
        except AssertionError:
            print(*sorted(str(p.relative_to(root)) for p in root.rglob("*")), sep="\n")
            raise
    assert refused <= 3


READ = {
    "upper case": ("Training/a/*2 Training/b/*1 Testing/a/*1 Testing/b/*1",
                   "train a2 b1 test a1 b1"),
    "three of them": ("Train/a/*1 Train/b/*1 Valid/a/*1 Test/b/*1",
                      "train a1 b1 validation a1 test b1"),
    "shouted": ("TRAIN/a/*1 TRAIN/b/*1 TEST/a/*1", "train a1 b1 test a1"),
    "camels": ("TrainSet/a/*1 TrainSet/b/*1 TestSet/a/*1 ValidationSet/b/*1",
               "train a1 b1 validation b1 test a1"),
    "words": ("Images/Train Set/a/*1 Images/Train Set/b/*1 Images/Test Set/a/*1",
              "train a1 b1 test a1"),
    "doubled": ("training_set/training_set/a/*1 training_set/training_set/b/*1 "
                "test_set/test_set/a/*1", "train a1 b1 test a1"),
    "intel": ("seg_train/seg_train/a/*1 seg_train/seg_train/b/*1 seg_test/seg_test/a/*1 "
              "seg_pred/seg_pred/*2", "train a1 b1 test a1 unused seg_pred/"),
    "years": ("train2017/a/*1 train2017/b/*1 val2017/a/*1", "train a1 b1 validation a1"),
    "x-ray": ("chest/train/a/*1 chest/train/b/*1 chest/val/a/*1 chest/chest/train/a/*1 "
              "chest/chest/train/b/*1 chest/__MACOSX/chest/*1",
              "train a1 b1 validation a1 unused chest/chest/"),
    "eval alone": ("train/a/*1 train/b/*1 eval/a/*1", "train a1 b1 validation a1"),
    "eval and test": ("train/a/*1 train/b/*1 eval/a/*1 test/b/*1",
                      "train a1 b1 validation a1 test b1"),
    "eval and val": ("train/a/*1 train/b/*1 eval/a/*1 val/b/*1",
                     "train a1 b1 validation b1 test a1"),
    "eval, val and test": ("train/a/*1 train/b/*1 eval/a/*1 val/b/*1 test/b/*1",
                           "train a1 b1 validation b1 test b1 unused eval/"),
    "dev": ("train/a/*1 train/b/*1 dev/a/*1 test/b/*1", "train a1 b1 validation a1 test b1"),
    "trainval": ("trainval/a/*1 trainval/b/*1 test/b/*1", "train a1 b1 test b1"),
    "strays": ("train/a/*1 train/b/*1 train/sheet.jpg test/a/*1 test/x.png y.jpg README",
               "train a1 b1 test a1 unused y.jpg train/sheet.jpg test/x.png"),
    "archives and tables": ("train/a/*1 train/b/*1 dev.parquet images.zip",
                            "train a1 b1 unused dev.parquet images.zip"),
    "a stray and no other split": ("train/a/*1 train/b/*1 train/sheet.jpg",
                                   "train a1 b1 unused train/sheet.jpg"),
    "unlabelled": ("train/a/*1 train/b/*1 test/*3", "train a1 b1 unused test/"),
    "unlabelled, in a folder": ("train/a/*1 train/b/*1 test/test/*3", "train a1 b1 unused test/"),
    "one of two is labelled": ("train/a/*1 train/b/*1 test/*3 test_labelled/a/*1",
                               "train a1 b1 test a1 unused test/"),
    "a class called train": ("train/*3 bus/*2 car/*1", "whole bus2 car1 train3"),
    "classes called like splits": ("train/*3 Test/*1 dev/*2 bus/*2 car/*1",
                                   "whole Test1 bus2 car1 dev2 train3"),
    "classes called like splits, with folders of their own": (
        "train/*3 train/2018/*1 train/2019/*1 valid/*3 valid/2018/*1 valid/2019/*1 bus/*2 car/*1",
        "whole bus2 car1 train5 valid5"),
    "such classes within splits": (
        "train/train/*3 train/train/18/*1 train/train/19/*1 train/test/*3 train/test/18/*1 "
        "train/test/19/*1 train/bus/*1 test/train/*1 test/bus/*2 test/test/*1",
        "train bus1 test5 train5 test bus2 test1 train1"),
    "stations": ("train_station/in/*1 train_station/out/*1 bus_stop/*1 test_track/*1",
                 "whole bus_stop1 test_track1 train_station2"),
    "numbers": ("1/*1 2/*1 10/*1", "whole 11 101 21"),
    "a lone folder": ("photos/a/*1 photos/b/*2", "whole a1 b2"),
    "validation within training": ("train/a/*1 train/b/*1 train/val/a/*1 train/val/b/*1",
                                   "train a1 b1 validation a1 b1"),
    "a test split among classes": ("a/*2 b/*2 test/a/*1 test/b/*1", "train a2 b2 test a1 b1"),
    "splits within classes": ("a/train/*2 a/test/*1 b/train/*1 b/test/*1 b/Val/*1",
                              "train a2 b1 validation b1 test a1 b1"),
    "notes beside images": ("images/train/a/*1 images/train/b/*1 labels/train/1.txt",
                            "train a1 b1 unused labels/"),
    "masks beside images": ("images/a/*1 images/b/*1 masks/a/*1 masks/b/*1",
                            "whole a1 b1 unused masks/"),
    "annotations beside classes": ("a/*1 b/*1 annotations/x.xml",
                                   "whole a1 b1 unused annotations/"),
    "one set of two folders": ("set/train/a/*1 set/train/b/*1 set/test/a/*1 figures/*2",
                               "train a1 b1 test a1 unused figures/"),
    "German": ("Trainingsdaten/a/*1 Trainingsdaten/b/*1 Testdaten/a/*1 Validierung/b/*1",
               "train a1 b1 validation b1 test a1"),
    "Spanish": ("entrenamiento/a/*1 entrenamiento/b/*1 prueba/a/*1 validación/b/*1",
                "train a1 b1 validation b1 test a1"),
    "French": ("images_d'entraînement/a/*1 images_d'entraînement/b/*1 test/a/*1",
               "train a1 b1 test a1"),
    "a name of one split alone": ("tulips_train/a/*1 tulips_train/b/*1 test/a/*1 test/b/*1",
                                  "train a1 b1 test a1 b1"),
    "Chinese": ("训练集/a/*1 训练集/b/*1 测试集/a/*1", "train a1 b1 test a1"),
    "Japanese": ("学習データ/a/*1 学習データ/b/*1 テスト/a/*1", "train a1 b1 test a1"),
    "words within words": ("love/*1 detest/*1", "whole detest1 love1"),
    "a test split beside the rest": ("photos/a/*1 photos/b/*1 photos-test-set/photos-test-set/a/*1",
                                     "train a1 b1 test a1"),
    "a set within folders beside its test": (
        "Set/Set/train/a/*1 Set/Set/train/b/*1 Set/Set/valid/a/*1 test/test/*2",
        "train a1 b1 validation a1 unused test/"),
    "masks within classes": ("ill/images/*2 ill/masks/*2 well/images/*1 well/masks/*1",
                             "whole ill2 well1 unused ill/masks/ well/masks/"),
    "classes of masks": ("mask/*1 no_mask/*1", "whole mask1 no_mask1"),
    "litter": ("a/*1 b/*1 @eaDir/a/*3 a/@eaDir/*2 __MACOSX/a/*1 .ipynb_checkpoints/*1 a/._000.jpg "
               "a/Thumbs.db .DS_Store $RECYCLE.BIN/*1", "whole a1 b1"),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_layout_is_read(tmp_path: Path, name: str) -> None:
    files, meant = READ[name]
    root = tmp_path / "set"
    for entry in files.replace("Train Set", "Train%Set").replace("Test Set", "Test%Set").split():
        tree(root, entry.replace("%", " "))
    listing = list_source(root)
    told = ["whole" if not listing.splits else ""]
    for part, own in parts(listing).items():
        told += [part if listing.splits else "", *(f"{n}{count}" for n, count in own.items())]
    told += ["unused", *listing.unused] if listing.unused else []
    assert sorted(word for word in told if word) == sorted(meant.split())


REFUSALS = {
    "two validation splits": ("train/a/*1 train/b/*1 val/a/*1 valid/b/*1",
                              "val and valid; keep one"),
    "dev and val": ("train/a/*1 train/b/*1 Val/a/*1 dev/b/*1", "validation splits, Val and dev"),
    "two training splits": ("train/a/*1 train/b/*1 training/a/*1 training/b/*1",
                            "2 training splits, train and training"),
    "within and beside": ("train/a/*1 train/b/*1 train/val/a/*1 train/val/b/*1 val/a/*1",
                          "two validation splits, one beside train"),
    "splits without classes": ("train/*2 test/*2",
                               "test and train in .* but no folders of classes"),
    "Kaggle's table": ("train/*2 test/*2 train.csv", "names classes in train.csv; name"),
    "a split or a class": ("train/a/*1 train/b/*1 bus/*1 car/*1",
                           "train may be a split, with the classes a, b, or a class beside bus"),
    "a test split or a class": ("test/a/*1 test/b/*1 raw/*2", "test may be a split, .* beside raw"),
    "two data sets": ("one/train/a/*1 one/train/b/*1 one/test/a/*1 two/train/a/*1 two/train/b/*1 "
                      "two/test/a/*1", "2 data sets .* one, two; name one"),
    "no training split": ("test/a/*1 test/b/*1", "holds test images but no training split"),
    "nothing": ("notes.txt", "0 class sub-folders"),
    "one class": ("a/*3", "1 class sub-folders"),
    "one folder of pictures": ("*3", "3 files and 0 class sub-folders; .* move"),
    "an empty class": ("a/*1 b/*1 c/", "class 'c' in .* has 0 images"),
    "a strange class": ("train/a/*1 train/b/*1 test/c/*1 test/a/*1", "class 'c' of test has no"),
    "metadata of Hugging Face": ("metadata.csv *3", "metadata.csv; name that list: --data '.*csv'"),
    "saved to disk": ("train/data-00000-of-00001.arrow train/dataset_info.json train/state.json "
                      "dataset_dict.json", "cannot read .*dataset_dict.json: .*; save the"),
    "webdataset": ("train-000.tar train-001.tar", "cannot read .*train-000.tar: .*; fetch"),
    "splits of classes": ("trainA/*1 trainB/*1 testA/*1 testB/*1", "look like splits of classes"),
    "splits of other classes": ("test/a/*1 test/z/*1 photos/a/*1 photos/b/*1",
                                "class 'z' of test has no"),
    "any table": ("images/*2 train_labels.csv", "names classes in train_labels.csv; name"),
    "records": ("train-0.tfrecord train-1.tfrecord val.npz", "2 files of .tfrecord .* no pictures"),
    "no pictures": ("a b.c", "2 files and 0 class"),
    "tars beside pictures": ("a.tar b.png", "a folder of their own"),
    "a damaged original": ("data_batch_1 batches.meta", "cannot read .*batches.meta: .*; fetch"),
    "masks": ("images/*3 masks/*3", "masks in .* look like annotations of images, not like"),
    "an archive": ("images.zip", "the archive images.zip; unpack it"),
    "COCO": ("train2017/*2 val2017/*2 annotations/instances_train2017.json", "objects .COCO."),
    "YOLO": ("images/train/*2 images/val/*1 labels/train/0.txt", "objects .YOLO."),
    "VOC": ("JPEGImages/*2 Annotations/0.xml", "objects .VOC."),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_told_is_refused_in_a_line(tmp_path: Path, name: str) -> None:
    files, said = REFUSALS[name]
    root = tree(tmp_path / "set", *files.split())
    with pytest.raises(DataProblem, match=said) as refusal:
        list_source(root)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("cam1/ok/*1 cam1/bad/*1 cam2/ok/*1 cam2/bad/*1", "cam1, cam2 are taken for .* folder bad"),
        ("raw/train/a/*1 raw/train/b/*1 new/train/a/*1 new/train/b/*1", "new, raw are .* train"),
        ("photos/a/*1 photos/b/*1 test/a/*1", "photos/ is taken for the training split"),
    ],
)
def test_folders_whose_meaning_is_guessed_are_told(tmp_path: Path, files: str, said: str) -> None:
    (notice,) = list_source(tree(tmp_path / "set", *files.split())).notices
    assert re.search(said, notice)


@pytest.mark.parametrize(
    "files", ["cat/indoors/*1 dog/park/*1", "cat/images/*1 dog/images/*1", "cat/18/*1 dog/18/*1"]
)
def test_classes_with_folders_of_their_own_are_read_without_a_word(
    tmp_path: Path, files: str
) -> None:
    assert list_source(tree(tmp_path / "set", *files.split())).notices == ()


def test_a_broken_link_within_a_class_may_be_a_lost_folder(tmp_path: Path) -> None:
    root = tree(tmp_path / "set", "a/*1", "b/*1")
    (root / "a" / "more").symlink_to(tmp_path / "gone")
    with pytest.raises(DataProblem, match=r"more is a link to .*gone, which is not there"):
        list_source(root)


def test_a_split_alone_can_be_taken_as_a_whole(tmp_path: Path) -> None:
    tree(tmp_path, "test/a/*1", "test/b/*2")
    listing = list_source(tmp_path, whole=True)
    assert counts(listing.train, listing.classes) == {"a": 1, "b": 2}
    assert not listing.splits


# Links, and folders that cannot be listed


def test_links_to_folders_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    tree(tmp_path, "far/*5", "set/a/*1", "set/b/*1")
    (tmp_path / "set" / "a" / "more").symlink_to(tmp_path / "far")
    (tmp_path / "set" / "c").symlink_to(tmp_path / "far")
    (tmp_path / "far" / "back").symlink_to(tmp_path / "set")
    listing = list_source(tmp_path / "set")
    assert counts(listing.train, listing.classes) == {"a": 6, "b": 1, "c": 5}
    assert listing.skipped == tuple(
        f"{name}/back: a link to a folder above it" for name in ("a/more", "c")
    )


def test_links_that_multiply_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoscale.datasets.tree._VISITS", 20)
    names = "abcdef"
    for name in names:
        tree(tmp_path, f"{name}/*1")
        for other in names:
            (tmp_path / name / other).symlink_to(tmp_path / other)
    with pytest.raises(DataProblem, match="again and again"):
        list_source(tmp_path)


@pytest.mark.parametrize("place", ["c", "train/c", "test"])
def test_a_link_to_a_share_that_is_not_mounted_is_named(tmp_path: Path, place: str) -> None:
    tree(tmp_path, *(("train/a/*1", "train/b/*1") if "t" in place else ("a/*1", "b/*1")))
    (tmp_path / place).symlink_to("/nowhere/at/all")
    with pytest.raises(DataProblem, match=f"{place} is a link to /nowhere/at/all, which is not"):
        list_source(tmp_path)


@pytest.mark.parametrize("place", ["", "a", "a/more"])
def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "a/more/*1", "b/*1")
    listed = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path) == tmp_path / place:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataProblem, match=rf"cannot list {tmp_path / place}: Permission denied"):
        list_source(tmp_path)


# Names that are not UTF-8


def test_a_picture_whose_name_is_not_utf8_is_shown_escaped(tmp_path: Path) -> None:
    tree(tmp_path, "a/*1", "b/*1")
    (tmp_path / "a" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    listing = list_source(tmp_path)
    assert listing.train.names[1] == r"a/caf\xe9.jpg"
    assert listing.train.read(1) == b"x"


def test_a_class_whose_name_is_not_utf8_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, "a/*1", f"{os.fsdecode(b'caf' + bytes([0xE9]))}/*1")
    with pytest.raises(DataProblem, match=r"class folder 'caf\\\\xe9' in .* not UTF-8.* rename"):
        list_source(tmp_path)


def test_the_same_letters_written_in_two_ways_are_one_class(tmp_path: Path) -> None:
    tree(tmp_path, "train/caf\u00e9/*1", "train/b/*1", "test/cafe\u0301/*1")
    listing = list_source(tmp_path)
    assert counts(listing.test, listing.classes) == {"caf\u00e9": 1}


# Ways out


def follow(said: str, folder: Path) -> None:
    """Run the command that a refusal names."""
    command = re.search(r'python -c "([^"]*)"', said)
    assert command is not None
    subprocess.run([sys.executable, "-c", command[1]], check=True, cwd=folder)


@pytest.mark.parametrize("table", ["metadata.csv", "labels.tsv", "metadata.jsonl"])
def test_a_list_among_its_pictures_is_read_as_the_refusal_says(tmp_path: Path, table: str) -> None:
    root = tree(tmp_path / "set", "*3")
    rows = [("000.jpg", "cat"), ("001.jpg", "dog"), ("002.jpg", "cat")]
    if table.endswith("jsonl"):
        lines = [json.dumps({"file_name": name, "label": label}) for name, label in rows]
    else:
        mark = "," if table.endswith("csv") else "\t"
        lines = [mark.join(row) for row in [("file_name", "label"), *rows]]
    (root / table).write_text("\n".join(lines))
    with pytest.raises(DataProblem) as refusal:
        list_source(root)
    named = re.search(r"--data '([^']*)'", str(refusal.value))
    assert named is not None
    listing = list_source(Path(named[1]))
    assert counts(listing.train, listing.classes) == {"cat": 2, "dog": 1}


def test_the_way_to_join_partitions_of_parquet_works(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for label in ("cat", "dog"):
        (tmp_path / "set" / f"label={label}").mkdir(parents=True)
        table = pyarrow.table({"image": [{"bytes": b"x", "path": None}]})
        parquet.write_table(table, tmp_path / "set" / f"label={label}" / "0.parquet")
    with pytest.raises(DataProblem) as refusal:
        list_source(tmp_path / "set")
    follow(str(refusal.value), tmp_path)
    assert list_source(tmp_path / "data.parquet").classes == ("cat", "dog")
