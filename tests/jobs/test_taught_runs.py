"""Searches, checks and grids whose networks learn from a teacher, and how trainings begin."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from autoscale.cli.app import main
from autoscale.design.architecture import Stage
from autoscale.design.rounding import Coefficients
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.inspection.read_run import load_run
from autoscale.jobs.check import check_baseline
from autoscale.jobs.family.job import write_family
from autoscale.jobs.grid import judging
from autoscale.jobs.grid.job import grid_search
from autoscale.jobs.grid.plan import plan_grid
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.search.job import search_baseline
from autoscale.jobs.search.result import load_proxy, load_trials
from autoscale.jobs.search.settings import SearchSettings
from autoscale.jobs.teaching import lessons as lessons_module
from autoscale.jobs.teaching.lessons import Lessons
from autoscale.jobs.teaching.teacher import Teacher, read_teacher
from autoscale.jobs.train.job import train
from autoscale.jobs.workers.pool import TrainingRequest, make_worker
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.scoring import train_and_score
from autoscale.jobs.workers.source import ImageSource
from autoscale.jobs.workers.transfer import Transfer
from autoscale.listener import Silent
from autoscale.network.build import build
from autoscale.report.page import page
from autoscale.runs.at_work import at_work
from autoscale.runs.store import StepFolder
from autoscale.runs.weights import read_weights, write_weights
from autoscale.training.fit import fit
from tests import designs
from tests.conftest import Heard, draw_photos

SOURCE = replace(designs.SOURCE, num_classes=3)
SPACE = """
name: sizes
resolution: [12, 16]
stem: {width: 8}
stages:
  - {block: mbconv, expand_ratio: 2, width: [8, 16], stride: 2, depth: 1}
head: {width: 16}
"""
#: Of the photographs 27 train; a search of 2 epochs asks for 2 crops of each.
IMAGES, EPOCHS = 27, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs in three classes, and a space of two resolutions."""
    place = tmp_path_factory.mktemp("taught")
    draw_photos(place / "photos")
    (place / "sizes.yaml").write_text(SPACE)
    (place / "source.yaml").write_text(SOURCE.to_yaml())
    return place


@pytest.fixture(scope="module")
def teacher(folder: Path) -> str:
    """Trained on the photographs."""
    found = train(
        str(folder / "source.yaml"), folder / "teacher", data=str(folder / "photos"),
        recipe="proxy", epochs=1, batch_size=8, kernels="none",
    )  # fmt: skip
    return str(found.weights)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOSCALE_CACHE", str(place))
        yield place


def searched(folder: Path, run: Path, **options: Any) -> Any:
    usual: dict[str, Any] = {"data": str(folder / "photos"), "space": str(folder / "sizes.yaml")}
    usual |= {"sampler": "random", "kernels": "none", "trials": 3, "epochs": EPOCHS}
    return search_baseline(run, **usual | options)


