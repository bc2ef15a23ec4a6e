from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoscale.datasets.data import list_source
from autoscale.distribution import install
from autoscale.errors import DataProblem, InvalidSetting
from tests.datasets.sources import BLUE, RED, is_blue, jpeg, read


@pytest.mark.parametrize("folder", ["", "data"])
def test_a_folder_of_parquet_splits(tmp_path: Path, folder: str) -> None:
    home = tmp_path / folder
    home.mkdir(exist_ok=True)
    write_parquet(home / "train-00000-of-00002.parquet", [RED, BLUE] * 5, [1, 0] * 5)
    write_parquet(home / "train-00001-of-00002.parquet", [RED, BLUE] * 5, [1, 0] * 5)
    write_parquet(home / "validation.parquet", [RED, BLUE], [1, 0])
    write_parquet(home / "test.parquet", [RED, BLUE, RED], [1, 0, 1])
    data = read(tmp_path)
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (20, 2, 3)
    np.testing.assert_array_equal(data.train.labels == 0, is_blue(data.train))


def test_one_parquet_file_is_cut_into_three_and_names_its_classes(tmp_path: Path) -> None:
    file = tmp_path / "colours.parquet"
    write_parquet(file, [RED, BLUE] * 10, [1, 0] * 10, names=["sky", "fire"])
    data = read(file)
    assert data.classes == ("sky", "fire")
    assert data.test is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 4)


def test_parquet_labels_without_names_are_their_values(tmp_path: Path) -> None:
    file = tmp_path / "colours.parquet"
    write_parquet(file, [RED, BLUE] * 10, [7, 3] * 10, image="img", label="fine_label")
    data = read(file)
    assert data.classes == ("3", "7")
    np.testing.assert_array_equal(data.train.labels == 0, is_blue(data.train))


def write_parquet(
    file: Path,
    colours: list[tuple[int, int, int]],
    labels: list[Any],
    *,
    names: list[str] | None = None,
    image: str = "image",
    label: str = "label",
    broken: int | None = None,
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    pictures = [{"bytes": jpeg(colour), "path": None} for colour in colours]
    if broken is not None:
        pictures[broken]["bytes"] = b"not a picture"
    table = pyarrow.table({image: pictures, label: labels})
    if names:
        features = {label: {"_type": "ClassLabel", "names": names}}
        table = table.replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
    parquet.write_table(table, file)


def test_unreadable_parquet_rows_are_skipped_by_row(tmp_path: Path) -> None:
    file = tmp_path / "colours.parquet"
    write_parquet(file, [RED, BLUE] * 10, [1, 0] * 10, broken=3)
    assert [line.split(":")[0] for line in read(file).skipped] == ["colours.parquet row 3"]
    with pytest.raises(DataProblem, match="row 3"):
        read(file, strict=True)


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(b"PK")
    with pytest.raises(DataProblem, match=r"not a folder or a \.parquet file"):
        read(tmp_path / "images.zip")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "train.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataProblem, match=re.escape(install("parquet"))):
        read(tmp_path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"scan": [{"bytes": b"x"}], "label": [0]}, "has the columns scan, label"),
        ({"image": [{"bytes": b"x"}], "kind": [0]}, "has the columns image, kind"),
        ({"image": [3], "label": [0]}, "column 'image' of .* a struct with a field 'bytes'"),
        ({"image": [{"bytes": b"x"}] * 2, "label": ["", "a"]}, "row 0 has no label"),
        ({"image": [{"bytes": b"x"}], "label": [0]}, "has 1 class; at least 2"),
        ({"image": [{"bytes": b"x"}] * 3, "label": [0, 1, None]}, r"a\.parquet row 2 has no label"),
        ({"image": [{"bytes": b"x"}] * 2, "label": [0.0, math.nan]}, "row 1 has no label"),
        ({"image": [{"bytes": b"x"}], "label": [None]}, "row 0 has no label"),
        ({"image": [{"bytes": b"x"}], "label": [[[0]]]}, "'label' of .* holds list.*; one number"),
        ({"image": [{"bytes": b"x"}], "label": [{"a": 0}]}, "'label' of .* holds struct"),
        ({"image": [{"bytes": 3}], "label": [0]}, "field 'bytes' of binary"),
        ({"image": [[b"x"]], "label": [0]}, "a struct with a field 'bytes'"),
    ],
)
def test_parquet_of_another_layout(tmp_path: Path, columns: Any, message: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    with pytest.raises(DataProblem, match=message):
        read(tmp_path / "a.parquet")


def test_a_parquet_file_without_rows(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    image = pyarrow.struct({"bytes": pyarrow.binary()})
    schema = pyarrow.schema({"image": image, "label": pyarrow.int64()})
    parquet.write_table(schema.empty_table(), tmp_path / "a.parquet")
    with pytest.raises(DataProblem, match=r"a\.parquet has no rows"):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (b"{not json", "are not JSON of info, features and label; write"),
        (b"\xff", "are not JSON of info"),
        (b'{"info": null}', "are not JSON of info"),
        (b'{"info": {"features": {"label": [1]}}}', "are not JSON of info"),
        (
            b'{"info": {"features": {"label": {"names": "ab"}}}}',
            "different names of label; got 'ab'",
        ),
        (b'{"info": {"features": {"label": {"names": ["a", "a"]}}}}', r"got \['a', 'a'\]"),
    ],
)
def test_parquet_metadata_of_another_form(tmp_path: Path, metadata: bytes, message: str) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    file = tmp_path / "a.parquet"
    write_parquet(file, [RED, BLUE] * 10, [1, 0] * 10)
    table = parquet.read_table(file).replace_schema_metadata({b"huggingface": metadata})
    parquet.write_table(table, file)
    with pytest.raises(DataProblem, match=f"the huggingface metadata of .*{message}"):
        read(file)


