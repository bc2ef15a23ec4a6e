"""`calibrate-w` on a run directory with made-up trials."""

import json
from pathlib import Path
from typing import Any

import pytest

import autoscale
from autoscale.cli.app import main
from autoscale.design.cost import cost
from autoscale.design.measures.registry import MEASURES
from autoscale.errors import InvalidSetting, NotEnoughTrials
from autoscale.jobs.search.spaces import load_space, space_text
from autoscale.runs.records import trial_to_record
from autoscale.runs.store import Journal, StepFolder
from autoscale.search.engine import SearchPlan, search
from autoscale.search.objective import Objective, Score
from autoscale.search.samplers import make_sampler


def begin(run: Path, *, trials: int = 24, w: float = -0.2, measure: str = "macs") -> None:
    """A search that is not finished; accuracy is cost to the power of -w."""
    space = load_space("tiny").for_task(resolution=None, num_classes=3)
    goal = Objective(kind="hard", target=450_000, measure=MEASURES[measure]())
    step = StepFolder(run, "search")
    journal = Journal(step.file("trials.jsonl"))

    def evaluate(architecture: Any, repetition: int) -> Score:
        counted = cost(architecture)
        accuracy = 0.5 * (goal.cost(architecture) / 1e6) ** -w
        return Score(accuracy=accuracy, macs=counted.macs, params=1, activations=1)

    settings = {
        "space": space_text("tiny"),
        "resolution": None,
        "classes": ["a", "b", "c"],
        "objective": goal.to_dict(),
    }
    step.begin(settings, notes={}, journal=journal)
    search(
        SearchPlan(space=space, objective=goal, trials=trials),
        make_sampler("random", seed=0),
        evaluate,
        record=lambda trial: journal.append(trial_to_record(trial)),
    )


def test_the_exponent_of_an_unfinished_search_and_what_it_would_choose(tmp_path: Path) -> None:
    begin(tmp_path)
    found = autoscale.calibrate_w(tmp_path)
    assert found.tradeoff.w == pytest.approx(-0.2, abs=1e-6)
    assert found.tradeoff.networks == 24
    assert "-0.07 lies outside: on this data cost buys more" in found.verdict
    # With the true exponent all are worth the same; with the papers' the dearest is worth most.
    records = [
        json.loads(line) for line in (tmp_path / "search/trials.jsonl").read_text().splitlines()
    ]
    assert found.papers.macs == max(r["score"]["macs"] for r in records if r["score"])


def test_a_search_for_few_parameters_learns_what_a_doubling_of_parameters_buys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path, measure="params")
    found = autoscale.calibrate_w(tmp_path)
    assert found.tradeoff.w == pytest.approx(-0.2, abs=1e-6)
    assert main(["calibrate-w", "--run", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "A doubling of parameters buys +14.9%" in said
    assert f"{found.papers.cost}." in said
    assert found.papers.cost.endswith(" parameters")


def test_limits_choose_where_to_look(tmp_path: Path) -> None:
    begin(tmp_path, trials=40)
    records = [
        json.loads(line) for line in (tmp_path / "search/trials.jsonl").read_text().splitlines()
    ]
    macs = sorted(r["score"]["macs"] for r in records if r["status"] == "finished")
    found = autoscale.calibrate_w(tmp_path, min_macs=macs[5], max_macs=macs[-3])
    assert found.tradeoff.networks == sum(macs[5] <= m <= macs[-3] for m in macs)
    assert macs[5] <= found.papers.macs <= macs[-3]
    with pytest.raises(InvalidSetting, match="lies above the most"):
        autoscale.calibrate_w(tmp_path, min_macs=2, max_macs=1)


def test_too_few_trials_are_refused(tmp_path: Path) -> None:
    begin(tmp_path, trials=6)
    with pytest.raises(NotEnoughTrials, match="6 networks"):
        autoscale.calibrate_w(tmp_path)


def test_the_command_answers_in_text_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path)
    assert main(["calibrate-w", "--run", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "w = -0.200" in said
    assert "The papers' w would choose trial" in said
    assert main(["calibrate-w", "--run", str(tmp_path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["tradeoff"]["w"] == pytest.approx(-0.2, abs=1e-6)
    assert answer["gain"] == pytest.approx(2**0.2 - 1, abs=1e-6)
    assert main(["calibrate-w", "--run", str(tmp_path / "none")]) == 2
    assert main(["calibrate-w", "--run", str(tmp_path), "--max-flops", "350K"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 2
