"""Images that may have several labels: read as meant or refused, cut with each label's share."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from autoscale.answering.answering import Answering
from autoscale.datasets.data import load, several_in
from autoscale.datasets.labelling import class_counts, has_class, placed
from autoscale.datasets.pictures.grouping import carve_groups
from autoscale.datasets.pictures.selection import Selection, carve, within_limit
from autoscale.datasets.pictures.stratification import rarest_class
from autoscale.datasets.survey import survey
from autoscale.errors import AutoscaleError, DataProblem, InvalidSetting

TAGS = ("dress", "long", "red")


def png(number: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (number % 256, number * 7 % 256, 90)).save(out, "PNG")
    return out.getvalue()


def labels_of(count: int, *, seed: int = 0) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [[tag for tag, p in zip(TAGS, (0.3, 0.2, 0.5), strict=True) if rng.random() < p]
            for _ in range(count)]  # fmt: skip


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for i in range(40):
        (tmp_path / f"{i}.png").write_bytes(png(i))
    return tmp_path


ROWS = labels_of(40)
AS_ARRAY = np.array([[tag in own for tag in TAGS] for own in ROWS], dtype=np.int64)


def write_jsonl(folder: Path, values: Sequence[Any], column: str = "labels") -> Path:
    lines = [json.dumps({"image": f"{i}.png", column: value}) for i, value in enumerate(values)]
    (folder / "photos.jsonl").write_text("\n".join(lines))
    return folder / "photos.jsonl"


def write_csv(folder: Path, header: str, rows: Sequence[str], name: str = "photos.csv") -> Path:
    lines = [f"image,{header}", *(f"{i}.png,{row}" for i, row in enumerate(rows))]
    (folder / name).write_text("\n".join(lines))
    return folder / name


def parquet(folder: Path, values: Sequence[Any], kind: Any, metadata: Any = None) -> Path:
    import pyarrow as pa
    from pyarrow import parquet as pq

    table = pa.table({
        "image": [png(i) for i in range(len(values))], "labels": pa.array(values, kind)
    })  # fmt: skip
    if metadata is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    pq.write_table(table, folder / "photos.parquet")
    return folder / "photos.parquet"


# Reading


def whole(source: str | Path) -> np.ndarray:
    """All labels of a source, whatever part they fell into, in the order of its rows."""
    found = load(str(source), size=8)
    assert found.several
    assert found.test is not None
    parts = (found.train, found.validation, found.test)
    pixels = np.concatenate([part.pixels[:, 0, 0] for part in parts]).astype(int)
    order = np.argsort(pixels[:, 0])
    return np.concatenate([part.labels for part in parts])[order]


def sources(folder: Path) -> dict[str, str]:
    import pyarrow as pa

    names = {"info": {"features": {"labels": {"feature": {"names": list(TAGS)}}}}}
    numbers = [[TAGS.index(tag) for tag in own] for own in ROWS]
    ones = [",".join(str(int(tag in own)) for tag in TAGS) for own in ROWS]
    there = {
        "lists in JSON": str(write_jsonl(folder, ROWS)),
        "a separator": f"{write_csv(folder, 'tags', ['|'.join(own) for own in ROWS], 'a.csv')}"
        "?labels=tags&separator=|",
        "a separator and spaces": str(
            write_csv(folder, "tags", [" ; ".join(own) for own in ROWS], "b.csv")
        )
        + "?labels=tags&separator=;",
        "columns of 0 and 1": f"{write_csv(folder, ','.join(TAGS), ones, 'c.csv')}"
        "?labels=dress,long,red",
        "Parquet with lists": str(parquet(folder, ROWS, pa.list_(pa.string()))),
    }
    for name, kind in (("numbers", pa.list_(pa.int64())), ("large", pa.large_list(pa.int8()))):
        (folder / name).mkdir()
        there[f"Parquet with {name}"] = str(parquet(folder / name, numbers, kind, names))
    return there


def test_every_way_to_write_labels_reads_the_same(photos: Path) -> None:
    for way, source in sources(photos).items():
        assert several_in(source), way
        assert np.array_equal(whole(source), AS_ARRAY), way


def test_a_list_of_one_class_label_of_older_metadata_is_read(tmp_path: Path) -> None:
    import pyarrow as pa

    told = {"info": {"features": {"labels": [{"names": ["no", "yes"], "_type": "ClassLabel"}]}}}
    found = load(str(parquet(tmp_path, [[0], [1], [0, 1], []] * 4, pa.list_(pa.int64()), told)),
                 size=8)  # fmt: skip
    assert found.classes == ("no", "yes")


def test_what_was_understood_is_said(photos: Path) -> None:
    found = load(str(write_jsonl(photos, ROWS)), size=8)
    many, none = sum(len(own) > 1 for own in ROWS), sum(not own for own in ROWS)
    mean = np.mean([len(own) for own in ROWS])
    assert (
        f"several labels an image: {mean:.2g} on average, several for {many}, none for {none}"
        in found.summary.sentence
    )


def test_numbers_sort_as_numbers(photos: Path) -> None:
    rows = ["2|10", "10", "2", "3"] * 10
    found = load(f"{write_csv(photos, 'tags', rows)}?labels=tags&separator=|", size=8)
    assert found.classes == ("2", "3", "10")


def test_a_comma_is_never_taken_for_a_separator(photos: Path) -> None:
    rows = ['"red,dress"', "red"] * 20
    found = load(str(write_csv(photos, "label", rows)), size=8)
    assert not found.several
    assert found.classes == ("red", "red,dress")


def test_splits_of_a_column_and_labels_go_together(photos: Path) -> None:
    rows = [f"{'|'.join(own) or ''},{'test' if i % 4 == 0 else 'train'}"
            for i, own in enumerate(ROWS)]  # fmt: skip
    found = load(f"{write_csv(photos, 'tags,split', rows)}?labels=tags&separator=|", size=8)
    assert found.test is not None
    assert np.array_equal(found.test.labels, AS_ARRAY[::4])


def test_a_label_that_every_image_has_and_one_that_none_has_are_told(photos: Path) -> None:
    rows = [f"1,{i % 2},0" for i in range(40)]
    found = load(f"{write_csv(photos, 'all,some,none', rows)}?labels=all,some,none", size=8)
    assert found.classes == ("all", "some")
    told = " ".join(found.notices)
    assert "every training image has the label all" in told
    assert "the class 'none' that photos.csv names has no row and is left out" in told


def test_the_same_picture_with_other_labels_is_told(photos: Path) -> None:
    (photos / "1.png").write_bytes(png(0))
    rows = [["red"], ["red", "dress"], *ROWS[2:]]
    found = load(str(write_jsonl(photos, rows)), size=8)
    told = " ".join(found.notices)
    assert "1 picture is the same with other labels (" in told
    assert {"0.png", "1.png"} == {*told.split("labels (")[1].split(")")[0].split(" = ")}


def refusals(folder: Path) -> dict[str, tuple[str, str]]:
    """Broken sources, and what is said of each."""
    import pyarrow as pa

    def made(name: str) -> Path:
        (folder / name).mkdir()
        for i in range(4):
            (folder / name / f"{i}.png").write_bytes(png(i))
        return folder / name

    def jsonl(name: str, *values: Any) -> str:
        return str(write_jsonl(made(name), values))

    def table(name: str, query: str, header: str, *rows: str) -> str:
        return f"{write_csv(made(name), header, rows)}{query}"

    folders = folder / "folders"
    folders.mkdir()
    for name in ("cat", "dog"):
        made(name).rename(folders / name)
    vectors = str(parquet(made("vectors"), [[0, 1, 1], [1, 0, 0]] * 2, pa.list_(pa.int64())))
    return {
        "an empty label": (
            jsonl("a", ["red"], ["red", ""], ["dress"], []),
            "line 2 has an empty label among its labels",
        ),
        "a null label": (jsonl("b", ["red"], ["red", None]), "line 2 has an empty label"),
        "no list": (
            jsonl("c", ["red"], ["dress"], None, ["red"]), "line 3 has no label; .. for none",
        ),
        "a text among lists": (
            jsonl("d", ["red"], "red", ["dress"]), r"has the label ..red..; one number or text",
        ),
        "a text among lists asked for": (
            f"{jsonl('e', ['red'], 'red', ['dress'])}?labels=labels",
            "line 2 has 'red' in the column labels, where others have lists",
        ),
        "twice": (jsonl("f", ["red", "red"], ["dress"]), "line 1 has the label 'red' twice"),
        "vectors of zeros and ones": (vectors, "no row of zeros and ones"),
        "mixed kinds": (jsonl("g", ["red"], [3]), "give names in all, or numbers in all"),
        "lists of lists": (jsonl("h", [["red"]], [["dress"]]), "one number or text"),
        "one class": (jsonl("i", ["red"], []), "1 class; at least 2 are needed"),
        "an empty part": (
            table("j", "?labels=tags&separator=|", "tags", "red||long", "red", "", "long"),
            "line 2 has an empty label among its labels",
        ),
        "no separator": (
            table("k", "?labels=tags", "tags", "red", "dress"), "say what cuts its texts",
        ),
        "no such column": (
            table("l", "?labels=tags,other", "tags", "1", "0"), "no column 'other'",
        ),
        "neither 0 nor 1": (
            table("m", "?labels=a,b", "a,b", "1,0", "2,1"), "line 3 has '2' in the column a",
        ),
        "an empty cell": (
            table("n", "?labels=a,b", "a,b", "1,0", ",1"), "line 3 has nothing in the column a",
        ),
        "one column twice": (table("o", "?labels=a,a", "a", "1"), "must name different columns"),
        "label and labels": (
            table("p", "?label=a&labels=a,b", "a,b", "1,0"), "leave one of them out",
        ),
        "a separator of columns": (
            table("q", "?labels=a,b&separator=|", "a,b", "1,0"), "cuts one column of texts",
        ),
        "a separator alone": (table("r", "?separator=|", "a,b", "1,0"), "cuts one column"),
        "folders": (f"{folders}?labels=a,b", "read from a list"),
    }  # fmt: skip


def test_what_is_not_written_as_meant_is_refused_in_one_line(tmp_path: Path) -> None:
    for case, (source, reason) in refusals(tmp_path).items():
        with pytest.raises(AutoscaleError, match=reason) as caught:
            load(source, size=8)
        assert "\n" not in str(caught.value), case


def test_a_test_label_that_training_lacks_is_named(photos: Path) -> None:
    lines = [{"image": f"{i}.png", "labels": own, "split": "test" if i > 30 else "train"}
             for i, own in enumerate([*ROWS[:39], ["blue"]])]  # fmt: skip
    (photos / "photos.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataProblem, match="class 'blue' of test has no training images"):
        load(str(photos / "photos.jsonl"), size=8)


def test_files_of_which_one_has_lists_and_the_other_one_label_are_not_joined(
    tmp_path: Path,
) -> None:
    import pyarrow as pa

    parquet(tmp_path, [["a"], ["b"]], pa.list_(pa.string())).rename(tmp_path / "train.parquet")
    parquet(tmp_path, ["a", "b"], pa.string()).rename(tmp_path / "test.parquet")
    with pytest.raises(DataProblem, match="one has several labels for an image and one has one"):
        load(str(tmp_path), size=8)


def test_a_survey_counts_images_and_labels(photos: Path) -> None:
    found = survey(str(write_jsonl(photos, ROWS)))
    assert (found.several, found.totals) == (True, {"train": 40})
    assert [*found.counts["train"].values()] == AS_ARRAY.sum(axis=0).tolist()
    assert "40 train; several labels an image" in found.summary.sentence


# Cutting


@st.composite
def label_tables(draw: st.DrawFn) -> np.ndarray:
    """Of up to five classes, each of which an image has."""
    count, classes = draw(st.integers(8, 60)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    found = (rng.random((count, classes)) < rng.uniform(0.05, 0.7, classes)).astype(np.int64)
    found[rng.integers(count, size=classes), np.arange(classes)] = 1
    return found


@given(label_tables(), st.integers(0, 5))
def test_a_cut_keeps_every_class_and_deals_every_image_once(labels: np.ndarray, seed: int) -> None:
    kept, aside = carve(labels, 0.2, seed=seed)
    assert sorted([*kept, *aside]) == list(range(len(labels)))
    assert labels[kept].any(axis=0).all()
    again = carve(labels, 0.2, seed=seed)
    assert np.array_equal(again[0], kept)
    assert abs(len(aside) - 0.2 * len(labels)) <= 1 + labels.shape[1]


def test_every_part_has_its_share_of_each_label() -> None:
    rng = np.random.default_rng(0)
    shares = np.array([0.02, 0.1, 0.4, 0.7])
    labels = (rng.random((2000, 4)) < shares).astype(np.int64)
    labels[:, 1] |= labels[:, 0]  # labels that come together
    _, aside = carve(labels, 0.2, seed=1)
    assert len(aside) == pytest.approx(400, abs=3)
    wanted = 0.2 * labels.sum(axis=0)
    assert np.abs(labels[aside].sum(axis=0) - wanted).max() <= 3


@given(label_tables(), st.integers(0, 3))
def test_limits_are_nested_and_keep_every_class(labels: np.ndarray, seed: int) -> None:
    classes, before = labels.shape[1], np.array([], dtype=np.int64)
    for limit in range(classes, len(labels), 5):
        kept = within_limit(labels, Selection(seed=seed, limit=limit), classes)
        assert kept is not None
        assert len(kept) == limit
        assert {*before} <= {*kept}
        assert labels[kept].any(axis=0).all()
        before = kept
    assert within_limit(labels, Selection(limit=len(labels)), classes) is None


@given(label_tables(), st.integers(0, 3))
def test_groups_stay_together_and_every_class_is_kept(labels: np.ndarray, seed: int) -> None:
    groups = [f"g{i // 3}" for i in range(len(labels))]
    kept, aside = carve_groups(labels, groups, 0.2, seed=seed)
    assert not {groups[i] for i in kept} & {groups[i] for i in aside}
    assert labels[kept].any(axis=0).all()


def test_the_rarest_class_of_an_image() -> None:
    labels = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 1], [0, 0, 1]])
    assert rarest_class(labels).tolist() == [1, 0, -1, 2, 2]


# The value


def test_labels_are_moved_and_counted_alike_in_both_forms() -> None:
    one, several = np.array([0, 2, 2]), np.array([[1, 0, 1], [0, 1, 0]])
    assert class_counts(one, 3).tolist() == [1, 0, 2]
    assert class_counts(several, 3).tolist() == [1, 1, 1]
    assert has_class(one, 2).tolist() == [False, True, True]
    assert has_class(several, 1).tolist() == [False, True]
    places = np.array([3, 0, 1])
    assert placed(one, places, 4).tolist() == [3, 1, 1]
    assert placed(several, places, 4).tolist() == [[0, 1, 0, 1], [1, 0, 0, 0]]


def test_a_way_of_answering_is_plain_data_and_back() -> None:
    for one in (Answering(), Answering(several=True),
                Answering(several=True, thresholds=(0.25, 0.5))):  # fmt: skip
        assert Answering.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    assert Answering().to_dict() == {"temperature": 1.0}
    assert Answering(several=True).thresholds_of(2).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "plain",
    [
        {"thresholds": [0.5]}, {"several": True, "thresholds": [0.0]}, {"several": "yes"},
        {"several": True, "thresholds": ["a"]}, {"several": True, "thresholds": 0.5},
        {"several": True, "thresholds": [1.5]}, {"several": True, "temperature": 2.0},
    ],
)  # fmt: skip
def test_a_way_of_answering_that_cannot_be_is_refused(plain: dict[str, Any]) -> None:
    with pytest.raises(InvalidSetting):
        Answering.from_dict(plain)
