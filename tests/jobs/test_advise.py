"""Advice on a run's network, on tiny images: planned, trained, resumed, told, drawn."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoscale.advice import posterior
from autoscale.cli.app import main
from autoscale.errors import DataProblem, InvalidSetting, RunConflict
from autoscale.inspection.commands import commands
from autoscale.inspection.read_run import load_run
from autoscale.inspection.status import run_status
from autoscale.jobs.advise.around import around, sizes_beside
from autoscale.jobs.advise.job import advise, plan_advice
from autoscale.jobs.advise.result import Advised
from autoscale.jobs.advise.settings import AdviseSettings
from autoscale.jobs.grid.job import grid_search
from autoscale.jobs.grid.scaling_base import scalable_of
from autoscale.jobs.grid.settings import GridSettings
from autoscale.jobs.groups.recipe import recipe_named
from autoscale.jobs.search.job import search_baseline
from autoscale.jobs.workers.proxy import Proxy
from autoscale.jobs.workers.source import ImageSource
from autoscale.report.page import figures, page
from autoscale.report.writing import write_report
from autoscale.scaling.scalable import Design, cost_of
from tests.conftest import Heard, draw_photos
from tests.designs import two_stages

USUAL: dict[str, Any] = {"halvings": 1, "seeds": 2}
STEP = "learning-curves"


@pytest.fixture(autouse=True, scope="module")
def few_draws() -> Iterator[None]:
    """Laws of fewer draws, which are quicker and less precise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posterior, "DRAWS", 128)
        yield


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of two networks on 48 images of three colours."""
    folder = tmp_path_factory.mktemp("advise")
    photos = draw_photos(folder / "photos", count=30, size=16)
    run = folder / "run"
    search_baseline(
        run, data=str(photos), space="tiny", resolution=16, trials=2, epochs=1, limit=48,
        kernels="none", sampler="random",
    )  # fmt: skip
    return run


@pytest.fixture(scope="module")
def advised(
    searched: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Advised, Heard]:
    """The same run with an advice."""
    run = tmp_path_factory.mktemp("advised") / "run"
    shutil.copytree(searched, run)
    heard = Heard()
    return run, advise(run, **USUAL, images=100, listener=heard), heard


@pytest.fixture
def copied(searched: Path, tmp_path: Path) -> Path:
    run = tmp_path / "run"
    shutil.copytree(searched, run)
    return run


def lines_of(run: Path) -> list[dict[str, Any]]:
    journal = run / STEP / "trainings.jsonl"
    return [json.loads(one) for one in journal.read_text().splitlines()]


# What is trained and told


def test_the_plan_is_what_is_trained(searched: Path, advised: tuple[Path, Advised, Heard]) -> None:
    run, found, heard = advised
    plan = plan_advice(searched, **USUAL)
    assert not (searched / STEP).exists()
    assert (plan.trainings, plan.kept) == (len(lines_of(run)), 0)
    assert plan.seconds > 0
    assert list(plan.table["images"][:2]) == [48, 24]
    assert len(plan.table) * 2 == plan.trainings == found.advice.trainings + found.failed
    assert any("trainings around the baseline; about" in line for line in heard.notices)
    assert plan_advice(run, **USUAL).kept == plan.trainings


def test_gains_are_told_with_intervals_and_kept(advised: tuple[Path, Advised, Heard]) -> None:
    run, found, _ = advised
    assert [gain.effort.words for gain in found.advice.gains][:3] == [
        "100 more images", "1 more epoch", "twice the multiply-adds",
    ]  # fmt: skip
    for gain in found.advice.gains:
        assert gain.gain is not None
        assert gain.gain.low <= gain.gain.mean <= gain.gain.high
    assert sum(gain.chance_best for gain in found.advice.gains) == pytest.approx(1)
    kept = json.loads((run / STEP / "advice.json").read_text())
    assert kept.pop("format") == 1
    assert kept == json.loads(json.dumps(found.to_dict()))
    # 16 validation images are too few for any of the three classes.
    assert [one.gain for one in found.classes] == [None] * 3
    assert "Believed to buy, in points of accuracy: 100 more images" in found.sentences[0]


def test_another_question_is_answered_by_the_same_trainings(
    advised: tuple[Path, Advised, Heard],
) -> None:
    run, found, _ = advised
    before = (run / STEP / "trainings.jsonl").read_bytes()
    other = advise(run, **USUAL, images=1000, epochs=9)
    assert (run / STEP / "trainings.jsonl").read_bytes() == before
    assert other.advice.gains[0].effort.words == "1,000 more images"
    assert other.advice.gains[1].effort.words == "9 more epochs"
    assert other.advice.gains[2].gain == found.advice.gains[2].gain
    again = advise(run, **USUAL, images=100)
    assert again.to_dict() == found.to_dict()


def test_a_broken_advice_goes_on_to_the_same_bytes(
    copied: Path, advised: tuple[Path, Advised, Heard]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        advise(copied, **USUAL, images=100, listener=Heard(stop_after=3))
    assert len(lines_of(copied)) == 3
    with (copied / STEP / "trainings.jsonl").open("a") as journal:
        journal.write('{"key": "torn')
    advise(copied, **USUAL, images=100)
    whole = advised[0]
    assert [one["key"] for one in lines_of(copied)] == [one["key"] for one in lines_of(whole)]
    written = [(run / STEP / "advice.json").read_bytes() for run in (copied, whole)]
    assert written[0] == written[1]


def test_status_repeat_and_page_know_the_advice(
    advised: tuple[Path, Advised, Heard], tmp_path: Path
) -> None:
    run, found, _ = advised
    (step,) = (one for one in run_status(run).steps if one.step == STEP)
    assert (step.state, step.done, step.asked) == ("finished", len(lines_of(run)), step.done)
    assert "advise" in dict(commands(run))["Advice"]
    contents = load_run(run)
    figure = figures(contents)["advice"]
    assert list(figure.table["effort"]) == [gain.effort.words for gain in found.advice.gains]
    assert "What efforts are believed to buy" in page(contents)
    assert write_report(run, tmp_path / "page.html").exists()


def test_the_command_answers_in_json_and_in_sentences(
    advised: tuple[Path, Advised, Heard], capsys: pytest.CaptureFixture[str]
) -> None:
    run, found, _ = advised
    words = ["advise", "--run", str(run), "--halvings", "1", "--images", "100"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sentences"] == list(found.sentences)
    assert main(words) == 0
    assert "Believed to buy, in points of accuracy" in capsys.readouterr().out
    assert main([*words, "--plan"]) == 0
    assert "nothing was trained" in " ".join(capsys.readouterr().out.split())


# Subsets


def test_subsets_are_nested_and_are_those_of_a_limit(photos: Path) -> None:
    source = ImageSource(data=str(photos), seed=3)
    proxy = Proxy(source=source, recipe=recipe_named("proxy")).load(size=16)
    twelve, six = (proxy.within(images=count, epochs=2) for count in (12, 6))
    assert (twelve.recipe.epochs, len(twelve.images.train)) == (2, 12)
    held = {image.tobytes() for image in twelve.images.train.pixels}
    assert {image.tobytes() for image in six.images.train.pixels} <= held
    limited = Proxy(
        source=ImageSource(data=str(photos), seed=3, limit=6), recipe=recipe_named("proxy")
    ).load(size=16)
    assert np.array_equal(limited.images.train.pixels, six.images.train.pixels)
    assert proxy.within(images=1000) is proxy
    assert proxy.within() is proxy


def test_sizes_beside_a_base_cost_about_half_and_twice_as_much(tmp_path: Path) -> None:
    settings = GridSettings(baseline="efficientnet-b0")
    base = scalable_of(settings, tmp_path, num_classes=10)
    assert isinstance(base, Design)
    found = sizes_beside(base)
    assert list(found) == ["base", "smaller", "fewer pixels", "larger", "more pixels"]
    ratios = {
        size: cost_of(network).macs / cost_of(base.base).macs for size, network in found.items()
    }
    assert [round(ratio, 1) for ratio in ratios.values()] == [1, 0.5, 0.5, 2, 2]
    assert found["larger"].resolution == base.resolution
    assert found["larger"].stages[1].depth > base.base.stages[1].depth
    wider = base.at(1.0, 2**0.5, base.resolution)
    assert sizes_beside(base, [wider, base.at(1.0, 1.0, 300)]) == {
        **found, "larger": wider, "more pixels": base.at(1.0, 1.0, 300)
    }  # fmt: skip
    assert sizes_beside(base, [base.at(3.0, 1.0, base.resolution)]) == found
    assert 290 < sizes_beside(base, stored=300)["more pixels"].resolution <= 300
    assert sizes_beside(base, stored=100) == sizes_beside(base, stored=225) == found


# Around a grid


def test_trainings_of_a_grid_serve_where_they_are_the_same(tmp_path: Path) -> None:
    photos = draw_photos(tmp_path / "photos", count=30, size=20)
    file = tmp_path / "small.yaml"
    file.write_text(two_stages(3))
    run = tmp_path / "run"
    grid_search(
        run, baseline=str(file), rounding="nearest,divisor=4", data=str(photos), epochs=1,
        tolerance=0.3, max_candidates=1, seeds=1, race=False,
    )  # fmt: skip
    heard = Heard()
    found = advise(run, **USUAL, listener=heard)
    assert "taken over from the run's grids: 1 training" in heard.notices
    without = [one for one in lines_of(run) if "right" not in (one["score"] or {})]
    assert len(without) == 1
    assert without[0]["score"]["seconds"] in [
        json.loads(line)["score"]["seconds"]
        for line in (run / "grid" / "trainings.jsonl").read_text().splitlines()
    ]
    assert found.advice.trainings == len(lines_of(run))


# Refusals


def test_a_folder_without_a_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["advise", "--run", str(tmp_path / "none")]) == 2
    said = capsys.readouterr().err
    assert "holds no search; begin with" in said
    assert "Traceback" not in said


def test_images_that_are_gone_are_refused(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(DataProblem, match="no such folder"):
        advise(copied, data=str(tmp_path / "gone"))


def test_other_images_are_refused(copied: Path, tmp_path: Path) -> None:
    other = draw_photos(tmp_path / "other", count=31, size=16)
    with pytest.raises((DataProblem, RunConflict)):
        advise(copied, data=str(other))
    assert not (copied / STEP / "trainings.jsonl").exists()


def test_fewer_images_than_the_smallest_subset_are_refused(copied: Path) -> None:
    with pytest.raises(InvalidSetting) as refused:
        advise(copied, halvings=3)
    assert str(refused.value) == (
        "48 training images halved 3 times leave 6, and 3 classes need 12, 4 each; give "
        "--halvings 2, or add images up to 96"
    )


def test_a_metric_without_a_law_is_refused_by_its_name(copied: Path) -> None:
    file = copied / "search" / "settings.json"
    record = json.loads(file.read_text())
    record["settings"]["metric"] = {"name": "log-loss"}
    file.write_text(json.dumps(record))
    with pytest.raises(InvalidSetting, match="judged by log-loss, and laws are of shares"):
        advise(copied)


def test_a_member_that_there_is_not_is_refused(copied: Path) -> None:
    with pytest.raises(InvalidSetting, match="has no member phi-9; write one with autoscale"):
        around(copied, AdviseSettings(member="phi-9"))


def test_runs_that_learn_from_a_teacher_are_refused(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("autoscale.jobs.workers.transfer.Lessons.from_record", lambda *_, **__: 1)
        with pytest.raises(InvalidSetting, match="learn from a teacher"):
            around(copied, AdviseSettings())
