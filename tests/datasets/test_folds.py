"""Cuts into folds: every picture in one, classes and groups kept to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscale.datasets.data import ImageData, load
from autoscale.datasets.folded import plan_folds
from autoscale.datasets.pictures.folds import Fold, folds_of
from autoscale.datasets.pictures.selection import Selection
from autoscale.errors import DataProblem, InvalidSetting
from autoscale.runs.images import ImageCache
from tests.conftest import draw_photos
from tests.datasets.sources import jpeg

LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=80)
SETS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12).map(str)), min_size=1, max_size=80)
COUNTS, SEEDS = st.integers(2, 6), st.integers(0, 5)


@given(LABELS, COUNTS, SEEDS)
def test_folds_and_their_classes_differ_by_one_picture_at_most(
    labels: list[int], count: int, seed: int
) -> None:
    folds = folds_of(np.array(labels), None, count, seed=seed)
    for own in [folds, *(folds[np.array(labels) == label] for label in set(labels))]:
        sizes = np.bincount(own, minlength=count + 1)[1:]
        assert len(own) == sizes.sum()  # each picture in one of 1 to `count`
        assert np.ptp(sizes) <= 1


@given(SETS, COUNTS, SEEDS)
def test_a_group_lies_in_one_fold_and_no_fold_is_empty_where_groups_suffice(
    pictures: list[tuple[int, str]], count: int, seed: int
) -> None:
    labels, groups = np.array([p[0] for p in pictures]), [p[1] for p in pictures]
    folds = folds_of(labels, groups, count, seed=seed)
    assert set(folds) <= {*range(1, count + 1)}
    pairs = set(zip(groups, folds.tolist(), strict=True))
    assert len(pairs) == len(set(groups))
    assert len(set(folds)) == min(count, len(set(groups)))
    assert np.array_equal(folds, folds_of(labels, groups, count, seed=seed))


def test_classes_keep_their_shares_where_groups_are_cut() -> None:
    random = np.random.default_rng(0)
    groups = [f"p{g}" for g, size in enumerate(random.integers(1, 12, 200)) for _ in range(size)]
    labels = random.integers(0, 4, len(groups))
    cuts = set()
    for seed in range(4):
        folds = folds_of(labels, groups, 5, seed=seed)
        shares = np.array([np.bincount(folds[labels == c])[1:] for c in range(4)]).T
        assert np.abs(shares / np.bincount(labels) - 0.2).max() < 0.03
        cuts.add(tuple(folds))
    assert len(cuts) == 4  # another seed, another cut


@pytest.mark.parametrize(("number", "of"), [(1, 1), (0, 2), (3, 2)])
def test_a_fold_is_one_of_two_at_least(number: int, of: int) -> None:
    with pytest.raises(InvalidSetting, match="fold"):
        Fold(number=number, of=of)


def each_fold(source: Path | str, of: int, **options: object) -> list[ImageData]:
    keep = options.pop("keep", None)
    return [
        load(
            str(source),
            size=8,
            selection=Selection(fold=Fold(number=n, of=of), **options),  # type: ignore[arg-type]
            keep=keep,  # type: ignore[arg-type]
        )
        for n in range(1, of + 1)
    ]


def places(found: ImageData) -> list[int]:
    assert found.fold is not None
    return found.fold.places.tolist()


def test_every_image_is_tested_once_and_no_image_is_in_two_parts(photos: Path) -> None:
    whole = load(str(photos), size=8)
    assert whole.fold is None
    parts = [whole.train, whole.validation, whole.test]
    pixels = np.concatenate([part.pixels for part in parts if part])
    everything = sorted(image.tobytes() for image in pixels)
    folds = each_fold(photos, 3)
    for found in folds:
        assert found.test is not None
        own = (found.train, found.validation, found.test)
        assert sorted(i.tobytes() for part in own for i in part.pixels) == everything
    assert sorted(place for found in folds for place in places(found)) == [*range(42)]
    tested = [image.tobytes() for found in folds if found.test for image in found.test.pixels]
    assert sorted(tested) == everything
    assert len({found.fingerprint for found in folds}) == 3


def test_all_folds_share_one_file_of_decoded_images(photos: Path, tmp_path: Path) -> None:
    kept = each_fold(photos, 3, keep=ImageCache(tmp_path / "cache"))
    assert len([*(tmp_path / "cache").glob("*.npy")]) == 1
    for one, other in zip(kept, each_fold(photos, 3), strict=True):
        assert one.sketch == other.sketch
        assert one.held_out == other.held_out
        assert np.array_equal(one.train.pixels, other.train.pixels)


def test_what_cannot_be_read_is_left_out_of_its_fold_alone(photos: Path) -> None:
    (photos / "blue" / "03.png").write_bytes(b"no picture")
    folds = each_fold(photos, 3)
    named = [name for found in folds if found.fold for name in found.fold.names]
    assert len(named) == 41
    assert "blue/03.png" not in named
    for found in folds:
        assert [line.split(":")[0] for line in found.unreadable] == ["blue/03.png"]
        assert found.test is not None
        assert len(found.test) == len(places(found))


def test_a_limit_is_of_training_images_and_every_image_is_tested(photos: Path) -> None:
    folds = each_fold(photos, 3, limit=6)
    assert [len(found.train) for found in folds] == [6, 6, 6]
    assert sum(len(places(found)) for found in folds) == 42


def splits_of_their_own(folder: Path) -> Path:
    draw_photos(folder / "train", count=9)
    draw_photos(folder / "val", count=3, seed=1)
    return draw_photos(folder / "test", count=4, seed=2).parent


def test_the_splits_of_a_source_are_in_no_fold_and_it_is_said(tmp_path: Path) -> None:
    source = splits_of_their_own(tmp_path / "own")
    folds = each_fold(source, 3)
    assert sorted(place for found in folds for place in places(found)) == [*range(27)]
    assert {len(found.validation) for found in folds} == {9}
    assert "9 test cut from train (33 %)" in folds[0].summary.sentence
    plan = plan_folds(str(source), Selection(), folds=3)
    assert (plan.images, plan.own_validation, plan.own_test) == (27, 9, 12)
    assert ["validation" in plan.told[0], "12 test" in plan.told[1]] == [True, True]


@pytest.mark.parametrize("make", [splits_of_their_own, lambda to: draw_photos(to, count=8), str])
def test_the_plan_is_what_is_loaded(make: Callable[[Path], Path | str], tmp_path: Path) -> None:
    source = "synthetic" if make is str else make(tmp_path / "images")
    plan = plan_folds(str(source), Selection(seed=3), folds=4)
    for parts, found in zip(plan.labels, each_fold(source, 4, seed=3), strict=True):
        assert found.test is not None
        assert np.array_equal(parts["train"], found.train.labels)
        assert np.array_equal(parts["validation"], found.validation.labels)
        assert np.array_equal(parts["test"], found.test.labels)
    assert plan.fingerprint != plan_folds(str(source), Selection(seed=3), folds=2).labels


@pytest.mark.parametrize(
    ("folds", "group_by", "said"),
    [
        (9, None, "class 'red' of .* has 4 images, and --folds 9 .*; give --folds 4 or fewer"),
        (5, None, "give --folds 4 or fewer"),
        (4, "path:([01])[0-9]", "4 parts|2 groups"),
        (2, "path:([a-z]+)/", "class 'blue' .* has 1 group, .*; add groups of the class"),
    ],
)
def test_too_few_images_or_groups_of_a_class_are_refused(
    folds: int, group_by: str | None, said: str, tmp_path: Path
) -> None:
    source = draw_photos(tmp_path / "few", count=14)
    for number in range(4, 14):
        (source / "red" / f"{number:02}.png").unlink()
    with pytest.raises(DataProblem, match=said):
        load(str(source), size=8, selection=Selection(
            fold=Fold(number=1, of=folds), group_by=group_by
        ))  # fmt: skip


def test_a_class_whose_groups_come_to_lie_in_one_fold_is_refused(tmp_path: Path) -> None:
    """Its second group holds all that is left of another class, and goes where that is not."""
    listed = ["image,class,who"]
    for who, counts in {"p": (1, 2), "q": (0, 2), "r": (9, 0)}.items():
        for label, count in zip("xy", counts, strict=True):
            for number in range(count):
                name = f"{who}{label}{number}.jpg"
                (tmp_path / name).write_bytes(jpeg((9, 9, 9)))
                listed.append(f"{name},{label},{who}")
    labels = np.array([line.split(",")[1] == "x" for line in listed[1:]], dtype=np.int64)
    groups = [line.split(",")[2] for line in listed[1:]]
    together = [
        seed
        for seed in range(20)
        if len(set(folds_of(labels, groups, 2, seed=seed)[labels == 1])) == 1
    ]
    source = tmp_path / "list.csv"
    source.write_text("\n".join(listed))
    assert together
    with pytest.raises(DataProblem, match=r"'x' .* in one of --folds 2"):
        plan_folds(str(source), Selection(seed=together[0], group_by="who"), folds=2)


def test_images_of_several_classes_are_refused(tmp_path: Path) -> None:
    rows = [f'{{"image": "{n}.jpg", "labels": ["x", "y"]}}' for n in range(8)]
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg((number, 9, 9)))
    (tmp_path / "list.jsonl").write_text("\n".join([*rows[:-1], rows[-1].replace(', "y"', "")]))
    with pytest.raises(InvalidSetting, match=r"--folds 2 cuts images of one class each"):
        plan_folds(str(tmp_path / "list.jsonl"), Selection(), folds=2)
