"""`--group-by`: pictures of a group lie in one part only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.datasets.pictures.group_by import GroupBy
from autoscale.datasets.pictures.grouping import carve_groups
from autoscale.datasets.survey import survey
from autoscale.errors import DataProblem, InvalidSetting
from tests.datasets import made_sources as made
from tests.datasets.sources import jpeg, read, write_classes

SETS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12).map(str)), min_size=1, max_size=80)


@given(SETS, st.sampled_from([0.1, 0.2, 0.5]), st.integers(0, 5))
def test_a_cut_is_a_cut_and_no_group_is_in_both(
    pictures: list[tuple[int, str]], fraction: float, seed: int
) -> None:
    labels = np.array([label for label, _ in pictures])
    groups = [group for _, group in pictures]
    kept, aside = carve_groups(labels, groups, fraction, seed=seed)
    assert sorted([*kept, *aside]) == list(range(len(labels)))
    assert not {groups[i] for i in kept} & {groups[i] for i in aside}
    assert set(labels[kept]) == set(labels)
    again = carve_groups(labels, groups, fraction, seed=seed)
    assert np.array_equal(again[1], aside)


@given(SETS)
def test_a_part_is_empty_only_where_no_group_can_leave(pictures: list[tuple[int, str]]) -> None:
    labels = np.array([label for label, _ in pictures])
    groups = np.array([group for _, group in pictures])
    _, aside = carve_groups(labels, list(groups), 0.2, seed=0)
    can = [g for g in set(groups) if set(labels[groups != g]) == set(labels)]
    assert (len(aside) == 0) == (not can)


def test_shares_of_classes_come_near_to_what_is_wanted() -> None:
    random = np.random.default_rng(0)
    sizes = random.integers(1, 12, 200)
    groups = [f"p{g}" for g, size in enumerate(sizes) for _ in range(size)]
    labels = random.integers(0, 4, len(groups))
    cuts = []
    for seed in range(5):
        _, aside = carve_groups(labels, groups, 0.2, seed=seed)
        shares = np.bincount(labels[aside], minlength=4) / np.bincount(labels)
        assert np.abs(shares - 0.2).max() < 0.02
        cuts.append(tuple(aside))
    assert len(set(cuts)) == 5  # another seed, another cut


def test_groups_of_one_picture_are_cut_in_the_shares_of_single_pictures() -> None:
    labels = np.repeat([0, 1, 2], 50)
    _, aside = carve_groups(labels, [str(i) for i in range(150)], 0.2, seed=3)
    assert np.bincount(labels[aside]).tolist() == [10, 10, 10]


def parts_of(folder: Path, group_by: str, **options: object) -> list[set[str]]:
    """The groups of each part, told from the names: i // 2 of pictures/i.png."""
    from autoscale.datasets.pictures.selection import Selection, split
    from autoscale.datasets.sources.source import list_source

    listing = list_source(folder, group_by=group_by)
    found = split(listing, Selection(group_by=group_by, **options), str(folder))  # type: ignore[arg-type]
    return [set(one.groups or ()) for one in found.parts.values()]


@pytest.mark.parametrize(
    "make",
    [
        made.a_list("csv", split=False), made.a_list("jsonl", split=False), made.one_parquet,
        made.lone_tar("json"), made.one_saved,
    ],
)  # fmt: skip
def test_a_column_groups_pictures(tmp_path: Path, make: object) -> None:
    source = Path(make(tmp_path / "set"))  # type: ignore[operator]
    parts = parts_of(source, "patient")
    assert sum(map(len, parts)) == len(set.union(*parts)) == 10
    found = read(source, group_by="patient")
    assert f"groups by patient: {len(parts[0])} train, " in found.summary.sentence
    assert found.fingerprint != read(source).fingerprint
    assert read(source, group_by="patient").fingerprint == found.fingerprint


def grouped_folders(folder: Path) -> Path:
    """Ten pictures of each class, each in two copies: red/3_0.jpg and red/3_1.jpg."""
    write_classes(folder, count=0)
    for name in ("red", "blue"):
        for i in range(10):
            for copy in range(2):
                (folder / name / f"{i}_{copy}.jpg").write_bytes(jpeg((i * 20, copy, len(name))))
    return folder


def test_names_group_pictures_of_folders(tmp_path: Path) -> None:
    folder = grouped_folders(tmp_path / "set")
    parts = parts_of(folder, "path:^(.*)_[01]")
    assert sum(map(len, parts)) == len(set.union(*parts)) == 20
    assert [len(part) for part in parts] == [12, 4, 4]


