"""Trainings by worker processes: the same scores, the same refusals, nothing left behind."""

import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoscale.cli.app import main
from autoscale.design.architecture import Architecture
from autoscale.errors import DataProblem, EvaluationFailed, InvalidSetting, WorkersUnavailable
from autoscale.jobs.check import check_baseline
from autoscale.jobs.grid.job import grid_search
from autoscale.jobs.grid.settings import GridSettings
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.groups.workers import WorkerSettings
from autoscale.jobs.search.job import search_baseline
from autoscale.jobs.workers.pool import TrainingRequest, worker_pool
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.queue import Job, Trainings
from autoscale.jobs.workers.source import ImageSource
from autoscale.listener import Silent
from autoscale.runs.at_work import at_work
from autoscale.runs.records import Outcome, outcomes_from_journal
from autoscale.runs.store import Journal, StepFolder
from autoscale.scaling.scalable import Network
from tests.conftest import Heard, draw_photos

SMALL = """\
resolution: 16
stem: {width: 8, stride: 1}
stages:
  - {block: mbconv, width: 16, depth: 1, expand_ratio: 2, stride: 2}
num_classes: 10
"""

#: Networks that misbehave, and only where worker processes train them.
OWN = """\
import multiprocessing, os, signal, time
import torch
from torch import nn


class Greedy(nn.Sequential):
    def forward(self, images):
        return super().forward(images) + torch.empty(2**50)


def build(depth, width, resolution, num_classes=10):
    if multiprocessing.parent_process() is not None:
        if width > 1.35:
            os.kill(os.getpid(), signal.SIGKILL)
        if width > 1.25:
            time.sleep(600)
    greedy = multiprocessing.parent_process() is not None and 1.15 < width < 1.25
    channels = round(16 * width)
    return (Greedy if greedy else nn.Sequential)(
        nn.Conv2d(3, channels, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(channels, num_classes),
    )
"""

TWO = WorkerSettings(workers=2)


def search(run: Path, photos: Path, **options: Any) -> Any:
    settings = {"data": str(photos), "space": "tiny", "resolution": 16, "epochs": 1} | options
    return search_baseline(run, sampler="random", kernels="none", **settings)


def small_grid(base: Path, photos: Path) -> GridSettings:
    return GridSettings(
        tolerance=0.2, step=0.1, max_candidates=4, seeds=2, rivals=False,
        baseline=str(base), rounding="nearest,divisor=4", data=str(photos), epochs=1,
    )  # fmt: skip


def scores(found: Any) -> dict[str, float]:
    return {
        json.dumps(dict(t.params), sort_keys=True): t.score.accuracy
        for t in found.trials
        if t.trained
    }


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"retries": -1}, "retries must be at least 0, got -1"),
        ({"trial_timeout": 0.0}, "trial_timeout must be above 0, got 0"),
        ({"trial_timeout": float("nan")}, "trial_timeout must be a finite number, got nan"),
        ({"engine": "slurm"}, "no engine 'slurm'; choose from local, ray"),
        ({"address": "auto"}, "--address auto needs --engine ray"),
        ({"gpus_per_trial": 0.5}, "--gpus-per-trial 0.5 needs --engine ray"),
        ({"engine": "ray", "cpus_per_trial": 0.0}, "cpus_per_trial must be above 0, got 0"),
        ({"engine": "ray", "gpus_per_trial": -1.0}, "gpus_per_trial must be at least 0, got -1"),
    ],
)
def test_workers_that_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        WorkerSettings(**wrong)


