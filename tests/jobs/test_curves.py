"""What TensorBoard reads of trainings and searches, by its own reader."""

import importlib.util
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from autoscale.cli.app import main
from autoscale.distribution import install
from autoscale.jobs.search.job import search_baseline
from autoscale.jobs.train.job import train
from autoscale.tracking.point import Point
from autoscale.tracking.tensorboard import Curves
from autoscale.training.recipe import RECIPES
from tests.conftest import Heard

DESIGN = """\
resolution: 16
stem: {width: 8, stride: 1}
stages:
  - {block: mbconv, width: 16, depth: 1, expand_ratio: 2, stride: 2}
head: {width: 16}
num_classes: 3
"""
with_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None,
    reason="the extra tensorboard is not installed",
)


def events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found = events(folder)
    tags = found.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in tags}


def trained(folder: Path, photos: Path, **options: Any) -> None:
    path = folder.parent / "small.yaml"
    path.write_text(DESIGN)
    asked = {"epochs": 4, "batch_size": 8, "kernels": "torch", "recipe": "small-images"} | options
    train(str(path), folder, data=str(photos), **asked)


def searched(folder: Path, photos: Path, **options: Any) -> Any:
    asked = {"trials": 4, "epochs": 1, "kernels": "none", "sampler": "random"} | options
    return search_baseline(folder, data=str(photos), space="tiny", resolution=16, **asked)


@with_tensorboard
def test_the_curves_of_a_training_are_the_columns_of_its_metrics(
    photos: Path, tmp_path: Path
) -> None:
    trained(tmp_path / "run", photos, tensorboard=True)
    found = curves(tmp_path / "run" / "train")
    table = pd.read_csv(tmp_path / "run" / "train" / "metrics.csv")
    assert {step for curve in found.values() for step, _ in curve} == set(table.epoch)
    for tag, column in (("loss", "loss"), ("validation accuracy", "accuracy")):
        assert [value for _, value in found[tag]] == pytest.approx(list(table[column]))
    assert [value for _, value in found["resolution"]] == [8, 12, 12, 16]
    recipe = RECIPES["small-images"]
    rates = [value for _, value in found["learning rate"]]
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < recipe.learning_rate
    speed = [value for _, value in found["images per second"]]
    assert speed[0] / speed[1] == pytest.approx(
        (table.seconds[1] - table.evaluation_seconds[1])
        / (table.seconds[0] - table.evaluation_seconds[0])
    )


@with_tensorboard
def test_a_resumed_training_has_the_curves_of_the_unbroken_one(
    photos: Path, tmp_path: Path
) -> None:
    trained(tmp_path / "whole", photos, tensorboard=True)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "broken", photos, tensorboard=True, listener=Heard(stop_after=2))
    (file,) = (tmp_path / "broken" / "train").glob("events.*")
    file.write_bytes(file.read_bytes()[:-7])  # killed while it wrote
    trained(tmp_path / "broken", photos, tensorboard=True)
    whole, broken = (curves(tmp_path / name / "train") for name in ("whole", "broken"))
    for found in (whole, broken):
        del found["images per second"]  # is of the machine
    assert broken == whole
    assert len(list((tmp_path / "broken" / "train").glob("events.*"))) == 1


@with_tensorboard
def test_a_finished_training_gets_its_curves_later(photos: Path, tmp_path: Path) -> None:
    trained(tmp_path / "run", photos)
    assert not list((tmp_path / "run" / "train").glob("events.*"))
    trained(tmp_path / "run", photos, tensorboard=True)
    assert len(curves(tmp_path / "run" / "train")["loss"]) == 4


@with_tensorboard
def test_a_file_that_holds_something_else_is_written_anew(tmp_path: Path) -> None:
    points = [Point(step=n, seconds=n, values={"a": n / 2}) for n in range(5)]
    written = Curves(tmp_path, points[:3], begun=1000)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"\0" * 300)
    written.add(points[3])
    assert Curves(tmp_path, points).begun == 1000
    assert curves(tmp_path) == {"a": [(n, n / 2) for n in range(5)]}


@with_tensorboard
def test_the_curves_of_a_search_are_its_trials_and_go_on_when_it_does(
    photos: Path, tmp_path: Path
) -> None:
    found = searched(tmp_path / "run", photos, tensorboard=True)
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "broken", photos, tensorboard=True, listener=Heard(stop_after=2))
    searched(tmp_path / "broken", photos, tensorboard=True)
    drawn = curves(tmp_path / "run" / "search")
    assert curves(tmp_path / "broken" / "search") == drawn
    finished = [trial for trial in found.trials if trial.status == "finished"]
    assert [step for step, _ in drawn["trial/accuracy"]] == [t.number for t in finished]
    assert [value for _, value in drawn["trial/multiply-adds"]] == [t.score.macs for t in finished]
    volumes = [value for _, value in drawn["front/hypervolume"]]
    assert volumes == sorted(volumes)
    assert 0 < volumes[-1] < 1


@with_tensorboard
def test_each_finished_trial_has_its_choices_as_hyperparameters(
    photos: Path, tmp_path: Path
) -> None:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    found = searched(tmp_path / "run", photos, trials=2, tensorboard=True)
    for trial in found.trials:
        read = events(tmp_path / "run" / "search" / "trials" / f"{trial.number:05}")
        content = read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        chosen = HParamsPluginData.FromString(content).session_start_info.hparams
        assert set(chosen) == set(trial.params)
        ((name, value),) = [(n, v) for n, v in trial.params.items() if isinstance(v, int)][:1]
        assert chosen[name].number_value == value
        assert read.Scalars("trial/accuracy")[0].value == pytest.approx(trial.score.accuracy)


@pytest.mark.parametrize("command", [["train", "efficientnet-b0"], ["search-baseline"]])
def test_without_the_package_a_line_says_how_to_get_it(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("autoscale.distribution.find_spec", lambda name: None)
    assert main([*command, "--run", str(tmp_path / "r"), "--tensorboard"]) == 2
    assert capsys.readouterr().err == (
        f"autoscale: --track tensorboard needs tensorboard: {install('tensorboard')}\n"
    )
    assert not (tmp_path / "r").exists()
