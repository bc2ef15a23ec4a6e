"""What a step records of its command: it goes on, is repeated, and older versions' is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import autoscale
from autoscale.cli.app import main
from autoscale.design.measures.registry import COSTS
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.inspection.commands import commands
from autoscale.jobs.grid.settings import BUDGETS, FamilySettings, GridSettings
from autoscale.jobs.search.settings import CheckSettings, SearchSettings
from autoscale.runs.job_file import recorded_job
from autoscale.runs.store import StepFolder
from tests.conftest import Heard, draw_photos


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> SearchSettings:
    photos = draw_photos(tmp_path_factory.mktemp("records") / "photos")
    return SearchSettings(
        data=str(photos), space="tiny", resolution=16, trials=2, epochs=1, sampler="random",
        kernels="none", confirm=1, white_level=4095,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(asked: SearchSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a search."""
    run = tmp_path_factory.mktemp("made") / "run"
    autoscale.search_baseline(run, asked)
    return run


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of that run."""
    return Path(shutil.copytree(made, tmp_path / "run"))


def trained(run: Path) -> bytes:
    return (run / "search" / "trials.jsonl").read_bytes()


def as_format_1(run: Path) -> None:
    """Make the record of a search what versions before job files wrote."""
    file = run / "search" / "settings.json"
    record = json.loads(file.read_text())
    settings, notes = record["settings"], record["notes"]
    settings["task"] = {
        name: settings.pop(name) for name in ("recipe", "seed", "limit", "strict", "kernels")
    }
    white = settings.pop("white_level")
    settings["task"] |= {"white_level": white} if white != 65535 else {}
    record["format"] = 1
    record["notes"] = {name: notes[name] for name in ("data", "trials", "device")}
    file.write_text(json.dumps(record))
    (run / "search" / "job.yaml").unlink()


# What is recorded


def test_a_step_records_the_whole_command(asked: SearchSettings, run: Path) -> None:
    assert recorded_job(StepFolder(run, "search"), SearchSettings) == asked
    record = json.loads((run / "search" / "settings.json").read_text())
    assert (record["notes"]["confirm"], record["notes"]["threads"]) == (1, 1)
    assert record["settings"]["white_level"] == 4095


def test_a_job_file_repeats_its_step_from_anywhere(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = trained(run)
    monkeypatch.chdir(tmp_path)
    assert main(["search-baseline", "--config", "run/search/job.yaml", "--run", "run"]) == 0
    assert trained(run) == before


def test_another_number_of_threads_goes_on_and_is_told(asked: SearchSettings, run: Path) -> None:
    heard = Heard()
    autoscale.search_baseline(run, asked, listener=heard)
    assert not [line for line in heard.notices if "begun with" in line]
    autoscale.search_baseline(run, asked, threads=2, listener=heard)
    (line,) = [line for line in heard.notices if "begun with" in line]
    assert "the search was begun with threads 1 and goes on with 2" in line


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sampler": "tpe"}, "--sampler random there, asked for --sampler tpe"),
        ({"white_level": 1023}, "--white-level 4095 there, asked for --white-level 1023"),
        ({"epochs": 2}, "--epochs 1 there, asked for --epochs 2"),
        ({"objective": "front"}, "--objective hard there, asked for --objective front"),
        ({"target": "5M"}, "no --target there, asked for --target 5000000"),
        ({"strict": True}, "--no-strict there, asked for --strict"),
    ],
)
def test_what_decides_the_result_must_be_the_same(
    asked: SearchSettings, run: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(RunConflict, match=f"run/search was begun with other settings: {said}; "):
        autoscale.search_baseline(run, asked, **changes)


# Runs of older versions


def test_a_run_of_an_older_version_is_continued(asked: SearchSettings, run: Path) -> None:
    before = trained(run)
    as_format_1(run)
    ((title, line),) = commands(run)
    assert title == "Search"
    assert line == "# Search: made by an older autoscale, which recorded no command"
    with pytest.raises(RunConflict, match="--seed 0 there, asked for --seed 1"):
        autoscale.search_baseline(run, asked, seed=1)
    autoscale.search_baseline(run, asked)
    assert trained(run) == before
    ((_, line),) = commands(run)
    assert "--white-level 4095" in line
    assert "--data photos" in line


def test_a_check_reads_the_search_of_an_older_version(run: Path) -> None:
    as_format_1(run)
    assert autoscale.check_baseline(run, networks=2, seeds=2).split == "test"


def test_a_run_of_a_newer_version_is_refused(asked: SearchSettings, run: Path) -> None:
    file = run / "search" / "settings.json"
    file.write_text(file.read_text().replace('"format": 2', '"format": 3'))
    with pytest.raises(RunConflict, match="newer autoscale: format 3, this one reads 2; upgrade"):
        autoscale.search_baseline(run, asked)


# Settings


@pytest.mark.parametrize("call", ["search_baseline", "check_baseline", "grid_search", "plan_grid"])
def test_values_that_older_versions_took_are_refused_with_their_fields(call: str) -> None:
    with pytest.raises(TypeError, match=rf"{call} takes no staff= but its fields: workers=, "):
        getattr(autoscale, call)("run", staff=object())


def test_bases_and_images_are_fields_too() -> None:
    with pytest.raises(TypeError, match="takes no base= but its fields: baseline=, model=, "):
        autoscale.write_family("run", base=object())
    with pytest.raises(TypeError, match="takes no images= but its fields: data=, recipe=, "):
        autoscale.grid_search("run", images=object())
    with pytest.raises(AttributeError, match="give its fields to the function"):
        autoscale.WorkerSettings  # noqa: B018


@pytest.mark.parametrize("measure", BUDGETS)
def test_a_budget_of_a_measure_is_the_option_of_that_measure(measure: str) -> None:
    settings = GridSettings(budget="3x", measure=measure)
    assert settings == GridSettings(**{BUDGETS[measure]: "3x"})
    assert (settings.cost_measure, settings.budget_text) == (measure, "3x")
    assert settings.but(budget="4x", measure=measure).budget_text == "4x"
    assert settings.arguments() == [f"--{BUDGETS[measure].replace('_', '-')}", "3x"]


def test_two_budgets_are_refused() -> None:
    with pytest.raises(
        InvalidSetting,
        match=r"^--flops-budget 2x and --params-budget 3x exclude each other; give one of them$",
    ):
        GridSettings(flops_budget="2x", params_budget="3x")


@pytest.mark.parametrize(
    ("given", "measure", "cost"),
    [
        (15_000_000, "macs", 15_000_000),
        ("15M", "macs", 15_000_000),
        (1.5e6, "macs", 1_500_000),
        (12.5, "latency", 12.5),
        ("12.5ms", "latency", 12.5),
        ("0.5s", "latency", 500.0),
        (None, "macs", None),
    ],
)
def test_a_target_is_a_number_or_a_text_in_its_unit(given: Any, measure: str, cost: Any) -> None:
    settings = SearchSettings(target=given, cost_measure=measure)
    assert settings.target_cost == cost
    assert SearchSettings.read(settings.plain()) == settings


def test_coefficients_are_a_value_or_a_text() -> None:
    point = autoscale.Coefficients(alpha=1.2, beta=1.1, gamma=1.15)
    settings = FamilySettings(coefficients="1.2,1.1,1.15")
    assert settings == FamilySettings(coefficients=point)
    assert settings.arguments() == ["--coefficients", "1.2,1.1,1.15"]
    with pytest.raises(InvalidSetting, match="must be a Coefficients"):
        FamilySettings(coefficients=(1, 2, 3))


def test_a_check_compares_at_least_two() -> None:
    with pytest.raises(InvalidSetting, match="at least 2 networks and 2 seeds, got 8 and 1"):
        CheckSettings(seeds=1)


def test_every_budget_with_an_option_of_its_own_is_of_a_measure() -> None:
    assert set(BUDGETS) <= set(COSTS)
