"""A run looked at from outside."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoscale.cli.app import main
from autoscale.design.cost import cost
from autoscale.errors import EvaluationFailed, InvalidSetting
from autoscale.inspection.status import StepStatus, run_status
from autoscale.jobs.search.spaces import load_space, space_text
from autoscale.jobs.train.settings import TrainSettings
from autoscale.runs.at_work import AtWork
from autoscale.runs.job_file import write_job
from autoscale.runs.records import Outcome, outcome_to_record, trial_to_record
from autoscale.runs.store import Journal, StepFolder
from autoscale.search.engine import SearchPlan, Trial, search
from autoscale.search.objective import Objective, Score
from autoscale.search.samplers import make_sampler

GOAL = Objective(kind="hard", target=450_000)
SECONDS = 2.0  # of every training


def begin(run: Path, *, asked: int = 12) -> list[Trial]:
    """A search of 8 trainings, two of which break in ways that differ in a number alone."""
    space = load_space("tiny").for_task(resolution=None, num_classes=3)
    step = StepFolder(run, "search")
    journal = Journal(step.file("trials.jsonl"))
    settings = {
        "space": space_text("tiny"),
        "resolution": None,
        "classes": ["a", "b", "c"],
        "objective": GOAL.to_dict(),
    }
    step.begin(settings, notes={"trials": asked, "data": "x"}, journal=journal)
    calls = 0

    def evaluate(architecture: Any, repetition: int, look: Any = None) -> Score:
        nonlocal calls
        calls += 1
        if calls in (3, 6):
            raise EvaluationFailed(f"the loss is not finite after {calls} steps")
        macs = cost(architecture).macs
        if look is not None:
            look(1, macs / 1e6)
        return Score(
            accuracy=min(1.0, macs / 1e6), macs=macs, params=1, activations=1, seconds=SECONDS
        )

    return search(
        SearchPlan(space=space, objective=GOAL, trials=8),
        make_sampler("random", seed=0),
        evaluate,
        record=lambda trial: journal.append(trial_to_record(trial)),
    )


def search_of(run: Path) -> StepStatus:
    return run_status(run).steps[0]


def test_an_unfinished_search_says_what_is_done_what_failed_and_what_is_left(
    tmp_path: Path,
) -> None:
    trials = begin(tmp_path)
    found = search_of(tmp_path)
    assert (found.step, found.state, found.held) == ("search", "unfinished", False)
    assert (found.done, found.asked, found.failed) == (8, 12, 2)
    assert [(f.cause, f.count) for f in found.failures] == [
        ("the loss is not finite after 3 steps", 2)
    ]
    assert found.seconds == 6 * SECONDS
    assert found.seconds_left == 4 * SECONDS
    assert found.facts["finished"] == 6
    assert found.facts["repeats"] == sum(trial.status == "repeat" for trial in trials)
    assert found.facts["baseline"] is None
    scored = [(t.score.accuracy, t) for t in trials if t.score]
    _, best = max(scored, key=lambda one: GOAL.worth(one[0], one[1].architecture))
    assert found.facts["best"].trial == best.number


def test_a_finished_search_names_its_baseline_and_needs_no_more_time(tmp_path: Path) -> None:
    trials = begin(tmp_path)
    chosen = next(trial for trial in trials if trial.score)
    StepFolder(tmp_path, "search").write_result(
        "baseline.json", {"trial": chosen.number, "accuracies": [0.25, 0.75]}
    )
    found = search_of(tmp_path)
    assert found.state == "finished"
    assert found.seconds_left == 0
    assert found.facts["baseline"].trial == chosen.number
    assert found.facts["baseline"].judged == 0.5


def test_the_steps_that_are_there_are_listed_in_the_order_of_the_recipe(tmp_path: Path) -> None:
    begin(tmp_path)
    score = Score(accuracy=0.5, macs=1, params=1, activations=1, seconds=3.0)
    for name, settings, notes in (
        ("grid", {"base": {}}, {"most_trainings": 5, "rivals": True}),
        ("check", {"networks": 4, "seeds": 2}, {}),
    ):
        step = StepFolder(tmp_path, name)
        journal = Journal(step.file("trainings.jsonl"))
        step.begin(settings, notes=notes, journal=journal)
        journal.append(outcome_to_record(Outcome(key="a", score=score)))
        journal.append(outcome_to_record(Outcome(key="b", cause="out of memory")))
    family = StepFolder(tmp_path, "family")
    members = Journal(family.file("members.jsonl"))
    family.begin({}, notes={}, journal=members)
    for name in ("phi-0", "phi-1", "phi-1"):
        members.append({"name": name})
    train = StepFolder(tmp_path, "train")
    epochs = Journal(train.file("epochs.jsonl"))
    train.begin({"task": {"recipe": {"epochs": 10}}}, notes={}, journal=epochs)
    epochs.append({"number": 1, "seconds": 7.0})
    steps = {step.step: step for step in run_status(tmp_path).steps}
    assert list(steps) == ["search", "check", "grid", "family", "train"]
    assert (steps["check"].done, steps["check"].asked, steps["check"].failed) == (2, 6, 1)
    assert steps["check"].seconds_left == 4 * 3.0
    assert steps["grid"].asked == 5
    assert steps["grid"].failures[0].cause == "out of memory"
    assert (steps["family"].done, steps["family"].unit) == (2, "members")
    assert (steps["train"].done, steps["train"].seconds_left) == (1, 63.0)


def test_a_run_that_is_worked_on_is_said_to_be_running(tmp_path: Path) -> None:
    if not Path("/proc/locks").exists():
        pytest.skip("only Linux lists its locks")
    begin(tmp_path)
    with StepFolder(tmp_path, "search").locked():
        assert run_status(tmp_path).working
        assert search_of(tmp_path).state == "running"
    assert run_status(tmp_path).working is False
    assert search_of(tmp_path).state == "unfinished"


def test_looking_changes_no_byte_even_where_a_line_is_being_written(tmp_path: Path) -> None:
    begin(tmp_path)
    journal = tmp_path / "search" / "trials.jsonl"
    with journal.open("a") as other:
        other.write('{"number": 8, "sta')
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert search_of(tmp_path).done == 8
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda step: step.file("settings.json").write_text("{"),
        lambda step: step.file("settings.json").write_text('{"format": 2}'),
        lambda step: step.file("trials.jsonl").write_text("[]\n"),
        lambda step: step.file("baseline.json").write_text('{"trial": 999, "accuracies": []}'),
        lambda step: step.file("baseline.json").write_text('{"trial": "x", "accuracies": 3}'),
    ],
)
def test_a_damaged_step_does_not_hide_the_others(
    tmp_path: Path, damage: Callable[[StepFolder], object]
) -> None:
    begin(tmp_path)
    family = StepFolder(tmp_path, "family")
    family.begin({}, notes={}, journal=Journal(family.file("members.jsonl")))
    damage(StepFolder(tmp_path, "search"))
    first, second = run_status(tmp_path).steps
    assert first.state == "unreadable"
    assert "search" in first.problem
    assert (second.step, second.state) == ("family", "unfinished")


def test_a_folder_without_a_run_is_named_with_the_way_to_begin(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InvalidSetting, match="holds no run; begin with: autoscale search"):
            run_status(place)


def test_the_command_of_a_step_is_told_and_a_damaged_job_hides_nothing_else(
    tmp_path: Path,
) -> None:
    step = StepFolder(tmp_path, "train")
    recipe = {"recipe": {"epochs": 3}}
    step.begin(recipe, notes={}, journal=Journal(step.file("epochs.jsonl")))
    assert run_status(tmp_path).steps[0].commands == ()  # as an older version left it
    write_job(step, TrainSettings(network="b0.yaml", data="my photos", epochs=3))
    (line,) = run_status(tmp_path).steps[0].commands
    assert line == f"autoscale train --run {tmp_path} b0.yaml --data 'my photos' --epochs 3"
    step.file("job.yaml").write_text("epochs: many\n")
    found = run_status(tmp_path).steps[0]
    assert (found.state, found.asked, found.commands) == ("unfinished", 3, ())
    assert found.problem.endswith("job.yaml:1:1: epochs must be a whole number, got 'many'")


def test_people_read_a_table_and_machines_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path)
    assert main(["status", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for part in (
        "8 of 12 trainings",
        "search: 2 failed: the loss is not finite after 3 steps",
        "6 finished",
        "best: trial",
        "No process works on it now.",
    ):
        assert part in " ".join(shown.split())
    assert main(["status", str(tmp_path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["working"] is False
    assert answer["steps"][0]["failed"] == 2
    assert answer["steps"][0]["facts"]["best"]["macs"] > 0


def test_a_run_that_was_copied_elsewhere_says_the_same(tmp_path: Path) -> None:
    begin(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert run_status(tmp_path / "there").steps == run_status(tmp_path / "here").steps


def test_trainings_at_work_are_shown_while_a_process_holds_the_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(tmp_path)
    step = StepFolder(tmp_path, "search")
    with step.locked(), AtWork(step) as desk:
        done = desk.begin("5M multiply-adds, seed 0")
        desk.begin("[b]9M[/b] multiply-adds, seed 0")
        assert [piece.name for piece in search_of(tmp_path).at_work] == [
            "5M multiply-adds, seed 0",
            "[b]9M[/b] multiply-adds, seed 0",
        ]
        assert main(["status", str(tmp_path)]) == 0
        assert "at work for 0 s: [b]9M[/b] multiply-adds, seed 0" in capsys.readouterr().out
        done()
        assert len(search_of(tmp_path).at_work) == 1
        left = step.file("at-work.json").read_text()
    step.file("at-work.json").write_text(left)  # as after a kill
    assert search_of(tmp_path).at_work == ()


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "3", '{"process": PID}', '{"process": PID, "pieces": 3}',
                '{"process": PID, "pieces": [{"name": 1, "since": "x"}]}',
                '{"process": PID, "pieces": [], "x": NaN}',
                '{"process": 1, "pieces": [{"name": "of another process", "since": 1}]}']
)  # fmt: skip
def test_a_strange_list_of_what_is_at_work_counts_as_none(tmp_path: Path, content: str) -> None:
    begin(tmp_path)
    step = StepFolder(tmp_path, "search")
    with step.locked():
        step.file("at-work.json").write_text(content.replace("PID", str(os.getpid())))
        found = search_of(tmp_path)
    assert (found.state, found.at_work) == ("running", ())