@pytest.fixture(scope="module")
def begun(folder: Path, teacher: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search whose networks learned from a teacher."""
    run = tmp_path_factory.mktemp("begun")
    searched(folder, run, teacher=teacher, teacher_weight=0.9)
    return run


def settings_of(run: Path, step: str = "search") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / step / "settings.json").read_text())
    return found


def accuracies(run: Path) -> list[float]:
    lines = (run / "search" / "trials.jsonl").read_text().splitlines()
    return [json.loads(line)["score"]["accuracy"] for line in lines]


class Passes:
    """How many images teachers were given."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.images = 0

        def watched(*given: Any, **more: Any) -> Teacher:
            found = read_teacher(*given, **more)

            def answer(images: Tensor) -> Tensor:
                self.images += len(images)
                return found.logits(images)

            return replace(found, logits=answer)

        patch.setattr(lessons_module, "read_teacher", watched)


class Looks(Heard):
    """Looks from outside what is at work when a teacher begins to answer."""

    def __init__(self, step: StepFolder) -> None:
        super().__init__()
        self.seen: list[str] = []
        self._step = step

    def notice(self, text: str) -> None:
        super().notice(text)
        if text.startswith("it answers"):
            self.seen += [piece.name for piece in at_work(self._step)]


# What candidates learn


def test_every_candidate_learns_from_the_answers_to_the_crops_that_it_sees(
    begun: Path, teacher: str
) -> None:
    """A trial's accuracy is that of the parts put together by hand."""
    proxy = load_proxy(begun).load(size=16)
    assert proxy.transfer.lessons is not None
    assert proxy.transfer.lessons.weight == 0.9
    lessons, taught = proxy.transfer.lessons.taught(proxy._pupils, listener=Silent())
    designs = [trial.architecture for trial in load_trials(begun)[2]]
    assert {design.resolution for design in designs} == {12, 16}
    for design, accuracy in zip(designs, accuracies(begun), strict=True):
        torch.manual_seed(0)
        module = build(design, norm_momentum=proxy.recipe.norm_momentum)
        task = replace(proxy.task(design, seed=0), train=taught.images, teaching=taught.teaching)
        assert fit(module, task).accuracy == accuracy
    assert lessons.resolution == 16


def test_a_search_records_its_teacher_by_content_and_tells_people_its_name(
    begun: Path, teacher: str
) -> None:
    record = settings_of(begun)
    assert record["settings"]["teacher"] == read_teacher(teacher).digest
    assert record["settings"]["teacher_weight"] == 0.9
    assert record["settings"]["teacher_crops"] == 16
    assert record["notes"]["teacher"] == teacher
    assert record["notes"]["taught"] == "best.safetensors at 16 pixels, weight 0.9"
    assert f"teacher: {teacher}" in (begun / "search" / "job.yaml").read_text()
    assert "They learned from the answers of best.safetensors at 16 pixels" in page(load_run(begun))


def test_nobody_is_asked_twice_whatever_the_step_the_seed_and_the_resolution(
    folder: Path, teacher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSCALE_CACHE", str(tmp_path / "cache"))
    passes, run = Passes(monkeypatch), tmp_path / "run"
    heard = Looks(StepFolder(run, "search"))
    searched(folder, run, teacher=teacher, trials=2, listener=heard)
    validation = len(load_proxy(run).load(size=16).images.validation)
    assert passes.images == EPOCHS * IMAGES + validation
    assert sum(line.startswith("it answers") for line in heard.notices) == 1
    assert heard.seen == ["answers of the teacher best.safetensors"]
    check_baseline(run, networks=2, seeds=2)
    grid_search(run, max_candidates=2, seeds=2, rivals=False, tolerance=0.5)
    assert passes.images == EPOCHS * IMAGES + validation
    for step in ("check", "grid"):
        record = settings_of(run, step)
        assert record["settings"]["teacher"] == settings_of(run)["settings"]["teacher"]
        assert record["notes"]["taught"].startswith("best.safetensors")


def test_a_broken_search_goes_on_with_a_teacher_that_was_moved_and_with_no_other(
    folder: Path, begun: Path, teacher: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    taught = {"teacher": teacher, "teacher_weight": 0.9}
    with pytest.raises(KeyboardInterrupt):
        searched(folder, run, listener=Heard(stop_after=1), **taught)
    for other in ({}, taught | {"teacher_weight": 0.5}, taught | {"teacher_resolution": 12}):
        with pytest.raises(RunConflict, match="--teacher"):
            searched(folder, run, **other)
    moved = str(shutil.copy(teacher, tmp_path / "moved.safetensors"))
    searched(folder, run, **taught | {"teacher": moved})
    assert accuracies(run) == accuracies(begun)


def test_the_job_file_repeats_a_taught_search(begun: Path, tmp_path: Path) -> None:
    job = str(begun / "search" / "job.yaml")
    assert main(["search-baseline", "--config", job, "--run", str(tmp_path / "again")]) == 0
    assert accuracies(tmp_path / "again") == accuracies(begun)


# Workers


def test_a_worker_finds_the_answers_in_the_cache_and_reads_no_teacher(
    begun: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = load_proxy(begun).load(size=16).answered(Silent())
    sent = pickle.dumps(proxy.for_worker())
    assert len(sent) < 20_000
    design = load_trials(begun)[2][0].architecture
    here = train_and_score(proxy, design, seed=1).accuracy
    passes = Passes(monkeypatch)
    work = make_worker(pickle.loads(sent))
    assert work(TrainingRequest(network=design, seed=1)).score.accuracy == here
    assert passes.images == 0
    monkeypatch.setattr(lessons_module, "read_teacher", lambda *_, **__: pytest.fail("read"))
    make_worker(pickle.loads(sent))
    # On another machine, whose cache holds nothing, it answers itself.
    monkeypatch.undo()
    for kept in (cache / "teachers").glob("*.npy"):
        shutil.move(kept, tmp_path / kept.name)
    passes = Passes(monkeypatch)
    monkeypatch.setenv("AUTOSCALE_CACHE", str(cache))
    work = make_worker(pickle.loads(sent))
    assert passes.images > EPOCHS * IMAGES
    assert work(TrainingRequest(network=design, seed=1)).score.accuracy == here


def test_what_goes_to_workers_can_be_looked_up(begun: Path) -> None:
    """Ray's workers keep what they have made of it under it."""
    spec = load_proxy(begun).load(size=16).answered(Silent()).for_worker()
    assert {spec: 1}[pickle.loads(pickle.dumps(spec))] == 1


@pytest.mark.slow
def test_workers_give_the_scores_of_one_process(
    folder: Path, begun: Path, teacher: str, tmp_path: Path
) -> None:
    searched(folder, tmp_path, teacher=teacher, teacher_weight=0.9, workers=2)
    assert sorted(accuracies(tmp_path)) == sorted(accuracies(begun))


# Later steps


def test_later_steps_take_the_teacher_where_it_lies_now_and_decide_nothing_of_it(
    begun: Path, teacher: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(begun, run)
    note = settings_of(run)
    note["notes"]["teacher"] = str(tmp_path / "gone.safetensors")
    (run / "search" / "settings.json").write_text(json.dumps(note))
    usual: dict[str, Any] = {"max_candidates": 2, "seeds": 1, "rivals": False, "tolerance": 0.5}
    with pytest.raises(InvalidSetting, match="say with --teacher where it lies now"):
        check_baseline(run, networks=2, seeds=2)
    other = tmp_path / "other.safetensors"
    held = read_weights(teacher)
    write_weights(other, held.state, replace(held.header, classes=("a", "b", "c")))
    with pytest.raises(RunConflict, match="is not the teacher that the work began with"):
        check_baseline(run, teacher=str(other), networks=2, seeds=2)
    with pytest.raises(InvalidSetting, match=r"has decided --teacher-weight"):
        grid_search(run, teacher=teacher, teacher_weight=0.5, **usual)
    found = grid_search(run, teacher=teacher, **usual)
    assert found.accuracy(found.index) is not None


def test_a_run_without_a_teacher_may_have_a_grid_with_one(
    folder: Path, teacher: str, tmp_path: Path
) -> None:
    searched(folder, tmp_path, trials=2, epochs=1)
    with pytest.raises(InvalidSetting, match="began without a teacher"):
        check_baseline(tmp_path, teacher=teacher, networks=2, seeds=2)
    usual: dict[str, Any] = {"max_candidates": 2, "seeds": 1, "rivals": False, "tolerance": 0.5}
    grid_search(tmp_path, teacher=teacher, **usual)
    settings = settings_of(tmp_path, "grid")["settings"]
    assert settings["teacher"] == read_teacher(teacher).digest
    assert "teacher" not in settings_of(tmp_path)["settings"]


def test_a_plan_counts_what_the_teacher_takes(
    folder: Path, teacher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual: dict[str, Any] = {
        "baseline": str(folder / "source.yaml"), "data": str(folder / "photos"), "epochs": 1,
        "max_candidates": 2, "seeds": 1, "rivals": False, "tolerance": 0.5,
    }  # fmt: skip
    monkeypatch.setattr(Lessons, "seconds", lambda *_: 3000.0)
    monkeypatch.setattr(judging, "choose_kernels", lambda *_, **__: "none")
    alone, taught = (
        plan_grid(tmp_path / "run", **usual, **options) for options in ({}, {"teacher": teacher})
    )
    assert alone.seconds is not None
    assert taught.seconds is not None
    assert alone.seconds < 1000 < 3000 < taught.seconds


def test_what_answers_will_take_is_timed_and_nothing_once_they_are_kept(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = load_proxy(begun).load(size=16)
    assert proxy.teacher_seconds == 0
    monkeypatch.setenv("AUTOSCALE_CACHE", str(tmp_path))
    assert load_proxy(begun).load(size=16).teacher_seconds > 0


def test_a_teacher_that_can_tell_nothing_is_refused_before_anything_is_trained(
    folder: Path, teacher: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = read_weights(teacher)
    path = tmp_path / "torn.safetensors"
    write_weights(path, held.state, replace(held.header, classes=("red", "green", "violet")))
    run = tmp_path / "run"
    words = ["search-baseline", "--data", str(folder / "photos"), "--run", str(run)]
    assert main([*words, "--teacher", str(path)]) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert "does not know 'blue'" in shown
    assert not list(run.rglob("trials.jsonl"))
    assert main([*words, "--teacher-weight", "0.5"]) == 2
    assert "--teacher-weight 0.5 needs --teacher" in capsys.readouterr().err


# How trainings begin


@pytest.mark.parametrize(
    ("width", "recipe"), [(16, "finetune"), (8, "finetune"), (8, "proxy")],
    ids=["its own design", "another design", "another recipe"],
)  # fmt: skip
def test_a_search_begins_a_network_as_train_does(
    folder: Path, teacher: str, tmp_path: Path, width: int, recipe: str
) -> None:
    """Whether the weights are the network's own or another design's, with a new classifier."""
    held = read_weights(teacher)
    path = str(tmp_path / "other.safetensors")
    write_weights(Path(path), held.state, replace(held.header, classes=("a", "b", "c")))
    stage = replace(SOURCE.stages[0], width=width)
    design = replace(SOURCE, stages=(stage, SOURCE.stages[1]))
    (tmp_path / "design.yaml").write_text(design.to_yaml())
    heard = Heard()
    trained = train(
        str(tmp_path / "design.yaml"), tmp_path / "run", data=str(folder / "photos"),
        weights=path, recipe=recipe, epochs=1, kernels="none", listener=heard,
    )  # fmt: skip
    first = any("fitted first" in line for line in heard.notices)
    assert first == (recipe == "finetune")
    proxy = Proxy(
        source=ImageSource(data=str(folder / "photos")),
        recipe=recipe_named(recipe, epochs=1),
        transfer=Transfer.for_many(SearchSettings(weights=path)),
    ).load(size=16)
    assert train_and_score(proxy, design, seed=0).accuracy == trained.best.accuracy
    begun = proxy.begin(proxy.realised(design), design)
    assert begun is not None
    assert begun.new_classifier


def test_a_member_that_took_weights_over_has_the_classes_that_they_did_not_know_fitted_first(
    folder: Path, teacher: str, tmp_path: Path
) -> None:
    held = read_weights(teacher)
    path = tmp_path / "other.safetensors"
    write_weights(path, held.state, replace(held.header, classes=("red", "b", "c")))
    write_family(
        tmp_path, baseline=str(folder / "source.yaml"), phi="0", weights=str(path),
        coefficients=Coefficients(alpha=1.2, beta=1.1, gamma=1.15), data=str(folder / "photos"),
    )  # fmt: skip
    member = tmp_path / "family" / "phi-0.yaml"
    assert read_weights(member.with_suffix(".safetensors")).header.learned == ("red",)
    heard = Heard()
    trained = train(
        str(member), tmp_path / "run", data=str(folder / "photos"), recipe="finetune", epochs=1,
        kernels="none", listener=heard,
    )  # fmt: skip
    assert any("has learned 1 of the 3 classes" in line for line in heard.notices)
    assert any("fitted first" in line for line in heard.notices)
    assert read_weights(trained.weights).header.learned is None
    known = settings_of(tmp_path / "run", "train")["settings"]["known_classes"]
    assert [*known] == ["red"]


def test_a_design_that_starts_fresh_gets_no_classifier_first(folder: Path, teacher: str) -> None:
    held = Path(teacher)
    fused = replace(SOURCE, stages=(Stage(block="fused-mbconv", width=8),))
    proxy = Proxy(
        source=ImageSource(data=str(folder / "photos")),
        recipe=recipe_named("finetune", epochs=1),
        transfer=Transfer.for_many(SearchSettings(weights=str(held))),
    ).load(size=16)
    begun = proxy.begin(proxy.realised(fused), fused)
    assert begun is not None
    assert (begun.inherited, begun.new_classifier) == (0.0, False)
    # And a classifier that knows the classes goes on as it is.
    known = proxy.begin(proxy.realised(SOURCE), SOURCE)
    assert known is not None
    assert not known.new_classifier
