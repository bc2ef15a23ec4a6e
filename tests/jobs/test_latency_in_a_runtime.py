"""Searches and grids whose latency is that of a runtime, in float32 or int8."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import autoscale
from autoscale.cli.app import main
from autoscale.design.measures.latency import LatencyTable
from autoscale.devices.runtimes.registry import RUNTIMES
from autoscale.distribution import missing
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.grid import stopwatch
from autoscale.jobs.grid.candidates import where_timed
from autoscale.jobs.grid.job import grid_search
from autoscale.jobs.grid.plan import plan_grid
from autoscale.jobs.grid.settings import GridSettings
from autoscale.jobs.search import goal
from autoscale.jobs.search.job import search_baseline
from autoscale.jobs.search.result import load_baseline
from tests.conftest import Heard
from tests.designs import two_stages

needs_litert = pytest.mark.skipif(bool(missing("litert")), reason="needs the extra litert")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goal, "TIMED", 20)
    monkeypatch.setattr(goal, "PASSES", 5)
    monkeypatch.setattr(stopwatch, "SECONDS", 0.05)


def design_file(folder: Path) -> Path:
    file = folder / "small.yaml"
    file.write_text(two_stages(10))
    return file


def searched(run: Path, **asked: Any) -> Any:
    settings: dict[str, Any] = {"space": "tiny", "trials": 2, "epochs": 1, "limit": 32}
    return search_baseline(run, **{**settings, "kernels": "none", **asked})


@needs_litert
def test_a_search_for_a_runtime_keeps_to_it(tmp_path: Path, quick: None) -> None:
    asked = {"cost_measure": "latency", "runtime": "litert", "dtype": "int8"}
    searched(tmp_path, **asked)
    table = load_baseline(tmp_path).objective.measure
    assert isinstance(table, LatencyTable)
    assert table.timed_in is not None
    assert (table.timed_in.runtime, table.timed_in.dtype) == ("litert", "int8")
    assert table.timed_in.version == RUNTIMES["litert"].version
    assert LatencyTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table
    for other in ({"dtype": "float32"}, {"runtime": "eager", "dtype": "float32"}):
        flag = "--runtime litert" if "runtime" in other else "--dtype int8"
        with pytest.raises(RunConflict, match=f"{flag} there, asked for"):
            searched(tmp_path, **{**asked, **other}, trials=3)
    grid = where_timed(tmp_path, GridSettings(budget="2x", measure="latency"), "int8")
    assert grid.runtime == "litert"  # as the search
    longer = searched(tmp_path, **asked, trials=3)
    assert longer.objective.measure == table


def board_file(folder: Path, **changes: Any) -> str:
    plain = {"name": "pc", "here": True, "runtime": "litert", "milliseconds": 10_000} | changes
    file = folder / "pc.yaml"
    file.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in plain.items()))
    return str(file)


@needs_litert
def test_a_board_that_is_this_machine_names_the_runtime(tmp_path: Path, quick: None) -> None:
    board = board_file(tmp_path)
    searched(tmp_path, board=board, dtype="int8")
    kept = json.loads((tmp_path / "search" / "settings.json").read_text())["settings"]
    assert kept["timed_in"] == {"runtime": "litert"}
    timed_in = kept["max_cost"]["latency"]["measure"]["timed_in"]
    assert (timed_in["runtime"], timed_in["dtype"]) == ("litert", "int8")
    with pytest.raises(RunConflict, match="--runtime litert there"):
        searched(tmp_path, board=board, dtype="int8", runtime="onnxruntime", trials=3)
    plan = plan_grid(  # in eager torch int8 would be refused
        tmp_path / "grid", board=board, latency_budget="2x", max_candidates=2, rivals=False,
        tolerance=0.5, step=0.5, rounding="tf,divisor=4", baseline=str(design_file(tmp_path)),
        data="synthetic", dtype="int8", limit=32, epochs=1,
    )  # fmt: skip
    assert plan.trainings > 0


def test_what_is_typed_goes_before_the_boards_runtime(tmp_path: Path, quick: None) -> None:
    board = board_file(tmp_path, dtype="float32")
    searched(tmp_path, board=board, runtime="eager")
    kept = json.loads((tmp_path / "search" / "settings.json").read_text())["settings"]
    assert kept["max_cost"]["latency"]["measure"]["timed_in"]["runtime"] == "eager"


def family_of(run: Path, **asked: Any) -> Any:
    plain: dict[str, Any] = {"coefficients": "1.2,1.1,1.15", "phi": "0,5", "rounding": "tf"}
    base = {"baseline": str(design_file(run.parent))}
    return autoscale.write_family(run, **{**base, **plain, **asked})


def test_members_that_take_longer_than_a_limit_are_left_out(tmp_path: Path, quick: None) -> None:
    run = tmp_path / "run"
    both = family_of(run, max_cost=["latency=10s"])
    assert [member.name for member in both.members] == ["phi-0", "phi-5"]
    kept = run / "latency-eager-float32" / "timings.jsonl"
    times = [json.loads(line) for line in kept.read_text().splitlines()]
    first, last = (one["milliseconds"] for one in times)
    again = family_of(run, max_cost=[f"latency={(first + last) / 2}ms"])
    assert [member.name for member in again.members] == ["phi-0"]
    (said,) = again.left_out.values()
    assert said == f"phi-5 is left out: it costs {last:.3g} ms, over {(first + last) / 2:.3g} ms"
    assert len(kept.read_text().splitlines()) == 2  # each is timed once


@needs_litert
def test_a_family_is_timed_as_its_board_says_and_what_was_timed_otherwise_binds_it_not(
    tmp_path: Path, quick: None
) -> None:
    run = tmp_path / "run"
    family_of(run, phi="0", max_cost=["latency=10s"])
    family_of(run, phi="0", board=board_file(tmp_path))
    family_of(run, phi="1", max_cost=["latency=10s"], runtime="litert", dtype="float32")
    kept = {path.name: json.loads((path / "settings.json").read_text())["notes"]
            for path in run.glob("latency-*")}  # fmt: skip
    assert kept == {
        f"latency-{runtime}-{dtype}": {"runtime": runtime, "dtype": dtype}
        for runtime, dtype in (("eager", "float32"), ("litert", "int8"), ("litert", "float32"))
    }


def test_a_later_step_says_that_the_search_kept_to_a_board(tmp_path: Path) -> None:
    board = {"here": False, "runtime": "tflite-micro", "milliseconds": None}
    searched(tmp_path, board=board_file(tmp_path, ram="200KiB", **board))
    heard = Heard()
    autoscale.write_family(tmp_path, phi="0", coefficients="1.2,1.1,1.15", listener=heard)
    assert any(one.startswith("the run's search kept to the board ") for one in heard.notices)


def test_a_board_that_was_edited_is_named_and_what_it_says_now(tmp_path: Path) -> None:
    board = {"here": False, "runtime": "tflite-micro", "milliseconds": None}
    searched(tmp_path, board=board_file(tmp_path, ram="200KiB", **board))
    with pytest.raises(RunConflict) as refused:
        searched(tmp_path, board=board_file(tmp_path, ram="180KiB", **board), trials=3)
    assert "no --limit" not in str(refused.value)
    assert "--board " in str(refused.value)
    assert "max_cost.ram.most is 204800 there, asked for 184320" in str(refused.value)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"dtype": "int8"}, "--dtype int8 says in which numbers latency is measured, and none is"),
        ({"runtime": "litert"}, "neither cost, budget nor limit is latency"),
    ],
    ids=str,
)
def test_a_family_that_is_not_timed_refuses_to_be_told_how(
    tmp_path: Path, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidSetting, match=said):
        family_of(tmp_path / "run", **asked)


def test_milliseconds_of_int8_are_not_kept_by_networks_in_float(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="pc limits milliseconds of int8 networks; add --dt"):
        searched(tmp_path / "run", board=board_file(tmp_path))


def test_a_search_of_an_older_version_goes_on(tmp_path: Path, quick: None) -> None:
    searched(tmp_path, max_cost=("latency=10s",))
    path = tmp_path / "search" / "settings.json"
    record = json.loads(path.read_text())
    assert "timed_in" not in record["settings"]  # that of torch itself is as it always was
    del record["settings"]["max_cost"]["latency"]["measure"]["timed_in"]
    del record["notes"]["runtime"], record["notes"]["dtype"]
    path.write_text(json.dumps(record))
    assert len(searched(tmp_path, max_cost=("latency=10s",), trials=3).trials) >= 3


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"runtime": "litert"}, "--runtime litert says what latency is measured in"),
        (
            {"dtype": "int8", "max_cost": ("latency=12ms",)},
            "got int8 on cpu; choose runtime onnxruntime, openvino or litert",
        ),
        (
            {"runtime": "ncnn", "dtype": "int8", "cost_measure": "latency"},
            "ncnn is measured in float32",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_timed_is_refused_before_anything_is(
    tmp_path: Path, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidSetting, match=said):
        searched(tmp_path, **asked)
    assert not list(tmp_path.rglob("*.json*"))


def test_without_the_extra_a_search_says_at_once_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("autoscale.distribution.find_spec", lambda name: None)
    words = ["--space", "tiny", "--cost", "latency", "--runtime", "litert", "--kernels", "none"]
    assert main(["search-baseline", "--run", str(tmp_path), *words]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert 'the runtime litert needs ai_edge_litert: pip install "autoscale-cnn[litert]"' in told


@needs_litert
def test_a_grid_with_a_budget_in_a_runtime_keeps_to_it(tmp_path: Path, quick: None) -> None:
    asked: dict[str, Any] = {
        "baseline": str(design_file(tmp_path)), "rounding": "tf,divisor=4", "step": 0.5,
        "latency_budget": "2x", "tolerance": 0.5, "max_candidates": 2, "rivals": False,
        "runtime": "litert", "dtype": "int8",
    }  # fmt: skip
    training: dict[str, Any] = {"data": "synthetic", "limit": 32, "epochs": 1, "seeds": 1}
    found = grid_search(tmp_path / "run", **asked, **training)
    assert found.grid.budget.text.endswith("ms")
    kept = json.loads((tmp_path / "run" / "latency" / "settings.json").read_text())
    assert kept["settings"]["timed_in"] == {"runtime": "litert"}
    assert kept["settings"]["dtype"] == "int8"
    with pytest.raises(RunConflict, match="--dtype int8 there, asked for --dtype float32"):
        grid_search(tmp_path / "run", **{**asked, "dtype": "float32"}, **training)
    timings, heard = tmp_path / "run" / "latency" / "timings.jsonl", Heard()
    before = len(timings.read_text().splitlines())
    autoscale.write_family(tmp_path / "run", phi="0,3", max_cost=["latency=10s"], listener=heard)
    assert "timing 1 network in litert, int8" in heard.notices  # the base was timed by the grid
    assert len(timings.read_text().splitlines()) == before + 1


def test_a_grid_with_a_counted_budget_refuses_a_runtime(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"baseline": "efficientnet-b0", "runtime": "onnxruntime"}
    with pytest.raises(InvalidSetting, match="neither cost, budget nor limit is latency"):
        plan_grid(tmp_path, **asked)
