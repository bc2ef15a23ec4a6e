"""`train --folds`: every image answered by a network that has not seen it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoscale.cli.app import main
from autoscale.datasets.data import load
from autoscale.datasets.pictures.folds import Fold
from autoscale.datasets.pictures.selection import Selection
from autoscale.errors import DataProblem, InvalidSetting, RunConflict
from autoscale.inspection.status import run_status
from autoscale.jobs.folds.job import train_folds
from autoscale.jobs.folds.result import CrossValidated
from autoscale.jobs.search.spaces import load_space
from autoscale.jobs.train.job import train
from autoscale.models.inference.evaluation import evaluate_model
from autoscale.models.load import load_model
from autoscale.training.evaluation.evaluation_set import EvaluationSet
from autoscale.training.failures import OutOfTime
from tests.conftest import Heard, draw_photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_photos(tmp_path_factory.mktemp("photos") / "folded", count=12)


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> str:
    space = load_space("tiny").for_task(resolution=16, num_classes=3)
    path = tmp_path_factory.mktemp("design") / "small.yaml"
    path.write_text(space.architecture_at((0,) * len(space.parameters)).to_yaml())
    return str(path)


def folded(design: str, run: Path, photos: Path, **options: Any) -> CrossValidated:
    asked: dict[str, Any] = {"folds": 3, "epochs": 2, "batch_size": 8, "kernels": "none"}
    return train_folds(design, run, data=str(photos), **(asked | options))


@pytest.fixture(scope="module")
def whole(design: str, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> CrossValidated:
    run = tmp_path_factory.mktemp("runs") / "whole"
    return folded(design, run, photos, metric="macro-f1")


def table(found: CrossValidated) -> list[dict[str, str]]:
    return list(csv.DictReader(found.answers.read_text().splitlines()))


def contents(folds: Path) -> dict[str, bytes]:
    """What must be the same bytes: all but times and the places of files."""
    names = ["result.json", "answers.csv"]
    names += [f"fold-{n}/{file}" for n in (1, 2, 3) for file in ("result.json", "best.safetensors")]
    return {name: (folds / name).read_bytes() for name in names}


def test_each_image_is_answered_once_by_the_network_without_its_fold(
    whole: CrossValidated, photos: Path
) -> None:
    rows = table(whole)
    assert [row["image"] for row in rows] == sorted(
        path.relative_to(photos).as_posix() for path in photos.rglob("*.png")
    )
    for number, weights in enumerate(whole.weights, start=1):
        images = load(str(photos), size=16, selection=Selection(fold=Fold(number=number, of=3)))
        model = load_model(str(weights))
        assert images.test is not None
        assert images.fold is not None
        assert set(model.header.seen or ()) == set(images.sketch)
        assert not set(model.header.seen or ()) & images.held_out
        assert f"without fold {number} of 3" in (model.header.provenance or "")
        logits = EvaluationSet(images=images.test, resolution=16).logits(model.network)
        told = dict(zip(images.fold.names, logits.argmax(axis=1), strict=True))
        own = [row for row in rows if row["fold"] == str(number)]
        assert {row["image"]: row["answer"] for row in own} == {
            name: images.classes[answer] for name, answer in told.items()
        }
    assert all(row["class"] == row["image"].partition("/")[0] for row in rows)
    right = np.array([row["class"] == row["answer"] for row in rows])
    assert whole.accuracy.value == right.mean()
    assert whole.images == 36


def test_the_result_agrees_with_each_training(whole: CrossValidated) -> None:
    folder = whole.answers.parent
    told = json.loads((folder / "result.json").read_text())
    each = [json.loads((folder / f"fold-{n}/result.json").read_text()) for n in (1, 2, 3)]
    assert [fold["accuracy"] for fold in told["folds"]] == [one["test_accuracy"] for one in each]
    assert told["metric"]["of_folds"] == pytest.approx([one["test_score"] for one in each])
    assert told["metric"]["metric"] == "macro-f1"
    assert [fold["best_epoch"] for fold in told["folds"]] == [one["best_epoch"] for one in each]
    low, high = told["metric"]["interval"]
    assert low <= told["metric"]["value"] <= high


def test_the_weights_of_a_fold_are_said_to_have_seen_a_sources_images(
    whole: CrossValidated, photos: Path
) -> None:
    found = evaluate_model(load_model(str(whole.weights[0])), str(photos))
    assert any("flatters" in notice for notice in found.notices)


@pytest.mark.parametrize("stop", [1, 3, 4])  # in a fold, in the next, between two
def test_what_was_interrupted_goes_on_to_the_same_bytes(
    design: str, photos: Path, tmp_path: Path, whole: CrossValidated, stop: int
) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        folded(design, run, photos, metric="macro-f1", listener=Heard(stop_after=stop))
    (step,) = run_status(run).steps
    assert (step.step, step.state, step.done, step.asked) == ("folds", "unfinished", stop, 6)
    assert step.facts["folds"] == 3
    with pytest.raises(RunConflict, match="--folds 3 there, asked for --folds 4"):
        folded(design, run, photos, metric="macro-f1", folds=4)
    heard = Heard()
    found = folded(design, run, photos, metric="macro-f1", listener=heard)
    assert contents(run / "folds") == contents(whole.answers.parent)
    assert len(heard.done) == 6 - stop  # what is finished is not trained again
    assert found.accuracy == whole.accuracy
    (step,) = run_status(run).steps
    assert (step.state, step.seconds_left, step.facts["folds_finished"]) == ("finished", 0.0, 3)
    assert step.commands[0].startswith("autoscale train --run")
    assert "--folds 3" in step.commands[0]


def test_progress_is_of_all_folds_together(design: str, photos: Path, tmp_path: Path) -> None:
    heard = Heard()
    folded(design, tmp_path / "run", photos, listener=heard)
    assert [(one.done, one.total) for one in heard.done] == [(n, 6) for n in range(1, 7)]
    left = [one.seconds_left or 0.0 for one in heard.done]
    assert min(left[:-1]) > 0.0 == left[-1]
    assert heard.done[2].note.startswith("fold 2 of 3, epoch 1")
    said = [notice for notice in heard.notices if "3 classes" in notice]
    assert len(said) == 1  # the same of each fold


def test_groups_stay_whole_and_the_interval_is_over_them(
    design: str, photos: Path, tmp_path: Path
) -> None:
    found = folded(design, tmp_path / "run", photos, epochs=1, group_by="path:(./?[0-9]+)\\.")
    assert found.accuracy.by_group
    rows = table(found)
    groups = {(row["image"][-8:-4], row["fold"]) for row in rows}
    assert len(groups) == len({group for group, _ in groups})


def test_test_images_of_the_source_are_left_aside(design: str, tmp_path: Path) -> None:
    source = draw_photos(tmp_path / "own" / "train", count=8).parent
    draw_photos(source / "val", count=3, seed=1)
    draw_photos(source / "test", count=3, seed=2)
    heard = Heard()
    found = folded(design, tmp_path / "run", source, folds=2, epochs=1, listener=heard)
    assert found.images == 24
    assert any("own 9 test images are left aside" in notice for notice in heard.notices)
    assert any("own 9 validation images are those of every" in text for text in heard.notices)


def test_weights_that_have_seen_the_images_are_told(
    design: str, photos: Path, tmp_path: Path, whole: CrossValidated
) -> None:
    heard = Heard()
    folded(
        design, tmp_path / "run", photos, weights=str(whole.weights[0]), freeze="features",
        epochs=None, batch_size=None, listener=heard,
    )  # fmt: skip
    told = [notice for notice in heard.notices if "that --weights has seen" in notice]
    assert [notice[:11] for notice in told] == ["fold 2 of 3", "fold 3 of 3"]  # never its own


def test_a_teacher_that_has_seen_the_images_is_told(
    design: str, photos: Path, tmp_path: Path, whole: CrossValidated
) -> None:
    heard = Heard()
    folded(
        design, tmp_path / "run", photos, teacher=str(whole.weights[0]), teacher_crops=1,
        recipe="proxy", epochs=1, listener=heard,
    )  # fmt: skip
    told = [notice for notice in heard.notices if "that --teacher has seen" in notice]
    assert [notice[:11] for notice in told] == ["fold 2 of 3", "fold 3 of 3"]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"folds": 1}, InvalidSetting, "folds must be at least 2, got 1"),
        ({"hours": 1}, InvalidSetting, "--folds 3 and --hours 1.* exclude each other"),
        ({"folds": 13}, DataProblem, "class 'blue' .* 12 images, and --folds 13 .* or fewer"),
        ({"limit": 2}, InvalidSetting, "limit must be at least 1 image for each of 3"),
        ({"folds": 12, "metric": "auroc"}, InvalidSetting, "auroc needs 2 test images"),
        ({"folds": None}, InvalidSetting, "folds is missing"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_trained(
    design: str, photos: Path, tmp_path: Path, options: dict[str, Any],
    error: type[Exception], said: str,
) -> None:  # fmt: skip
    with pytest.raises(error, match=said):
        folded(design, tmp_path / "run", photos, **options)
    assert not [*tmp_path.rglob("*.jsonl")]
    assert not [*tmp_path.rglob("settings.json")]


def test_a_metric_that_says_nothing_of_a_later_fold_is_refused_at_once(
    design: str, tmp_path: Path
) -> None:
    """Folds are filled from the first, so the last is the one that lacks an image."""
    source = draw_photos(tmp_path / "uneven", count=11)
    heard = Heard()
    with pytest.raises(InvalidSetting, match=r"auroc needs 2 fold-\d+ own images of each class"):
        folded(design, tmp_path / "run", source, folds=6, metric="auroc", listener=heard)
    assert heard.done == []


def test_several_processes_are_refused(
    design: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InvalidSetting, match=r"--folds 3 .* torchrun started 2"):
        folded(design, tmp_path / "run", photos)


def test_time_that_is_over_leaves_what_is_finished(
    design: str, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutOfTime):
        folded(design, tmp_path / "run", photos, time_limit=1e-6)
    with pytest.raises(InvalidSetting, match="call train_folds"):
        train(design, tmp_path / "run", data=str(photos), folds=3)


def test_the_command_shows_the_folds(
    design: str, photos: Path, tmp_path: Path, whole: CrossValidated,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = tmp_path / "run"
    shutil.copytree(whole.answers.parent, run / "folds")
    command = ["train", design, "--data", str(photos), "--folds", "3", "--epochs", "2"]
    command += ["--batch-size", "8", "--kernels", "none", "--metric", "macro-f1"]
    assert main([*command, "--run", str(run), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["accuracy"] == whole.accuracy.to_dict()
    assert main([*command, "--run", str(run)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "36 images answered once each. Macro-F1" in shown
    assert main(["status", str(run)]) == 0
    assert "folds: 3 of 3 folds finished" in capsys.readouterr().out
    assert main(["report", "--run", str(run)]) != 0
    assert "nothing but folds" in capsys.readouterr().err