def test_a_split_of_the_source_is_kept_and_only_validation_is_cut(tmp_path: Path) -> None:
    for split in ("train", "test"):
        grouped_folders(tmp_path / "set" / split)
    parts = parts_of(tmp_path / "set", "path:^(.*)_[01]")
    assert [len(part) for part in parts] == [16, 4, 20]


def test_a_group_in_two_splits_of_the_source_is_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        grouped_folders(tmp_path / "set" / split)
    said = r"20 groups lie in two .* \('blue/0'\) in train and test; give the pictures as one set"
    with pytest.raises(DataProblem, match=said):
        read(tmp_path / "set", group_by="path:([a-z]+/[0-9]+)_[01]")


@pytest.mark.parametrize(
    ("group_by", "said"),
    [
        ("path:(", r"'\(' is no regular expression"),
        ("path:x", "has no group in brackets"),
        ("  ", "must not be empty"),
        ("path:(nothing)", "no group in 40 of 40 names, the first blue/0_0.jpg"),
        ("path:(blue|red)", "leaves 0 test images .* group by something finer|finds 2 groups"),
        ("path:^(.)", "finds 2 groups among the 40 images .* 3 parts"),
        ("path:^(b|r)[a-z]*/.*", "finds 2 groups"),
        ("patient", "names a column, and .* has none; group by names, as path:REGEX"),
    ],
)
def test_a_grouping_that_cuts_nothing_is_refused(tmp_path: Path, group_by: str, said: str) -> None:
    with pytest.raises((InvalidSetting, DataProblem), match=said):
        read(grouped_folders(tmp_path / "set"), group_by=group_by)


def test_each_class_in_one_group_leaves_nothing_to_put_aside(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for name in ("a", "b", "c"):
        (folder / name).mkdir(parents=True)
        for i in range(4):
            (folder / name / f"{i}.jpg").write_bytes(jpeg((i, i, i)))
    with pytest.raises(DataProblem, match=r"leaves 0 validation images .* something finer"):
        read(folder, group_by="path:^(.)/")


def test_an_empty_group_and_a_missing_column_are_named(tmp_path: Path) -> None:
    made.write_pictures(tmp_path)
    rows = made.without(("split",))
    rows[3]["patient"] = ""
    path = made.write_list(tmp_path / "photos.csv", rows)
    with pytest.raises(DataProblem, match="line 5 has nothing in the column patient"):
        read(path, group_by="patient")
    with pytest.raises(DataProblem, match="0 columns of that name, of image, label, patient"):
        read(path, group_by="place")
    with pytest.raises(InvalidSetting, match="synthetic draws each for itself"):
        read("synthetic", group_by="patient")
    with pytest.raises(InvalidSetting, match=r"names a column, and .* has none"):
        read(made.npz(made.medmnist)(tmp_path / "arrays"), group_by="patient")
    with pytest.raises(DataProblem, match=r"names? a column|nothing is there to name"):
        read(made.tar_of_folders(split=False)(tmp_path / "tar"), group_by="patient")


def test_groups_of_names_are_the_first_of_the_expression() -> None:
    assert GroupBy("path:(p[0-9]+)").of_names(["a/p1_x.jpg", "p22.jpg"]) == ["p1", "p22"]


def test_a_survey_says_what_comes_out_of_the_groups(tmp_path: Path) -> None:
    folder = grouped_folders(tmp_path / "set")
    found = survey(str(folder), group_by="path:^(.*)_[01]")
    assert found.groups == "groups by path:^(.*)_[01]: 12 train, 4 validation, 4 test"
    assert survey(str(folder)).groups == ""


def test_a_limit_takes_pictures_of_training_groups_alone(tmp_path: Path) -> None:
    folder = grouped_folders(tmp_path / "set")
    whole = parts_of(folder, "path:^(.*)_[01]")
    limited = parts_of(folder, "path:^(.*)_[01]", limit=10)
    assert limited[0] <= whole[0]
    assert limited[1:] == whole[1:]


def test_the_setting_is_in_the_json_of_rows_too(tmp_path: Path) -> None:
    made.write_pictures(tmp_path)
    rows = [row | {"patient": i // 2} for i, row in enumerate(made.without(("split",)))]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert len(set.union(*parts_of(tmp_path / "a.jsonl", "patient"))) == 10