def test_the_command_line_refuses_it_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("search-baseline", "grid", "check-baseline"):
        assert main([command, "--run", str(tmp_path / "r"), "--workers", "0"]) == 2
        assert "workers must be at least 1, got 0" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs and a search of two workers in `two`."""
    folder = tmp_path_factory.mktemp("shared")
    search(folder / "two", draw_photos(folder / "photos"), trials=4, confirm=1, workers=2)
    return folder


def test_two_workers_give_the_scores_of_one_process(shared: Path, tmp_path: Path) -> None:
    alone = search(tmp_path / "one", shared / "photos", trials=4, confirm=1)
    both = search(shared / "two", shared / "photos", trials=4, confirm=1)  # all is there already
    assert scores(both) == scores(alone)
    assert len(both.accuracies) == len(alone.accuracies) == 3
    assert multiprocessing.active_children() == []


def test_a_search_may_change_its_workers(shared: Path, tmp_path: Path) -> None:
    run, photos = tmp_path / "run", shared / "photos"
    shutil.copytree(shared / "two", run)
    found = search(run, photos, trials=6)
    assert scores(found) == scores(search(tmp_path / "other", photos, trials=6))


@pytest.fixture
def no_workers() -> Iterator[Callable[[], None]]:
    """Worker processes end before they are ready, until this is called."""
    multiprocessing.set_executable("/bin/false")
    yield lambda: multiprocessing.set_executable(sys.executable)
    multiprocessing.set_executable(sys.executable)


def test_workers_that_cannot_start_fail_no_design_and_the_same_command_goes_on(
    photos: Path, tmp_path: Path, no_workers: Callable[[], None]
) -> None:
    with pytest.raises(WorkersUnavailable, match=r"cannot start \(.*no training was counted"):
        search(tmp_path / "run", photos, trials=2, workers=2)
    assert [path for path in (tmp_path / "run").rglob("*.jsonl") if path.read_text()] == []
    no_workers()
    found = search(tmp_path / "run", photos, trials=2)
    assert [trial.status for trial in found.trials] == ["finished", "finished"]


def test_workers_that_cannot_start_fail_no_training_of_a_series(
    photos: Path, tmp_path: Path, no_workers: Callable[[], None]
) -> None:
    proxy = loaded(photos)
    step, jobs = (
        StepFolder(tmp_path / "run", "check"),
        [Job(network=small_network(), seed=0, name="a")],
    )
    journal = Journal(tmp_path / "j.jsonl")
    with (
        worker_pool(TWO, proxy, step, Silent()) as workers,
        pytest.raises(WorkersUnavailable),
    ):
        Trainings(workers, journal, Silent()).all(jobs, leader=lambda done: "none yet")
    assert list(journal.read()) == []


def test_a_grid_of_two_workers_says_what_one_says(photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    settings = replace(small_grid(path, photos), max_candidates=3, race=False)
    alone, both = (
        grid_search(tmp_path / name, settings, workers=workers)
        for name, workers in (("one", 1), ("two", 2))
    )
    assert both.coefficients == alone.coefficients
    assert sorted(both.observations, key=str) == sorted(alone.observations, key=str)


@pytest.mark.slow
def test_a_check_of_two_workers_says_what_one_says(shared: Path, tmp_path: Path) -> None:
    found = []
    for workers in (1, 2):
        run = tmp_path / str(workers)
        shutil.copytree(shared / "two", run)
        found.append(check_baseline(run, networks=2, seeds=2, workers=workers))
    assert found[0] == found[1]


def test_a_race_never_has_one_training_twice(photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    grid_search(tmp_path / "r", small_grid(path, photos), workers=2)
    records = Journal(tmp_path / "r" / "grid" / "trainings.jsonl").read()
    keys = [record["key"] for record in records]
    assert len(keys) == len(set(keys)) >= 4


def test_a_death_a_hang_and_want_of_memory_cost_their_training_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad_nets.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    settings = GridSettings(
        budget="1.2x", alpha="1", beta="1,1.1,1.2,1.3,1.4", gamma="1", tolerance=0.99, seeds=1,
        rivals=False, race=False,
    )  # fmt: skip
    found = grid_search(
        tmp_path / "r",
        settings,
        model="bad_nets:build",
        resolution=16,
        data=photos,
        epochs=1,
        workers=2,
        trial_timeout=25.0,
        retries=1,
    )
    records = Journal(tmp_path / "r" / "grid" / "trainings.jsonl").read()
    causes = sorted(record["cause"].split(" at ")[0] for record in records if not record["score"])
    assert causes == [
        "memory ran out",
        "over the time limit of 25 s",
        "the worker process was killed (SIGKILL), perhaps for want of memory, in each of 2 tries",
    ]
    assert len(records) == len(found.field) == 5
    assert found.best.coefficients.beta < 1.15


def loaded(photos: Path) -> Proxy:
    source = ImageSource(data=str(photos))
    return Proxy(source=source, recipe=recipe_named("proxy", epochs=1)).load(size=16)


def small_network() -> Network:
    return Architecture.from_yaml(SMALL.replace("num_classes: 10", "num_classes: 3"))


def test_workers_refuse_images_that_have_changed(photos: Path, tmp_path: Path) -> None:
    proxy = loaded(photos)
    next((photos / "red").iterdir()).unlink()
    with (
        worker_pool(TWO, proxy, StepFolder(tmp_path / "run", "search"), Silent()) as workers,
        pytest.raises(DataProblem, match="have changed since the work began"),
    ):
        workers.engine.submit(TrainingRequest(network=small_network(), seed=0)).result()


def test_a_worker_that_is_killed_while_it_trains_is_replaced(photos: Path, tmp_path: Path) -> None:
    proxy = loaded(photos)
    staff = WorkerSettings(trial_timeout=60.0)
    with worker_pool(staff, proxy, StepFolder(tmp_path / "run", "search"), Silent()) as workers:
        order = TrainingRequest(network=small_network(), seed=0)
        first = workers.engine.submit(order).result().score
        future = workers.engine.submit(order)
        (process,) = multiprocessing.active_children()
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        assert replace(future.result().score, seconds=0.0) == replace(first, seconds=0.0)
    assert multiprocessing.active_children() == []


def test_whoever_looks_sees_the_trainings_at_work_until_they_are_done(
    photos: Path, tmp_path: Path
) -> None:
    proxy = loaded(photos)
    step = StepFolder(tmp_path / "run", "search")
    with (
        step.locked(),
        worker_pool(WorkerSettings(trial_timeout=60.0), proxy, step, Silent()) as workers,
    ):
        orders = [TrainingRequest(network=small_network(), seed=seed) for seed in range(2)]
        futures = [workers.submit(order, name=f"seed {order.seed}") for order in orders]
        assert [piece.name for piece in at_work(step)] == ["seed 0", "seed 1"]
        wait(futures)
        while at_work(step):  # a future wakes whoever waits before it is struck off
            time.sleep(0.01)
    assert [path.name for path in step.path.iterdir()] == [".lock"]


def test_more_workers_than_cores_are_warned_of(photos: Path, tmp_path: Path) -> None:
    heard = Heard()
    proxy = loaded(photos)
    many = WorkerSettings(workers=(os.cpu_count() or 1) + 1)
    with worker_pool(many, proxy, StepFolder(tmp_path / "run", "search"), heard):
        pass
    assert any("share" in notice and "cores" in notice for notice in heard.notices)


def test_when_everything_fails_the_last_cause_is_told_and_all_is_tried_again(
    photos: Path, tmp_path: Path
) -> None:
    proxy = loaded(photos)
    jobs = [Job(network=small_network(), seed=seed, name="one") for seed in range(2)]
    journal = Journal(tmp_path / "j.jsonl")

    def train(staff: WorkerSettings) -> list[Outcome]:
        step = StepFolder(tmp_path / "run", "search")
        with worker_pool(staff, proxy, step, Silent()) as workers:
            return Trainings(workers, journal, Silent()).all(jobs, leader=lambda done: "none yet")

    with pytest.raises(EvaluationFailed, match=r"every training failed.*time limit.*again"):
        train(WorkerSettings(trial_timeout=0.001))
    assert all(outcome.score for outcome in train(WorkerSettings()))
    assert [outcome.key for outcome in outcomes_from_journal(journal)] == ["0", "1"]
    assert len(journal.read()) == 4
    train(WorkerSettings())
    assert len(journal.read()) == 4
