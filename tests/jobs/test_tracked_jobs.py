"""What each job tells a tracker, and that it makes no difference to the job."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import autoscale
from autoscale.errors import StorageProblem
from autoscale.jobs.search.settings import SearchSettings
from autoscale.jobs.train.settings import TrainSettings
from autoscale.runs.job_file import read_job
from autoscale.tracking.tensorboard import Curves
from tests.conftest import Heard
from tests.jobs.test_curves import DESIGN, searched, trained, with_tensorboard
from tests.jobs.test_grown_family import family
from tests.tracking.fake import fake_library, told


def logged(log: Path) -> list[dict[str, Any]]:
    return [one["values"] for one in told(log, "log")]


def test_a_training_that_is_tracked_is_the_same_to_the_bit(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fake_library(tmp_path, monkeypatch)
    trained(tmp_path / "plain", photos)
    trained(tmp_path / "tracked", photos, track=["wandb"])
    plain, tracked = (tmp_path / name / "train" for name in ("plain", "tracked"))
    for name in ("best.safetensors", "result.json"):
        assert (plain / name).read_bytes() == (tracked / name).read_bytes()
    table = pd.read_csv(tracked / "metrics.csv")
    assert [one["step"] for one in told(log, "log")] == list(table.epoch)
    assert [one["loss"] for one in logged(log)] == pytest.approx(list(table.loss))
    assert [one["validation accuracy"] for one in logged(log)] == list(table.accuracy)
    assert [one["seconds"] for one in logged(log)] == pytest.approx(list(table.seconds.cumsum()))
    assert all(one["learning rate"] > 0 for one in logged(log))
    (begun,) = told(log, "init")
    assert begun["config"]["epochs"] == 4
    (answer,) = [one["values"] for one in told(log, "answer")]
    result = json.loads((tracked / "result.json").read_text())
    assert answer["answer/validation accuracy"] == result["validation_accuracy"]
    assert answer["answer/multiply-adds"] == result["macs"]


def test_a_training_that_is_broken_and_resumed_is_one_run(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fake_library(tmp_path, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "run", photos, track=["wandb"], listener=Heard(stop_after=2))
    trained(tmp_path / "run", photos, track=["wandb"])
    assert [one["id"] for one in told(log, "init")] == [None, "first"]
    assert [one["step"] for one in told(log, "log")] == [1, 2, 3, 4]
    assert [one["code"] for one in told(log, "finish")] == [1, 0]


def test_a_training_goes_on_when_its_tracker_fails(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_library(tmp_path, monkeypatch, "raises")
    heard = Heard()
    trained(tmp_path / "run", photos, track=["wandb"], listener=heard)
    assert sum("wandb fails (no account)" in notice for notice in heard.notices) == 1
    assert (tmp_path / "run" / "train" / "result.json").exists()


@with_tensorboard
def test_a_training_goes_on_when_no_curve_can_be_written(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(curves: Curves) -> None:
        raise StorageProblem("the disk is full")

    monkeypatch.setattr(Curves, "_catch_up", full)
    heard = Heard()
    trained(tmp_path / "run", photos, track=["tensorboard"], listener=heard)
    assert sum("tensorboard fails (the disk is full)" in one for one in heard.notices) == 1
    assert (tmp_path / "run" / "train" / "result.json").exists()


def test_the_trainings_of_search_check_and_grid_are_trials_with_their_choices(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fake_library(tmp_path, monkeypatch)
    run = tmp_path / "run"
    found = searched(run, photos, trials=2, track=["wandb"])
    first = logged(log)
    for trial, values in zip(found.trials, first, strict=True):
        assert values["trial/accuracy"] == trial.score.accuracy
        assert values["trial/multiply-adds"] == trial.score.macs
        chosen = {name: values[f"choices/{name}"] for name in trial.params}
        assert chosen == dict(trial.params)
    check = autoscale.check_baseline(run, networks=2, seeds=2, track=["wandb"])
    second = logged(log)[2:]
    assert [one["trial/accuracy"] for one in second] == [*check.baseline, *check.random]
    assert second[1]["choices/network"] == "baseline, seed 2"
    asked = {"max_candidates": 2, "rivals": False, "tolerance": 0.5, "race": False}
    autoscale.grid_search(run, seeds=1, **asked)  # its trainings are told later
    grid = autoscale.grid_search(run, seeds=2, track=["wandb"], **asked)
    third = logged(log)[6:]
    assert len(third) == len(grid.observations) == 4
    assert [one["choices/seed"] for one in third[:2]] == [0, 0]
    scores = {
        (*asdict(grid.field[one.candidate].coefficients).values(), one.seed): one.score
        for one in grid.observations
    }
    for values in third:
        own = [values[f"choices/{name}"] for name in ("alpha", "beta", "gamma", "seed")]
        assert values["trial/accuracy"] == scores[tuple(own)]
    assert [one["name"] for one in told(log, "init")] == ["run/search", "run/check", "run/grid"]
    answers = [one["values"] for one in told(log, "answer")]
    assert answers[0]["answer/trial"] == found.trial.number
    assert answers[1]["answer/verdict"] == check.verdict
    assert answers[2]["answer/alpha"] == grid.coefficients.alpha


@pytest.mark.parametrize("grow", [False, True])
def test_a_family_tells_of_its_members(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grow: bool
) -> None:
    log = fake_library(tmp_path, monkeypatch)
    run = family(tmp_path / "run", phi="0..1")
    found = autoscale.train_family(
        run, data=str(photos), epochs=1, batch_size=8, kernels="torch", recipe="proxy",
        grow=grow, track=["wandb"],
    )  # fmt: skip
    answers = [one["values"] for one in told(log, "answer")]
    whole = next(one for one in answers if "answer/phi-0/validation accuracy" in one)
    for member in found.members:
        told_of = whole[f"answer/{member.name}/validation accuracy"]
        assert told_of == member.validation_accuracy
    steps = ["run/grown/phi-0", "run/grown/phi-1", "run/grown"] if grow else ["run/nested"]
    assert [one["name"] for one in told(log, "init")] == steps
    assert len(logged(log)) == (2 if grow else 1)


def test_the_older_spelling_is_the_same_setting(tmp_path: Path) -> None:
    for kind, needed in ((TrainSettings, {"network": "efficientnet-b0"}), (SearchSettings, {})):
        old = kind(tensorboard=True, **needed)
        assert old == kind(track=["tensorboard"], **needed)
        assert old.plain()["track"] == ["tensorboard"]
        assert "tensorboard" not in old.plain()
    job = tmp_path / "job.yaml"
    job.write_text("format: 1\ncommand: train\nnetwork: efficientnet-b0\ntensorboard: true\n")
    assert TrainSettings(**read_job(job, TrainSettings).settings).track == ("tensorboard",)


@pytest.mark.slow
def test_of_two_processes_the_first_alone_tells(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fake_library(tmp_path, monkeypatch)
    (tmp_path / "small.yaml").write_text(DESIGN)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        "--master-addr", "127.0.0.1", "--master-port", "29674", "-m", "--", "autoscale",
        "train", str(tmp_path / "small.yaml"), "--data", str(photos), "--batch-size", "8",
        "--epochs", "2", "--kernels", "torch", "--device", "cpu", "--track", "wandb",
        "--run", str(tmp_path / "run"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert len(told(log, "init")) == 1
    assert [one["step"] for one in told(log, "log")] == [1, 2]
