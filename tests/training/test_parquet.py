from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoscale.distribution import install
from autoscale.errors import DataProblem
from tests.training.sources import BLUE, RED, is_blue, jpeg, read


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
        ({"picture": [{"bytes": b"x"}], "label": [0]}, "has the columns picture, label"),
        ({"image": [{"bytes": b"x"}], "kind": [0]}, "has the columns image, kind"),
        ({"image": [b"x"], "label": [0]}, "column 'image' of .* a struct with a field 'bytes'"),
        ({"image": [{"bytes": b"x"}], "label": [0]}, "has 1 class; at least 2"),
        ({"image": [{"bytes": b"x"}] * 3, "label": [0, 1, None]}, r"a\.parquet row 2 has no label"),
        ({"image": [{"bytes": b"x"}] * 2, "label": [0.0, math.nan]}, "row 1 has no label"),
        ({"image": [{"bytes": b"x"}], "label": [None]}, "row 0 has no label"),
        ({"image": [{"bytes": b"x"}], "label": [[0]]}, "'label' of .* holds list.*; one number"),
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
    write_parquet(tmp_path / "test.parquet", [RED], [-1])
    assert read(tmp_path, test=False).test is None
    with pytest.raises(DataProblem, match="class '-1' of test has no training images"):
        read(tmp_path)


def test_a_named_parquet_class_without_images(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [RED, BLUE] * 5, [1, 0] * 5, names=["a", "b", "c"])
    with pytest.raises(DataProblem, match=r"class 'c' in .* has 0 images"):
        read(tmp_path)


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataProblem, match=r"cannot read .*a\.parquet: "):
        read(tmp_path / "a.parquet")