def test_parquet_metadata_that_name_no_classes(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    write_parquet(file, [RED, BLUE] * 10, ["fire", "sky"] * 10)
    assert read(file).classes == ("fire", "sky")
    write_parquet(file, [RED, BLUE] * 10, ["fire", "sky"] * 10, names=["sky", "fire"])
    data = read(file)
    assert data.classes == ("sky", "fire")
    np.testing.assert_array_equal(data.train.labels == 0, is_blue(data.train))


def test_parquet_labels_of_two_kinds(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-0.parquet", [RED, BLUE] * 5, [1, 0] * 5)
    write_parquet(tmp_path / "validation.parquet", [RED, BLUE], ["1", "0"])
    with pytest.raises(DataProblem, match="validation hold '1', str, where training has int; "):
        read(tmp_path)
    write_parquet(tmp_path / "train-1.parquet", [RED, BLUE], ["1", "0"])
    with pytest.raises(DataProblem, match=r"train-0\.parquet and train-1\.parquet have different"):
        read(tmp_path)


def test_parquet_classes_that_never_train(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [RED, BLUE] * 5, [1, 0] * 5, names=["a", "b"])
    write_parquet(tmp_path / "test.parquet", [RED], ["c"])
    assert read(tmp_path, test=False).test is None
    with pytest.raises(DataProblem, match="class 'c' of test has no training images"):
        read(tmp_path)


@pytest.mark.parametrize("none", [-1, None, math.nan])
def test_a_parquet_split_without_labels_is_told_and_not_used(tmp_path: Path, none: Any) -> None:
    write_parquet(tmp_path / "train.parquet", [RED, BLUE] * 5, [1, 0] * 5, names=["a", "b"])
    write_parquet(tmp_path / "test.parquet", [RED] * 3, [none] * 3, names=["a", "b"])
    data = read(tmp_path)
    assert data.test is None
    assert data.summary.sentence.endswith("not used: test (unlabelled)")
    assert data.notices[0].startswith("the test rows have no labels, so they are not used")
    write_parquet(tmp_path / "test.parquet", [RED] * 2, [none, 0], names=["a", "b"])
    with pytest.raises(DataProblem, match=r"test\.parquet row 0 has no label"):
        read(tmp_path)


def test_a_named_parquet_class_without_images(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [RED, BLUE] * 5, [2, 0] * 5, names=["a", "b", "c"])
    data = read(tmp_path)
    assert data.classes == ("a", "c")
    np.testing.assert_array_equal(data.train.labels == 0, is_blue(data.train))
    assert data.notices[0] == "the class 'b' that train.parquet names has no row and is left out"


def test_parquet_labels_are_joined_by_each_file_s_own_names(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-0.parquet", [RED, BLUE] * 5, [0, 1] * 5, names=["r", "b"])
    write_parquet(tmp_path / "train-1.parquet", [RED, BLUE] * 5, [1, 0] * 5, names=["b", "r"])
    write_parquet(tmp_path / "validation.parquet", [BLUE, RED], ["b", "r"])
    write_parquet(tmp_path / "test.parquet", [RED, BLUE, RED], [1, 0, 1], names=["b", "r"])
    data = read(tmp_path)
    assert data.classes == ("r", "b")
    assert data.test is not None
    for images in (data.train, data.validation, data.test):
        np.testing.assert_array_equal(images.labels == 1, is_blue(images))


def test_shards_of_different_classes_are_all_of_them(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-0.parquet", [RED] * 4, [0] * 4, names=["r"])
    write_parquet(tmp_path / "train-1.parquet", [BLUE] * 4, [0] * 4, names=["b"])
    data = read(tmp_path)
    assert data.classes == ("r", "b")
    np.testing.assert_array_equal(data.train.labels == 1, is_blue(data.train))


@pytest.mark.parametrize(
    ("train", "test"), [((["b", "r"], [1, 0]), (None, [1, 0])), ((None, [1, 0]), (["b"], [0, 0]))]
)
def test_numbers_are_never_joined_with_names(tmp_path: Path, train: Any, test: Any) -> None:
    write_parquet(tmp_path / "train.parquet", [RED, BLUE] * 5, train[1] * 5, names=train[0])
    write_parquet(tmp_path / "test.parquet", [RED, BLUE], test[1], names=test[0])
    with pytest.raises(DataProblem, match=r"labels of test hold .*, where training has"):
        read(tmp_path)


def test_labels_beyond_the_names_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [RED, BLUE], [0, 2], names=["a", "b"])
    with pytest.raises(DataProblem, match="row 1 has the label 2, but its metadata name 2 classes"):
        read(tmp_path)


def test_shards_whose_types_differ_harmlessly_are_read(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    dictionary = pa.dictionary(pa.int8(), pa.string())
    kinds = [(pa.binary(), pa.string()), (pa.large_binary(), pa.large_string()),
             (pa.binary(), dictionary)]  # fmt: skip
    for number, (content, label) in enumerate(kinds):
        rows = [{"bytes": jpeg(RED), "path": None}, {"bytes": jpeg(BLUE), "path": None}] * 5
        image = pa.array(rows, pa.struct({"bytes": content, "path": pa.string()}))
        table = pa.table({"image": image, "label": pa.array(["r", "b"] * 5, pa.string())})
        column = table["label"].cast(label)
        table = table.set_column(1, "label", column).append_column(
            f"extra{number}", pa.nulls(10, pa.int8())
        )
        parquet.write_table(table, tmp_path / f"train-{number}.parquet")
    write_parquet(tmp_path / "test.parquet", [BLUE], ["b"])
    data = read(tmp_path)
    assert len(data.train) + len(data.validation) == 30
    np.testing.assert_array_equal(data.train.labels == 0, is_blue(data.train))


def test_whole_numbers_of_several_widths_are_one_label(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for number, kind in enumerate((pa.int64(), pa.int32(), pa.uint8())):
        image = [{"bytes": jpeg(RED)}, {"bytes": jpeg(BLUE)}] * 3
        table = pa.table({"image": image, "label": pa.array([7, 3] * 3, kind)})
        parquet.write_table(table, tmp_path / f"train-{number}.parquet")
    assert read(tmp_path).classes == ("3", "7")


def test_rows_that_hold_paths_are_read_from_there(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (tmp_path / "data").mkdir()
    for name, colour in (("r.jpg", RED), ("b.jpg", BLUE)):
        (tmp_path / "data" / name).write_bytes(jpeg(colour))
    whole = str(tmp_path / "data" / "b.jpg")
    rows = [{"bytes": None, "path": "r.jpg"}, {"bytes": None, "path": whole}] * 5
    file = tmp_path / "data" / "train.parquet"
    parquet.write_table(pa.table({"image": rows, "label": ["r", "b"] * 5}), file)
    data = read(tmp_path, strict=True)
    np.testing.assert_array_equal(data.train.labels == 0, is_blue(data.train))
    rows[2] = {"bytes": None, "path": "gone.jpg"}
    parquet.write_table(pa.table({"image": rows, "label": ["r", "b"] * 5}), file)
    [line] = read(tmp_path).skipped
    assert line.startswith("train.parquet row 2: the row holds a path instead of a picture")
    rows = [{"bytes": None, "path": f"/nowhere/{n}.jpg"} for n in range(10)]
    parquet.write_table(pa.table({"image": rows, "label": ["r", "b"] * 5}), file)
    with pytest.raises(DataProblem, match=r"hold paths instead of .*the first: /nowhere/0\.jpg"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("image", "label"), [("jpg", "cls"), ("Image", "target"), ("photo", "Category")]
)
def test_usual_columns_are_found(tmp_path: Path, image: str, label: str) -> None:
    write_parquet(tmp_path / "a.parquet", [RED, BLUE] * 5, [1, 0] * 5, image=image, label=label)
    assert read(tmp_path / "a.parquet").classes == ("0", "1")


@pytest.mark.parametrize("kind", ["binary", "large_binary", "string"])
def test_plain_columns_of_bytes_or_of_paths_are_read(tmp_path: Path, kind: str) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for name, colour in (("r.jpg", RED), ("b.jpg", BLUE)):
        (tmp_path / name).write_bytes(jpeg(colour))
    rows = ["r.jpg", "b.jpg"] if kind == "string" else [jpeg(RED), jpeg(BLUE)]
    column = pa.array(rows * 5, getattr(pa, kind)())
    parquet.write_table(pa.table({"image": column, "label": ["r", "b"] * 5}), tmp_path / "a.pq")
    data = read(tmp_path / "a.pq", strict=True)
    np.testing.assert_array_equal(data.train.labels == 0, is_blue(data.train))


@pytest.mark.parametrize(
    ("extra", "labels", "said"),
    [
        ({"category": ["x"] * 9}, [0, 1, 0] * 3, "label, category the labels are read from label"),
        ({"Split": ["test"] * 9}, [0, 1, 0] * 3, "the column Split of train.parquet is not read"),
        ({}, [-1, 0, 1] * 3, "-1 is a class of train.parquet"),
    ],
)
def test_what_columns_may_mean_otherwise_is_told(
    tmp_path: Path, extra: Any, labels: list[int], said: str
) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"bytes": b"x"}] * 9
    parquet.write_table(
        pa.table({"image": rows, "label": labels, **extra}), tmp_path / "train.parquet"
    )
    assert said in list_source(tmp_path).notices[0]


def test_a_test_file_without_a_column_of_labels_is_not_used(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [RED, BLUE] * 5, [1, 0] * 5)
    write_parquet(tmp_path / "test.parquet", [RED], [1], label="number")
    listing = list_source(tmp_path)
    assert (listing.test, listing.unused) == (None, ("test (unlabelled)",))
    assert "test.parquet, with the columns image, number," in listing.notices[0]


def test_other_columns_are_named_behind_the_path(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    write_parquet(file, [RED, BLUE] * 5, [1, 0] * 5, image="scan.raw", label="kind of")
    data = read(Path(f"{file}?image=scan.raw&label=kind+of"))
    assert (len(data.train), data.classes) == (6, ("0", "1"))
    folder = read(Path(f"{tmp_path}?label=kind of&image=scan.raw"))
    assert folder.fingerprint == data.fingerprint
    with pytest.raises(DataProblem, match=r"columns scan.raw, kind of, no column 'x'.*\?image="):
        read(Path(f"{file}?image=x"))
    with pytest.raises(InvalidSetting, match=r"behind the \? of .* got 'column=x'"):
        read(Path(f"{file}?column=x"))


PARQUET_LAYOUTS = {
    "hub, converted": ("default/train/0000.parquet default/test/0000.parquet", "train1 test1"),
    "hub, partial": ("default/partial-train/0000.parquet default/partial-train/0001.parquet",
                     "train2"),
    "hub, hashed": ("data/train-00000-of-00002-b42a775f407cee45.parquet "
                    "data/train-00001-of-00002-c8e2af75fdecafe4.parquet data/test-00000-of-00001-"
                    "dea.parquet", "train2 test1"),
    "folders": ("train/part-0.parquet train/part-1.parquet val/part-0.parquet",
                "train2 validation1"),
    "dev": ("train.parquet dev.parquet", "train1 validation1"),
    "upper case": ("Train.parquet Valid.parquet TEST.parquet", "train1 validation1 test1"),
    "prefixed": ("flowers-train.parquet flowers-test.parquet", "train1 test1"),
    "one file": ("data.parquet", "whole1"),
    "shards": ("part-0.parquet part-1.parquet", "whole2"),
    "one more file": ("train.parquet test.parquet extra.parquet",
                      "train1 test1 unused extra.parquet"),
}  # fmt: skip


@pytest.mark.parametrize("name", PARQUET_LAYOUTS)
def test_a_parquet_layout_is_read(tmp_path: Path, name: str) -> None:
    files, meant = PARQUET_LAYOUTS[name]
    for entry in files.split():
        (tmp_path / entry).parent.mkdir(parents=True, exist_ok=True)
        write_parquet(tmp_path / entry, [RED, BLUE], ["r", "b"])
    listing = list_source(tmp_path)
    own = {"train": listing.train, "validation": listing.validation, "test": listing.test}
    told = [f"{part}{len(found) // 2}" for part, found in own.items() if found is not None]
    if not listing.splits:
        told = [f"whole{len(listing.train) // 2}"]
    told += ["unused", *listing.unused] if listing.unused else []
    assert told == meant.split()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("label=1/a.parquet label=2/a.parquet", r"in partitions \(label=1\); write .*'hive'"),
        ("one/train.parquet two/train.parquet", "2 data sets of Parquet files .*: one, two"),
        ("train.parquet train_small.parquet", "2 training splits, train.parquet and train_small"),
        ("test.parquet", "holds test images but no training split"),
        ("train.parquet val.parquet dev.parquet validation.parquet", None),
    ],
)
def test_a_parquet_layout_that_cannot_be_told_is_refused(
    tmp_path: Path, files: str, said: str | None
) -> None:
    for entry in files.split():
        (tmp_path / entry).parent.mkdir(parents=True, exist_ok=True)
        write_parquet(tmp_path / entry, [RED, BLUE], ["r", "b"])
    with pytest.raises(DataProblem, match=said or "3 validation splits, dev.parquet and val"):
        list_source(tmp_path)


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataProblem, match=r"cannot read .*a\.parquet: "):
        read(tmp_path / "a.parquet")
