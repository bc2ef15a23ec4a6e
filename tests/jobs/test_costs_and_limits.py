"""Searches, grids and families that take any cost and keep limits on others."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

import autoscale
from autoscale.cli.options import command
from autoscale.design.measures.limits import Limit, broken
from autoscale.design.measures.registry import MEASURES
from autoscale.design.rounding import Coefficients, rounding_policy
from autoscale.errors import BudgetUnreachable, InvalidSetting, RunConflict
from autoscale.jobs.costs import limits_from
from autoscale.jobs.grid.candidates import GridRace, explain, is_timed
from autoscale.jobs.grid.settings import BUDGETS, FamilySettings, GridSettings
from autoscale.jobs.grid.stopwatch import NoTimings, Stopwatch
from autoscale.jobs.search import goal
from autoscale.jobs.search.job import search_baseline
from autoscale.jobs.search.result import load_baseline
from autoscale.jobs.search.settings import SearchSettings
from autoscale.listener import Silent
from autoscale.runs.job_file import read_job
from autoscale.scaling.budget import parse_budget
from autoscale.scaling.scalable import Design, Network
from autoscale.settings.command import command_line
from tests.conftest import Heard
from tests.design.test_energy import TABLE

B0 = Design(autoscale.published("efficientnet-b0"), rounding_policy("tf"))
LIMITS = ("params=5.2K", "activations=31K", "macs=430K")


def searched(run: Path, **options: Any) -> Any:
    settings = {"space": "tiny", "trials": 2, "epochs": 1, "limit": 16, "kernels": "none"}
    return search_baseline(run, **{**settings, **options})


# Settings


def test_a_limit_on_multiply_adds_is_the_same_setting_however_it_is_given() -> None:
    one = SearchSettings(max_cost=("params=5K", "macs=8M"))
    assert one == SearchSettings(max_cost=("params=5K",), max_macs=8_000_000)
    assert "--max-flops 8000000 --limit params=5K" in command_line(one)
    with pytest.raises(
        InvalidSetting, match=r"^--max-flops 8000000 and --limit macs=8M exclude each other"
    ):
        SearchSettings(max_cost=("macs=8M",), max_macs=8_000_000)


@pytest.mark.parametrize(
    ("file", "typed", "macs", "others"),
    [
        ("max_macs: 8M", "--limit macs=1M", 1_000_000, ()),
        ("max_macs: 8M", "--limit params=1K", 8_000_000, ("params=1K",)),
        ("max_cost: [macs=8M, params=5K]", "--max-flops 1M", 1_000_000, ("params=5K",)),
        ("max_cost: [params=5K]\nmax_macs: 8M", "--limit params=1K --limit macs=1M", 10**6,
         ("params=1K",)),
        ("max_cost: [params=5K]\nlimit: 9", "--limit 16", None, ("params=5K",)),
    ],
)  # fmt: skip
def test_a_limit_that_is_typed_goes_before_that_of_a_job_file(
    tmp_path: Path,
    file: str,
    typed: str,
    macs: int | None,
    others: tuple[str, ...],
) -> None:
    job = tmp_path / "job.yaml"
    reached: list[SearchSettings] = []
    job.write_text(file + "\n")

    def work(settings: SearchSettings, **others: Any) -> None:
        reached.append(settings)

    run = command(SearchSettings, work)
    app = typer.Typer()
    app.command("search-baseline")(run)
    app(["--config", str(job), *typed.split()], standalone_mode=False)
    (settings,) = reached
    assert (settings.max_macs, settings.max_cost) == (macs, others)
    assert settings.limit == (16 if "16" in typed else None)


def test_a_budget_names_any_cost_and_stands_where_the_cost_has_an_option() -> None:
    assert GridSettings(budget="params=2x") == GridSettings(params_budget="2x")
    assert GridSettings(budget="3x", measure="memory") == GridSettings(memory_budget="3x")
    assert GridSettings(measure="params") == GridSettings(params_budget="2x")
    for one in ({"budget": "params=2x"}, {"budget": "2x"}, {"measure": "params"}):
        for own in BUDGETS.values():
            with pytest.raises(InvalidSetting, match="exclude each other; give one of them"):
                GridSettings(**one, **{own: "3x"})
    with pytest.raises(InvalidSetting, match="budget macs=2x is of macs, but measure=params; give"):
        GridSettings(budget="macs=2x", measure="params")
    with pytest.raises(InvalidSetting, match="exclude each other"):
        replace(GridSettings(params_budget="2x"), budget="4x")
    assert GridSettings(params_budget="2x").but(budget="4x") == GridSettings(flops_budget="4x")
    with pytest.raises(InvalidSetting, match="no cost 'joules'; choose from macs"):
        GridSettings(budget="joules=2x")


def test_a_limit_on_a_cost_under_limit_in_a_job_file_is_told_its_key(tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("limit: params=250K\n", encoding="utf-8")
    with pytest.raises(
        InvalidSetting, match=r":1:1: limit must be .*; NAME=VALUE goes under max_c"
    ):
        read_job(job, SearchSettings)


@pytest.mark.parametrize("text", ["-3", "", "2x", "12ms"])
def test_what_is_no_count_is_told_how_limits_and_budgets_are_written(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"write 800M, 1\.5G or a whole number$"):
        SearchSettings(max_cost=(f"params={text}",))
    if text != "2x":
        with pytest.raises(InvalidSetting, match=r"a whole number, or 2x for twice the base$"):
            parse_budget(text, base=1.0)


def test_a_budget_without_its_x_is_told_how_ratios_are_written() -> None:
    with pytest.raises(InvalidSetting, match=r"1\.5 is 2 multiply-adds, .*; write 1\.5x"):
        parse_budget("1.5", base=385e6)
    assert parse_budget("1.5M", base=385e6).limit == 1.5e6
    assert parse_budget("900", base=2000.0).limit == 900  # a tiny base may mean it


@pytest.mark.parametrize("kind", [SearchSettings, GridSettings, FamilySettings])
def test_what_is_no_limit_is_refused_before_anything_is_read(kind: type) -> None:
    with pytest.raises(InvalidSetting, match="not a limit: 'params'"):
        kind(max_cost=("params",))


def test_a_job_file_names_the_table_of_a_cost_wherever_it_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chip.yaml").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    run = Path("run")
    asked = {"cost_measure": "energy:chip.yaml", "max_cost": ("energy:chip.yaml=1J",)}
    found = searched(run, **asked)
    assert found.objective.measure.name == "energy"
    assert list(found.table.energy_uj) == [
        found.objective.cost(t.architecture) for t in found.trials
    ]
    job = (run / "search" / "job.yaml").read_text()
    assert f"energy:{tmp_path / 'chip.yaml'}=1J" in job
    monkeypatch.chdir("/")
    kept = json.loads((tmp_path / "run" / "search" / "settings.json").read_text())["settings"]
    assert kept["objective"]["energy"]["multiply"] == 3.7
    placed = {"cost_measure": f"energy:{tmp_path}/chip.yaml", "max_cost": ()}
    with pytest.raises(RunConflict, match=r"--limit .*1J there, asked for no --limit"):
        searched(tmp_path / "run", **placed)
    (tmp_path / "chip.yaml").write_text(TABLE.replace("3.7", "3.8"))
    with pytest.raises(
        RunConflict,
        match=r"--cost energy:\S+ came to something else there: objective\.energy\.multiply is "
        r"3\.7 there, asked for 3\.8;",
    ) as refused:
        searched(tmp_path / "run", **{**placed, "max_cost": (f"energy:{tmp_path}/chip.yaml=1J",)})
    assert "target" not in str(refused.value)
    hidden = SearchSettings(**asked).without_places()
    assert hidden.max_cost == ("energy:chip.yaml=1J",)


# Search


def test_a_search_keeps_its_limits_and_they_bind_whoever_goes_on(tmp_path: Path) -> None:
    found = searched(tmp_path, max_cost=LIMITS, sampler="random")
    limits = limits_from(LIMITS)
    trained = [trial for trial in found.trials if trial.trained]
    assert len(trained) == 2
    assert not [trial for trial in trained if broken(limits, trial.architecture)]
    recorded = json.loads((tmp_path / "search" / "settings.json").read_text())["settings"]
    assert recorded["max_macs"] == 430_000
    assert recorded["max_cost"] == {"params": {"most": 5200}, "activations": {"most": 31_000}}
    with pytest.raises(RunConflict, match=r"--limit params=5.2K .*--limit params=5.3K"):
        searched(tmp_path, max_cost=("params=5.3K", *LIMITS[1:]), sampler="random")
    longer = searched(tmp_path, max_cost=LIMITS, sampler="random", trials=3)
    assert longer.trials[: len(found.trials)] == found.trials


def test_limits_that_no_design_keeps_are_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(BudgetUnreachable, match="together; the nearest costs"):
        searched(tmp_path, max_cost=("params=2.7K", "activations=22K"))
    assert not (tmp_path / "search" / "trials.jsonl").exists()


def test_a_search_for_few_parameters_says_so_everywhere(tmp_path: Path) -> None:
    heard = Heard()
    found = searched(tmp_path, cost_measure="params", listener=heard)
    assert any(line.startswith("target: ") and "K parameters" in line for line in heard.notices)
    assert load_baseline(tmp_path).objective == found.objective
    assert list(found.table.columns[:6]) == [
        "trial", "status", "accuracy", "macs", "params", "activations"
    ]  # fmt: skip
    figure = autoscale.figures(autoscale.load_run(tmp_path))["front"]
    assert figure.chart.x.title.startswith("Parameters of one image")


def test_a_search_for_little_memory_has_a_column_of_it(tmp_path: Path) -> None:
    found = searched(tmp_path, cost_measure="memory", target="60K", max_cost=("params=6K",))
    memory = MEASURES["memory"]()
    trained = [trial for trial in found.trials if trial.trained]
    assert list(found.table.memory) == [memory.of(trial.architecture) for trial in trained]
    assert found.objective.target == 60_000


def test_a_limit_on_latency_is_timed_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goal, "TIMED", 20)
    monkeypatch.setattr(goal, "PASSES", 5)
    first = searched(tmp_path, max_cost=("latency=10s",))
    monkeypatch.setattr(goal, "time_space", lambda *args: pytest.fail("it was timed again"))
    again = searched(tmp_path, max_cost=("latency=10s",), trials=3)
    assert again.trials[: len(first.trials)] == first.trials
    kept = json.loads((tmp_path / "search" / "settings.json").read_text())["settings"]["max_cost"]
    table = Limit.from_dict("latency", kept["latency"]).measure
    assert table.of(first.trial.architecture) < 10_000


# Grid


def test_a_grid_leaves_candidates_and_rivals_out_and_says_so() -> None:
    settings = GridSettings(budget="2x", step=0.1, max_cost=("params=8M", "memory=12M"))
    race, heard = GridRace.of(B0, settings), Heard()
    assert all(entry.cost.params <= 8_000_000 for entry in race.field)
    assert all(4 * entry.cost.peak <= 12_000_000 for entry in race.field)
    free = GridRace.of(B0, GridSettings(budget="2x", step=0.1))
    assert len(race.required) < len(free.required)
    explain(race, heard)
    assert any(
        " left out: " in line and "over 8,000,000 parameters" in line for line in heard.notices
    )
    assert any(line.startswith("warning: not raced, over a limit: ") for line in heard.notices)
    explain(free, heard := Heard())
    assert not any("left out" in line or "a limit" in line for line in heard.notices)


def test_a_grid_times_networks_for_a_limit_on_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = GridSettings(budget="2x", step=0.1, rivals=False, max_cost=("latency=20ms",))
    assert is_timed(settings)
    assert not is_timed(GridSettings(budget="2x", max_cost=("params=8M",)))

    def timed(watch: Stopwatch, networks: list[Network]) -> list[float]:
        return [network.resolution / 12 for network in networks]

    monkeypatch.setattr(Stopwatch, "__call__", timed)
    watch = Stopwatch(B0.at(1.0, 1.0, 224), NoTimings(), Silent())
    race = GridRace.of(B0, settings, watch)
    assert all(entry.network.resolution <= 240 for entry in race.field)
    assert "over 20 ms" in race.limited.left_out


# Family

UP = autoscale.Growths(up=Coefficients(alpha=1.2, beta=1.1, gamma=1.15))


def test_members_that_break_a_limit_are_left_out_with_a_sentence() -> None:
    family = autoscale.scale_family(B0, UP, phis=[0, 1, 2], max_cost=["params=11M"])
    assert [member.name for member in family.members] == ["phi-0", "phi-1"]
    (said,) = family.left_out.values()
    assert said.startswith("phi-2 is left out: it costs ")
    assert said.endswith(" parameters, over 11,000,000 parameters")
    with pytest.raises(BudgetUnreachable, match="no member keeps the limits; the nearest costs"):
        autoscale.scale_family(B0, UP, phis=[1, 2], max_cost=["params=5M", "memory=1M"])
    with pytest.raises(InvalidSetting, match="latency is measured on a device"):
        autoscale.scale_family(B0, UP, phis=[1], max_cost=["latency=5ms"])


def test_a_family_is_written_without_the_members_that_break_a_limit(tmp_path: Path) -> None:
    heard = Heard()
    autoscale.write_family(
        tmp_path, phi="0..2", baseline="efficientnet-b0", coefficients="1.2,1.1,1.15",
        max_cost=["params=11M"], listener=heard,
    )  # fmt: skip
    names = sorted(path.name for path in (tmp_path / "family").glob("phi*.yaml"))
    assert names == ["phi-0.yaml", "phi-1.yaml"]
    assert any(line.startswith("warning: phi-2 is left out") for line in heard.notices)
