"""Members are trained on the images as their run cut and prepared them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

import autoscale
from autoscale.errors import InvalidSetting
from autoscale.models.inference.evaluation import evaluate_model
from autoscale.runs.weights import read_weights
from tests.conftest import Heard, draw_photos

ASKED: dict[str, Any] = {"epochs": 1, "batch_size": 8, "kernels": "torch", "recipe": "proxy"}
TOLD = "as in the search or grid of run: --group-by patient --mean measured --area padded"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A family of a search whose images are cut by patient, padded and measured."""
    folder = tmp_path_factory.mktemp("as-in-its-run")
    photos = draw_photos(folder / "photos")
    with (folder / "list.csv").open("w", newline="", encoding="utf-8") as opened:
        rows = csv.writer(opened)
        rows.writerow(["image", "label", "patient"])
        for number, path in enumerate(sorted(photos.rglob("*.png"))):
            rows.writerow([path.relative_to(folder), path.parent.name, number % 12])
    here = folder / "run"
    autoscale.search_baseline(
        here, data=str(folder / "list.csv"), space="tiny", resolution=16, trials=2, epochs=1,
        sampler="random", kernels="torch", group_by="patient", area="padded", mean="measured",
    )  # fmt: skip
    autoscale.write_family(here, phi="0..1", coefficients="1.2,1.3,1", rounding="nearest")
    return here


def looks(file: Path) -> tuple[str | None, str, bool]:
    """The groups and the preparation that a file of weights tells."""
    header = read_weights(file).header
    assert header.preparation is not None
    return header.group_by, header.preparation.area, header.preparation.mean[0] != 0.5


def test_a_family_is_trained_on_the_cut_of_its_search(run: Path) -> None:
    heard = Heard()
    found = autoscale.train_family(run, listener=heard, **ASKED)
    assert TOLD in heard.notices
    assert looks(found.largest.weights) == ("patient", "padded", True)
    assert looks(autoscale.cut(run, member="phi-0").weights) == ("patient", "padded", True)
    typed = autoscale.train_family(run, group_by="patient", area="padded", mean="measured", **ASKED)
    assert typed == found  # the same training, which is finished


def test_grown_members_are_too(run: Path) -> None:
    autoscale.train_family(run, grow=True, **ASKED)
    for name in ("phi-0", "phi-1"):
        assert looks(run / "grown" / name / "best.safetensors") == ("patient", "padded", True)


def test_so_is_a_member_alone_unless_something_else_is_typed_or_the_images_are_others(
    run: Path, tmp_path: Path
) -> None:
    member, data = str(run / "family" / "phi-0.yaml"), str(run.parent / "list.csv")
    own = autoscale.train(member, tmp_path / "own", data=data, **ASKED)
    assert looks(own.weights) == ("patient", "padded", True)
    other = autoscale.train(member, tmp_path / "other", data=data, area="squashed", **ASKED)
    assert looks(other.weights) == ("patient", "squashed", False)
    drawn = Heard()
    autoscale.train(
        member, tmp_path / "drawn", listener=drawn, **(ASKED | {"limit": 32, "batch_size": 16})
    )
    assert any(
        f"synthetic images, and its run is of {data}; --data" in one for one in drawn.notices
    )
    photos, heard = str(run.parent / "photos"), Heard()
    apart = autoscale.train(member, tmp_path / "apart", data=photos, listener=heard, **ASKED)
    assert looks(apart.weights) == (None, "centre-square", False)
    assert not [line for line in heard.notices if line.startswith("as in")]
    with pytest.raises(InvalidSetting, match="cut with --group-by patient, and --group-by image"):
        evaluate_model(own.weights, data=data, group_by="image")


def test_folds_keep_to_its_groups(run: Path, tmp_path: Path) -> None:
    listed = run.parent / "list.csv"
    autoscale.train_folds(
        str(run / "family" / "phi-0.yaml"), tmp_path, data=str(listed), folds=3, **ASKED
    )
    with listed.open(newline="", encoding="utf-8") as opened:
        patients = {row["image"]: row["patient"] for row in csv.DictReader(opened)}
    folds: dict[str, set[str]] = {}
    with (tmp_path / "folds" / "answers.csv").open(newline="", encoding="utf-8") as opened:
        for row in csv.DictReader(opened):
            folds.setdefault(patients[row["image"]], set()).add(row["fold"])
    assert folds.keys() == {*patients.values()}
    assert all(len(where) == 1 for where in folds.values())
