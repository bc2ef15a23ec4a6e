"""`--group-by` in commands: recorded, bound, and kept to by what reads the images again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import autoscale
from autoscale.cli.app import main
from autoscale.datasets.data import load
from autoscale.datasets.pictures.selection import Selection
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.inspection.doctor import examine
from autoscale.jobs.search.result import load_proxy
from autoscale.jobs.search.spaces import load_space
from autoscale.jobs.train.job import train
from autoscale.models.inference.evaluation import evaluate_model
from autoscale.models.load import load_model
from autoscale.models.quantized.calibrated import held_out
from autoscale.models.settings import ExportSettings
from autoscale.runs.weights import read_weights
from tests.conftest import Heard, draw_photos

BY = "path:([a-z]+/[0-9]+)[0-9]\\."  # tens of the pictures' numbers


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_photos(tmp_path_factory.mktemp("photos") / "grouped", count=60)


@pytest.fixture
def design(tmp_path: Path) -> str:
    space = load_space("tiny").for_task(resolution=16, num_classes=3)
    path = tmp_path / "small.yaml"
    path.write_text(space.architecture_at((0,) * len(space.parameters)).to_yaml())
    return str(path)


def test_a_training_keeps_groups_together_and_so_does_what_follows(
    design: str, photos: Path, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"epochs": 2, "batch_size": 8, "kernels": "none", "data": str(photos)}
    heard = Heard()
    whole = train(design, tmp_path / "whole", **asked, group_by=BY, listener=heard)
    assert any("groups by path:" in text for text in heard.notices)
    assert read_weights(whole.weights).header.group_by == BY
    record = json.loads((tmp_path / "whole/train/settings.json").read_text())["settings"]
    assert record["group_by"] == BY

    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        train(design, cut, **asked, group_by=BY, listener=Heard(stop_after=1))
    with pytest.raises(RunConflict, match="--group-by"):
        train(design, cut, **asked)
    assert train(design, cut, **asked, group_by=BY).weights.read_bytes() == (
        whole.weights.read_bytes()
    )

    chosen = Selection(group_by=BY)
    images = load(str(photos), size=16, selection=chosen)
    model = load_model(str(whole.weights))
    found = evaluate_model(model, str(photos), split="test")
    assert images.test is not None
    assert found.images == len(images.test)
    assert found.accuracy == pytest.approx(whole.test_accuracy)
    assert len(held_out(model, str(photos), ExportSettings())) == len(images.validation)
    with pytest.raises(InvalidSetting, match="would test it on some of them; leave it out"):
        evaluate_model(model, str(photos), split="test", group_by="path:(.*)")


def test_a_search_and_its_later_steps_keep_to_it(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    autoscale.search_baseline(
        run, data=str(photos), group_by=BY, space="tiny", resolution=16, sampler="random",
        kernels="none", trials=2, epochs=1,
    )  # fmt: skip
    proxy = load_proxy(run)
    assert proxy.source.group_by == BY
    assert proxy.source.record()["group_by"] == BY
    loaded = proxy.load(size=16, listener=Heard())
    assert (
        loaded.fingerprint
        == load(str(photos), size=16, selection=Selection(group_by=BY, test=False)).fingerprint
    )


def test_without_it_a_record_is_as_it_was(photos: Path) -> None:
    from autoscale.jobs.workers.source import ImageSource

    source = ImageSource(data=str(photos))
    assert "group_by" not in source.record()
    assert ImageSource.from_record(source.record(), data=str(photos)) == source


def test_the_doctor_tries_the_groups(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = (one for one in examine(data=str(photos), group_by=BY) if one.subject == "groups")
    assert "groups by path:" in found.found
    words = ["doctor", "--data", str(photos), "--group-by", "patient", "--run", str(tmp_path)]
    assert main(words) == 1
    assert "names a column" in " ".join(capsys.readouterr().out.split())
    assert main(["doctor", "--group-by", "patient"]) != 0
