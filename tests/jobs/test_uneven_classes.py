"""`--loss`, `--sampling` and `--class-weights` in commands: what is recorded, kept and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import autoscale
from autoscale.cli.app import main
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.inspection.read_run import load_run
from autoscale.jobs.check import check_baseline
from autoscale.jobs.grid.job import grid_search
from autoscale.jobs.grid.settings import GridSettings
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.nested.settings import TrainFamilySettings, for_member
from autoscale.jobs.search.result import load_proxy
from autoscale.jobs.search.spaces import load_space
from autoscale.jobs.train.job import train
from autoscale.jobs.train.result import Trained
from autoscale.jobs.train.settings import TrainSettings
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.source import ImageSource
from autoscale.report.page import page
from autoscale.runs.weights import read_weights
from autoscale.training.loss.balance import Balance
from tests.conftest import Heard, draw_photos


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, a quarter as many red ones as of the other colours."""
    photos = draw_photos(tmp_path_factory.mktemp("photos") / "uneven", count=30)
    for picture in sorted((photos / "red").iterdir())[8:]:
        picture.unlink()
    return photos


@pytest.fixture
def design(tmp_path: Path) -> str:
    space = load_space("tiny").for_task(resolution=16, num_classes=3)
    path = tmp_path / "small.yaml"
    path.write_text(space.architecture_at((0,) * len(space.parameters)).to_yaml())
    return str(path)


def short(design: str, run: Path, photos: Path, **options: Any) -> Trained:
    asked: dict[str, Any] = {"epochs": 2, "batch_size": 8, "kernels": "none", **options}
    return train(design, run, data=str(photos), **asked)


def record_of(run: Path, step: str = "train") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / step / "settings.json").read_text())["settings"]
    return found


@pytest.mark.parametrize(
    ("asked", "smoothing"),
    [({"sampling": "balanced"}, 0.1), ({"loss": "focal:2", "class_weights": "balanced"}, 0.0),
     ({"loss": "logit-adjusted:0.5"}, 0.0)],
)  # fmt: skip
def test_a_broken_training_goes_on_to_the_same_bytes_as_it_was_begun(
    asked: dict[str, str], smoothing: float, design: str, uneven: Path, tmp_path: Path
) -> None:
    whole = short(design, tmp_path / "whole", uneven, **asked)
    record = record_of(tmp_path / "whole")
    assert asked.items() <= record.items()
    assert record["recipe"]["label_smoothing"] == smoothing
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in asked.items())
    assert str(read_weights(whole.weights).header.provenance).endswith(f"2 epochs, {told}")

    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        short(design, cut, uneven, **asked, listener=Heard(stop_after=1))
    name, value = next(iter(asked.items()))
    with pytest.raises(RunConflict, match=f"--{name} {value} there, asked for --{name}"):
        short(design, cut, uneven)
    found = short(design, cut, uneven, **asked)
    assert [e.loss for e in found.epochs] == [e.loss for e in whole.epochs]
    assert found.weights.read_bytes() == whole.weights.read_bytes()


def test_a_training_without_them_records_nothing_of_them(
    design: str, uneven: Path, tmp_path: Path
) -> None:
    found = short(design, tmp_path / "run", uneven, epochs=1)
    assert not set(Balance.__dataclass_fields__) & set(record_of(tmp_path / "run"))
    assert str(read_weights(found.weights).header.provenance).endswith("recipe full, 1 epochs")


def test_that_smoothing_is_left_out_is_said(design: str, uneven: Path, tmp_path: Path) -> None:
    hears = Heard()
    short(design, tmp_path / "run", uneven, epochs=1, loss="focal", listener=hears)
    said = "--loss focal:2 is of labels alone: the recipe's label smoothing of 0.1 is left out"
    assert said in hears.notices


@pytest.mark.parametrize("asked", [{"loss": "focal"}, {"sampling": "balanced"}])
def test_a_classifier_that_is_fitted_in_one_go_takes_none(asked: dict[str, str]) -> None:
    with pytest.raises(InvalidSetting, match=f"without epochs; leave out --{next(iter(asked))}"):
        TrainSettings(network="x", weights="y", freeze="features", **asked)  # type: ignore[arg-type]


def test_a_teacher_is_refused_beside_a_loss_of_labels_alone(
    design: str, uneven: Path, tmp_path: Path
) -> None:
    teacher = short(design, tmp_path / "teacher", uneven, epochs=1)
    for asked in ({"loss": "focal:2"}, {"sampling": "balanced"}):
        run = tmp_path / next(iter(asked))
        with pytest.raises(InvalidSetting, match=r"leave out one of --.* and --teacher"):
            short(design, run, uneven, teacher=str(teacher.weights), **asked)
        assert not run.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--loss", "hinge"], "no loss 'hinge'"),
        (["--sampling", "balanced", "--class-weights", "balanced"], "give one of them"),
        (["--sampling", "balanced", "--loss", "logit-adjusted"], "leave one of them out"),
    ],
)
def test_the_command_refuses_in_a_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["train", "small.yaml"], ["search-baseline"], ["grid"]):
        assert main([*command, *words]) != 0
        assert said in " ".join(capsys.readouterr().err.split())


def test_the_command_trains_with_them(
    design: str, uneven: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", design, "--data", str(uneven), "--epochs", "1", "--batch-size", "8",
             "--kernels", "none", "--run", str(tmp_path / "run"), "--loss", "focal:1.5",
             "--sampling", "balanced"]  # fmt: skip
    assert main(words) == 0
    capsys.readouterr()
    assert record_of(tmp_path / "run")["loss"] == "focal:1.5"
    assert record_of(tmp_path / "run")["sampling"] == "balanced"


def test_a_search_its_check_and_its_grid_keep_to_them(tmp_path: Path) -> None:
    run, asked = tmp_path / "run", Balance(loss="focal:2", sampling="balanced")
    options: dict[str, Any] = {**asked.record()}
    autoscale.search_baseline(
        run, data="synthetic", limit=48, space="tiny", resolution=16, sampler="random",
        kernels="none", trials=2, epochs=1, **options,
    )  # fmt: skip
    proxy = load_proxy(run)
    assert proxy.balance == asked
    assert proxy.recipe.label_smoothing == 0
    check_baseline(run, networks=2, seeds=2)
    with pytest.raises(InvalidSetting, match=f"the search in {run} has decided --loss"):
        grid_search(run, GridSettings(flops_budget="1.5x", loss="focal:2"))
    grid_search(run, flops_budget="1.5x", max_candidates=2, seeds=1)
    assert asked.record().items() <= record_of(run, "grid").items()
    told = page(load_run(run))
    assert "focal:2" in told


def test_workers_and_published_networks_beside_candidates_are_trained_alike() -> None:
    proxy = Proxy(
        source=ImageSource(data="synthetic", limit=48), recipe=recipe_named("proxy"),
        balance=Balance(loss="logit-adjusted:1"),
    )  # fmt: skip
    assert proxy.recipe.label_smoothing == 0
    assert proxy.for_worker().balance == proxy.balance
    record = {**proxy.record(), "name": "x"}
    assert Proxy.from_record(record, notes={"data": "synthetic"}).balance == proxy.balance


def test_a_family_that_is_trained_as_one_takes_them() -> None:
    settings = TrainFamilySettings(loss="focal", class_weights="balanced")
    largest = for_member(settings, "member.yaml", "photos")
    assert largest.balance == Balance(loss="focal:2", class_weights="balanced")
    with pytest.raises(InvalidSetting, match="exclude each other"):
        TrainFamilySettings(sampling="balanced", class_weights="balanced")
