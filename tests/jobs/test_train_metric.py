"""`train --metric` and `--class-weights`: which epoch is best, and what is kept of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from autoscale.cli.app import main
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.search.spaces import load_space
from autoscale.jobs.train.job import train
from autoscale.jobs.train.result import Trained
from autoscale.jobs.train.settings import TrainSettings
from autoscale.models.inference.evaluation import evaluate_model
from autoscale.runs.checkpoint import read_snapshot
from autoscale.runs.contents import TrainingResult
from autoscale.runs.weights import read_weights
from tests.conftest import Heard, draw_photos

CLASSES = ("blue", "green", "red")


@pytest.fixture
def uneven(tmp_path: Path) -> Path:
    """Photographs, half as many red ones as of the other colours."""
    photos = draw_photos(tmp_path / "uneven", count=30)
    for picture in sorted((photos / "red").iterdir())[15:]:
        picture.unlink()
    return photos


@pytest.fixture
def design(tmp_path: Path) -> str:
    space = load_space("tiny").for_task(resolution=16, num_classes=3)
    path = tmp_path / "small.yaml"
    path.write_text(space.architecture_at((0,) * len(space.parameters)).to_yaml())
    return str(path)


def short(design: str, run: Path, photos: Path, **options: object) -> Trained:
    asked: dict[str, object] = {"epochs": 3, "batch_size": 8, "kernels": "none"}
    return train(design, run, data=str(photos), **(asked | options))  # type: ignore[arg-type]


def test_the_best_epoch_is_that_of_the_metric_and_its_weights_give_the_score_again(
    design: str, uneven: Path, tmp_path: Path
) -> None:
    found = short(design, tmp_path / "run", uneven, metric="log-loss", recipe="proxy")
    scores = [epoch.score for epoch in found.epochs if epoch.score is not None]
    assert len(scores) == 3
    assert found.best.score == min(scores)

    for split, score in (("validation", found.best.score), ("test", found.test_score)):
        seen = evaluate_model(str(found.weights), str(uneven), split=split, metrics=("log-loss",))
        assert seen.metrics[0].value == pytest.approx(score, rel=1e-5)
        assert seen.loss == pytest.approx(score, rel=1e-5)


def test_the_run_says_by_what_it_was_decided(design: str, uneven: Path, tmp_path: Path) -> None:
    found = short(design, tmp_path / "run", uneven, metric="balanced-accuracy")
    folder = tmp_path / "run" / "train"
    result = json.loads((folder / "result.json").read_text())
    assert result["metric"] == "balanced-accuracy"
    assert result["validation_score"] == found.best.score
    assert result["test_score"] == found.test_score
    assert TrainingResult.from_dict(result) == found.result
    record = json.loads((folder / "settings.json").read_text())
    assert record["settings"]["metric"] == {"name": "balanced-accuracy"}
    history = pd.read_csv(folder / "metrics.csv")
    assert history.balanced_accuracy.tolist() == pytest.approx([e.score for e in found.epochs])
    header = read_weights(found.weights).header
    assert (header.metric, header.score) == ("balanced-accuracy", found.best.score)
    assert header.accuracy == found.best.accuracy


def test_accuracy_leaves_what_it_always_left(design: str, uneven: Path, tmp_path: Path) -> None:
    found = short(design, tmp_path / "run", uneven, epochs=1)
    folder = tmp_path / "run" / "train"
    names = ["epoch", "loss", "accuracy", "seconds", "evaluation_seconds"]
    assert pd.read_csv(folder / "metrics.csv").columns.tolist() == names
    assert "metric" not in json.loads((folder / "settings.json").read_text())["settings"]
    assert not {"metric", "validation_score"} & set(
        json.loads((folder / "result.json").read_text())
    )
    journal = json.loads((folder / "epochs.jsonl").read_text())
    assert list(journal) == ["number", "loss", "accuracy", "seconds", "evaluation_seconds"]
    assert found.metric is None
    assert found.best.score is None


def test_the_metric_changes_no_step_of_a_training(
    design: str, uneven: Path, tmp_path: Path
) -> None:
    plain = short(design, tmp_path / "plain", uneven, epochs=2)
    other = short(design, tmp_path / "other", uneven, epochs=2, metric="auroc")
    assert [(e.loss, e.accuracy) for e in plain.epochs] == [
        (e.loss, e.accuracy) for e in other.epochs
    ]
    one, two = (
        read_snapshot(run / "train" / "last.safetensors")
        for run in (tmp_path / "plain", tmp_path / "other")
    )
    assert one is not None
    assert two is not None
    assert all(torch.equal(one.tensors[name], two.tensors[name]) for name in one.tensors)


def test_an_interrupted_training_goes_on_with_its_scores(
    design: str, uneven: Path, tmp_path: Path
) -> None:
    whole = short(design, tmp_path / "whole", uneven, metric="macro-f1")
    with pytest.raises(KeyboardInterrupt):
        short(design, tmp_path / "cut", uneven, metric="macro-f1", listener=Heard(stop_after=2))
    found = short(design, tmp_path / "cut", uneven, metric="macro-f1")
    assert [e.score for e in found.epochs] == [e.score for e in whole.epochs]
    assert found.best.number == whole.best.number
    assert found.test_score == whole.test_score


def test_another_metric_than_it_was_begun_with_is_refused(
    design: str, uneven: Path, tmp_path: Path
) -> None:
    short(design, tmp_path / "run", uneven, epochs=1, metric="auroc")
    with pytest.raises(RunConflict, match="--metric auroc there, asked for --metric macro-f1"):
        short(design, tmp_path / "run", uneven, epochs=1, metric="macro-f1")
    with pytest.raises(RunConflict, match="--metric auroc there, asked for --metric accuracy"):
        short(design, tmp_path / "run", uneven, epochs=1)


def test_other_costs_in_the_file_are_other_settings(
    design: str, uneven: Path, tmp_path: Path
) -> None:
    file = tmp_path / "costs.csv"
    file.write_text("truth,blue,green,red\nblue,0,1,1\ngreen,1,0,1\nred,9,9,0\n")
    found = short(design, tmp_path / "run", uneven, epochs=1, metric=f"cost:{file}")
    assert found.metric is not None
    assert found.metric.label == "expected cost"
    assert found.best.score is not None
    assert short(design, tmp_path / "run", uneven, epochs=1, metric=f"cost:{file}") == found
    file.write_text("truth,blue,green,red\nblue,0,1,1\ngreen,1,0,1\nred,2,2,0\n")
    with pytest.raises(RunConflict, match="begun with other settings"):
        short(design, tmp_path / "run", uneven, epochs=1, metric=f"cost:{file}")


def test_patience_waits_for_the_metric(design: str, uneven: Path, tmp_path: Path) -> None:
    found = short(
        design, tmp_path / "run", uneven, epochs=6, patience=1, metric="recall:red",
        learning_rate=1e-6,
    )  # fmt: skip
    scores = [epoch.score or 0.0 for epoch in found.epochs]
    *before, last = scores
    assert all(a < b for a, b in pairwise(before))  # else it had ended earlier
    assert len(scores) == 6 or last <= max(before)
    assert found.best.number == 1 + int(np.argmax(scores))


def test_the_classifier_alone_is_judged_by_it_too(
    design: str, uneven: Path, tmp_path: Path
) -> None:
    begun = short(design, tmp_path / "begun", uneven, epochs=1)
    found = short(
        design, tmp_path / "run", uneven, epochs=None, batch_size=None, metric="auroc",
        weights=str(begun.weights), freeze="features",
    )  # fmt: skip
    assert found.metric is not None
    assert found.best.score is not None
    assert 0 <= found.best.score <= 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("recall:pink", "there is no class 'pink'; the classes are blue, green, red"),
        ("top-3", "top-3 of 3 classes is always right"),
        ("auroc", "auroc needs 2 validation images of each class; there is 1 of red"),
        ("f2", "no metric 'f2'"),
    ],
)
def test_what_says_nothing_of_these_images_is_refused_before_any_training(
    design: str, photos: Path, tmp_path: Path, name: str, said: str
) -> None:
    for picture in sorted((photos / "red").iterdir())[4:]:
        picture.unlink()
    with pytest.raises(InvalidSetting, match=said):
        short(design, tmp_path / "run", photos, metric=name)
    assert not (tmp_path / "run" / "train" / "epochs.jsonl").exists()


def test_the_command_prints_what_decided(
    design: str, uneven: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        "train", design, "--data", str(uneven), "--epochs", "1", "--batch-size", "8",
        "--kernels", "none", "--run", str(tmp_path / "run"), "--metric", "balanced-accuracy",
    ]  # fmt: skip
    assert main(asked) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Best after epoch 1: balanced accuracy 0." in said
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metric"] == "balanced-accuracy"


def test_what_learned_nothing_is_told_by_the_metric(
    design: str, uneven: Path, tmp_path: Path
) -> None:
    hears = Heard()
    short(
        design, tmp_path / "run", uneven, epochs=1, metric="balanced-accuracy",
        learning_rate=1e-9, recipe="sgd", listener=hears,
    )  # fmt: skip
    warned = [line for line in hears.notices if "nothing may have been learned" in line]
    assert len(warned) == 1
    assert "validation balanced accuracy" in warned[0]
    assert "which giving every image the same answer reaches" in warned[0]


def test_class_weights_are_on_record_and_a_broken_training_keeps_them(
    design: str, uneven: Path, tmp_path: Path
) -> None:
    whole = short(design, tmp_path / "whole", uneven, class_weights="balanced")
    record = json.loads((tmp_path / "whole/train/settings.json").read_text())["settings"]
    assert record["class_weights"] == "balanced"
    with pytest.raises(KeyboardInterrupt):
        short(
            design, tmp_path / "cut", uneven, class_weights="balanced",
            listener=Heard(stop_after=1),
        )  # fmt: skip
    said = "--class-weights balanced there, asked for --class-weights none"
    with pytest.raises(RunConflict, match=said):
        short(design, tmp_path / "cut", uneven)
    found = short(design, tmp_path / "cut", uneven, class_weights="balanced")
    assert [e.loss for e in found.epochs] == [e.loss for e in whole.epochs]
    plain = short(design, tmp_path / "plain", uneven)
    assert [e.loss for e in plain.epochs] != [e.loss for e in whole.epochs]
    record = json.loads((tmp_path / "plain/train/settings.json").read_text())["settings"]
    assert "class_weights" not in record


def test_a_classifier_that_is_fitted_in_one_go_takes_no_class_weights() -> None:
    with pytest.raises(InvalidSetting, match="without epochs; leave out --class-weights"):
        TrainSettings(network="x", weights="y", freeze="features", class_weights="balanced")


@pytest.mark.slow
def test_two_processes_score_what_one_does(design: str, uneven: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        "--master-addr", "127.0.0.1", "--master-port", "29677", "-m", "--",
        "autoscale", "train", design, "--data", str(uneven), "--epochs", "2", "--batch-size", "8",
        "--kernels", "none", "--device", "cpu", "--json", "--metric", "log-loss",
        "--class-weights", "balanced", "--run", str(tmp_path / "run"),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for split, score in (
        ("validation", told["validation_score"]),
        ("test", told["test_score"]),
    ):
        seen = evaluate_model(told["weights"], str(uneven), split=split, metrics=("log-loss",))
        assert seen.metrics[0].value == pytest.approx(score, rel=1e-5)
