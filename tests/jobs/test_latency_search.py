"""A search that takes predicted latency for cost."""

from pathlib import Path

import pytest

from autoscale.design.workload import workload
from autoscale.errors import InvalidSetting
from autoscale.jobs.search import goal
from autoscale.jobs.search.job import search_baseline
from autoscale.jobs.search.result import load_baseline
from autoscale.jobs.search.spaces import load_space


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goal, "TIMED", 20)
    monkeypatch.setattr(goal, "PASSES", 5)


def searched(run: Path, **options: object) -> object:
    settings = {"space": "tiny", "trials": 3, "epochs": 1, "limit": 32, "kernels": "none"}
    return search_baseline(run, cost_measure="latency", **{**settings, **options})  # type: ignore[arg-type]


def test_the_table_is_kept_and_a_larger_search_goes_on_with_it(
    tmp_path: Path, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched(tmp_path, objective="front")
    first = load_baseline(tmp_path)
    table = first.objective.measure
    assert table is not None
    assert list(first.table.latency_ms) == [
        pytest.approx(table.of(trial.architecture)) for trial in first.trials if trial.trained
    ]
    monkeypatch.setattr(goal, "time_space", lambda *args: pytest.fail("it was timed again"))
    searched(tmp_path, objective="front", trials=5)
    assert load_baseline(tmp_path).objective == first.objective
    assert len(load_baseline(tmp_path).trials) >= 5


def test_the_networks_that_are_timed_run_whatever_the_others_run() -> None:
    space = load_space("mnasnet")
    chosen = goal.spanning(space, goal.TIMED)
    assert len(set(chosen)) == goal.TIMED
    known = {kind for design in chosen for kind, _ in workload(design)}
    drawn = goal.spanning(space, 500)
    assert {kind for design in drawn for kind, _ in workload(design)} == known


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"cost_measure": "joules"}, "choose from macs, params"), ({"target": 0}, "above 0")],
)
def test_a_wrong_goal_is_refused_before_anything_is_timed(
    tmp_path: Path, wrong: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidSetting, match=said):
        search_baseline(tmp_path, space="tiny", trials=1, **wrong)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
