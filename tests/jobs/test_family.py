"""A family and the grids that came before and after it."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

import autoscale
from autoscale.design.rounding import Coefficients, rounding_policy
from autoscale.errors import RunConflict
from autoscale.inspection.read_run import load_run
from autoscale.inspection.status import run_status
from autoscale.jobs.family import job
from autoscale.jobs.grid.candidates import GridRace, explain
from autoscale.jobs.grid.settings import GridSettings
from autoscale.scaling.budget import parse_budget
from autoscale.scaling.family import Growths
from autoscale.scaling.rules import rival
from autoscale.scaling.scalable import Design
from tests.conftest import Heard

UP = Coefficients(alpha=1.2, beta=1.1, gamma=1.15)
DOWN = Coefficients(alpha=1.5, beta=1.0, gamma=1.3)
FINE = Coefficients(alpha=1.0, beta=1.0, gamma=1.3)
OTHER = Coefficients(alpha=1.1, beta=1.3, gamma=1.0)
BASE = Design(autoscale.published("efficientnet-b0"), rounding_policy("tf"))


def written(run: Path, growths: Growths, patch: pytest.MonkeyPatch, **options: Any) -> list[str]:
    patch.setattr(job, "load_grid", lambda run, model=None: (BASE, growths))
    heard = Heard()
    autoscale.write_family(run, listener=heard, **options)
    return heard.notices


def sizes(run: Path) -> dict[str, int]:
    lines = (run / "family" / "family.csv").read_text().splitlines()
    column = lines[0].split(",").index("macs")
    return {line.split(",")[0]: int(line.split(",")[column]) for line in lines[1:]}


@pytest.mark.parametrize("later", ["below", "above"])
def test_a_family_is_written_anew_by_a_grid_on_the_other_side(
    later: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Growths(UP) if later == "below" else Growths(DOWN, DOWN)
    written(tmp_path, first, monkeypatch, phi="-1..1")
    written(tmp_path, first, monkeypatch, budgets="0.9x,8M", measure="params")
    before = sizes(tmp_path)
    said = written(tmp_path, Growths(UP, DOWN), monkeypatch, phi="2")
    assert any("written anew phi--1, phi-0, phi-1, 0.9x-params, 8M-params" in line for line in said)
    fresh = tmp_path / "fresh"
    written(fresh, Growths(UP, DOWN), monkeypatch, phi="-1..2")
    written(fresh, Growths(UP, DOWN), monkeypatch, budgets="0.9x,8M", measure="params")
    assert sizes(tmp_path) == sizes(fresh)
    assert sizes(tmp_path) != before
    kept = json.loads((tmp_path / "family" / "settings.json").read_text())["settings"]
    assert kept["shrinking"] == {"alpha": 1.5, "beta": 1.0, "gamma": 1.3}
    said = written(tmp_path, Growths(UP, DOWN), monkeypatch, phi="2")
    assert said == []


def test_a_member_that_the_new_grid_cannot_give_stays_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, Growths(UP), monkeypatch, budgets="3M", measure="params")
    before = sizes(tmp_path)
    said = written(tmp_path, Growths(UP, FINE), monkeypatch, phi="1")
    assert any(
        "3M-params stays as it was: the parameters of this family do not grow" in line
        for line in said
    )
    assert before.items() <= sizes(tmp_path).items()


def test_a_family_of_other_coefficients_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, Growths(UP), monkeypatch, phi="0,1")
    with pytest.raises(RunConflict, match="growing"):
        written(tmp_path, Growths(OTHER, DOWN), monkeypatch, phi="0,1")
    with pytest.raises(
        RunConflict, match=r"no --coefficients there, asked for --coefficients 1\.5,1"
    ):
        autoscale.write_family(
            tmp_path, phi="0,1", baseline="efficientnet-b0", coefficients=DOWN,
        )  # fmt: skip


def test_a_member_that_breaks_a_later_limit_is_taken_out_of_the_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files() -> set[str]:
        found = {file.stem for file in (tmp_path / "family").glob("*.yaml")}
        return {name for name in found if not name.startswith("job")}

    def counted() -> int:
        return run_status(tmp_path).steps[0].done

    written(tmp_path, Growths(UP), monkeypatch, phi="0..2")
    assert files() == set(sizes(tmp_path)) == {"phi-0", "phi-1", "phi-2"}
    said = written(tmp_path, Growths(UP), monkeypatch, phi="1..3", max_cost=["params=10M"])
    assert sum("is left out: it costs" in line for line in said) == 2
    assert f"{tmp_path}/family/phi-2.yaml of an earlier call is removed, since phi-2" in said[-1]
    assert files() == set(sizes(tmp_path)) == {"phi-0", "phi-1"}
    assert counted() == 2
    assert load_run(tmp_path).family.names == ("phi-0", "phi-1")
    written(tmp_path, Growths(UP), monkeypatch, phi="2")
    assert files() == set(sizes(tmp_path)) == {"phi-0", "phi-1", "phi-2"}
    assert counted() == 3


@pytest.mark.parametrize("name", ["resnet-50", "resnet-18", "efficientnet-b0"])
@pytest.mark.parametrize("budget", ["0.02x", "0.1x", "90x"])
def test_a_rule_far_from_the_base_gives_its_nearest_network(name: str, budget: str) -> None:
    base = Design(autoscale.published(name), rounding_policy("tf"))
    asked = parse_budget(budget, base=float(autoscale.cost(base.base).macs))
    for rule in ("depth only", "width only", "resolution only", "paper"):
        assert rival(base, asked, rule).growth > 0


def test_a_rule_is_left_out_for_the_reason_that_is_said() -> None:
    heard = Heard()
    small = Design(autoscale.load_space("tiny").sample(Random(3)), rounding_policy("tf"))
    explain(GridRace.of(small, GridSettings(budget="1.05x")), heard)
    (line,) = [line for line in heard.notices if "not raced" in line]
    assert "over 10.1% off the budget or nearer to the base than to it at their nearest:" in line
    assert "depth only 1.02x (-2.9%, nearer to the base)" in line
    (line,) = [line for line in heard.notices if "needed for a race" in line]
    assert "3 are needed for a race: taken is the nearest other, 1.156x (+10.1%)" in line


def test_a_grid_of_one_point_speaks_of_one() -> None:
    heard = Heard()
    point = GridSettings(alpha="1.2", beta="1.1", gamma="1.15", tolerance=0.3, rivals=False)
    explain(GridRace.of(BASE, point), heard)
    assert heard.notices[0].startswith("1 point, 1 within 0.3 of 2x")
    assert "1 distinct network; 1 in the race" in heard.notices[0]
    assert "so it is alone; widen the ranges for more" in heard.notices[1]
