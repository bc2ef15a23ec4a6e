"""Grids and families around any base, without a search."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import autoscale
from autoscale.design.rounding import Coefficients
from autoscale.errors import InvalidSetting, RunConflict
from autoscale.jobs.grid.candidates import GridRace
from autoscale.jobs.grid.job import grid_search, load_grid
from autoscale.jobs.grid.plan import plan_grid
from autoscale.jobs.grid.scaling_base import describe, policy_of, scalable_from, scalable_of
from autoscale.jobs.grid.settings import FamilySettings, GridSettings, parse_coefficients
from autoscale.models.user_model import UserModel, make
from autoscale.scaling.scalable import Design
from tests.conftest import Heard
from tests.designs import two_stages

OWN = """\
from torch import nn


def build(depth, width, resolution, num_classes=10):
    channels = max(4, round(8 * width))
    layers = [nn.Conv2d(3, channels, 3, stride=2, padding=1), nn.ReLU()]
    for _ in range(max(1, round(2 * depth))):
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)]
        layers += [nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes)]
    return nn.Sequential(*layers)


def no_classes(depth, width, resolution):
    return build(depth, width, resolution)


def broken(depth, width, resolution):
    raise RuntimeError("not today")


def wrong(depth):
    return nn.Identity()


def nothing(depth, width, resolution):
    return None
"""


@pytest.fixture
def small(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(two_stages(10))
    return str(path)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with functions that make networks, importable from the working directory."""
    (tmp_path / "own_nets.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("own_nets", None)
    return "own_nets"


def images(photos: Path) -> dict[str, Any]:
    return {"data": str(photos), "epochs": 1}


# Any base


def test_a_published_network_is_planned_without_images_or_a_run(tmp_path: Path) -> None:
    plan = plan_grid(tmp_path / "r", baseline="efficientnet-b0")
    assert plan.seconds is None
    assert len(plan.table) == 23  # 20 of the grid, 3 rivals that are not among them
    assert plan.rounding is not None
    row = plan.rounding.set_index("rounding").loc["tf"]
    assert (row.points, row.networks, row.nominal, row.kept) == (45, 20, 108, 5)
    assert row.paper == pytest.approx(2.573, abs=5e-4)
    assert row.median_growth == pytest.approx(2.557, abs=2e-3)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("name", ["resnet-50", "mobilenet-v2", "mobilenet-v1", "tinynet-c"])
def test_every_family_is_scaled_with_its_own_rounding(name: str, tmp_path: Path) -> None:
    settings = GridSettings(baseline=name, step=0.25, tolerance=0.1)
    study = GridRace.of(scalable_of(settings, tmp_path, num_classes=None), settings)
    assert study.field
    assert policy_of(settings) == {"resnet-50": "int", "mobilenet-v1": "int"}.get(
        name, "mobilenet-v2" if name == "mobilenet-v2" else "tinynet"
    )
    assert len(study.required) + len(study.missing) >= 4


def test_a_base_is_fitted_to_small_images_and_their_classes(tmp_path: Path) -> None:
    settings = FamilySettings(baseline="efficientnet-b0", resolution=32)
    found = scalable_of(settings, tmp_path, num_classes=7)
    assert isinstance(found, Design)
    assert found.base.num_classes == 7
    assert found.base.resolution / found.base.reduction >= 4


def test_a_grid_and_a_family_need_no_search(photos: Path, small: str, tmp_path: Path) -> None:
    run = tmp_path / "r"
    base = {"baseline": small, "rounding": "nearest,divisor=4"}
    settings = GridSettings(tolerance=0.2, step=0.1, max_candidates=2, seeds=1, rivals=False)
    found = grid_search(run, settings, **base, **images(photos))
    assert len(found.observations) >= 1
    scalable, growths = load_grid(run)
    assert describe(scalable) == describe(scalable_of(GridSettings(**base), run, num_classes=3))
    assert growths.down is None
    family = autoscale.write_family(run, phi="0..1")
    assert family.members[0].counts.macs < family.members[-1].counts.macs


def test_the_same_grid_continues_where_it_was_broken(
    photos: Path, small: str, tmp_path: Path
) -> None:
    base = {"baseline": small, "rounding": "nearest,divisor=4"}
    settings = GridSettings(tolerance=0.2, step=0.1, max_candidates=4, seeds=2, rivals=False)
    whole = grid_search(tmp_path / "a", settings, **base, **images(photos))
    again = grid_search(tmp_path / "b", settings, **base, **images(photos))
    journal = tmp_path / "b" / "grid" / "trainings.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:2]))
    resumed = grid_search(tmp_path / "b", settings, **base, **images(photos))
    assert whole.observations == again.observations == resumed.observations
    assert whole.table.equals(resumed.table)


def test_more_seeds_prolong_a_grid_and_equal_a_new_one(
    photos: Path, small: str, tmp_path: Path
) -> None:
    base = {"baseline": small, "rounding": "nearest,divisor=4"}
    few = GridSettings(tolerance=0.2, step=0.1, max_candidates=2, seeds=1, rivals=False, race=False)
    many = replace(few, seeds=2, max_candidates=3)
    grid_search(tmp_path / "a", few, **base, **images(photos))
    heard = Heard()
    longer = grid_search(tmp_path / "a", many, **base, **images(photos), listener=heard)
    assert len(heard.done) == 4
    fresh = grid_search(tmp_path / "b", many, **base, **images(photos))
    assert longer.observations == fresh.observations
    assert longer.table.equals(fresh.table)


def test_another_grid_in_the_same_directory_is_refused(
    photos: Path, small: str, tmp_path: Path
) -> None:
    base = {"baseline": small, "rounding": "nearest,divisor=4"}
    settings = GridSettings(tolerance=0.2, step=0.1, max_candidates=2, seeds=1, rivals=False)
    grid_search(tmp_path, settings, **base, **images(photos))
    for other in (replace(settings, step=0.05), settings.but(budget="3x")):
        with pytest.raises(RunConflict, match=r"--step|--flops-budget"):
            grid_search(tmp_path, other, **base, **images(photos))


def test_a_journal_of_something_else_is_refused(photos: Path, small: str, tmp_path: Path) -> None:
    base = {"baseline": small, "rounding": "nearest,divisor=4"}
    settings = GridSettings(tolerance=0.2, step=0.1, max_candidates=2, seeds=1, rivals=False)
    grid_search(tmp_path, settings, **base, **images(photos))
    (tmp_path / "grid" / "trainings.jsonl").write_text('{"score": null}\n')
    with pytest.raises(RunConflict, match="not an outcome of a training"):
        grid_search(tmp_path, settings, **base, **images(photos))


def test_without_a_race_every_candidate_gets_every_seed(
    photos: Path, small: str, tmp_path: Path
) -> None:
    base = {"baseline": small, "rounding": "nearest,divisor=4"}
    settings = GridSettings(
        tolerance=0.2, step=0.1, max_candidates=2, seeds=2, rivals=False, race=False
    )
    found = grid_search(tmp_path, settings, **base, **images(photos))
    assert list(found.table.seeds) == [2, 2]


# Down


def test_a_grid_below_the_base_serves_smaller_members(
    photos: Path, small: str, tmp_path: Path
) -> None:
    base = {"baseline": small, "rounding": "nearest,divisor=4"}
    settings = GridSettings(
        budget="0.5x", tolerance=0.2, step=0.1, max_candidates=2, seeds=1, rivals=False
    )
    found = grid_search(tmp_path, settings, **base, **images(photos))
    assert found.best.growth == pytest.approx(0.5, rel=0.2)
    picked = json.loads((tmp_path / "shrink" / "coefficients.json").read_text())
    assert picked["phi"] == -1
    _, growths = load_grid(tmp_path)
    assert growths.down is not None
    family = autoscale.write_family(tmp_path, phi="-1")
    assert family.members[0].counts.macs == found.best.cost.macs


def test_two_grids_of_different_bases_are_no_family(
    photos: Path, small: str, tmp_path: Path
) -> None:
    settings = GridSettings(tolerance=0.2, step=0.1, max_candidates=1, seeds=1, rivals=False)
    down = GridSettings(
        budget="0.5x", tolerance=0.2, step=0.1, max_candidates=1, seeds=1, rivals=False
    )
    one, other = "nearest,divisor=4", "nearest"
    grid_search(tmp_path, settings, baseline=small, rounding=one, **images(photos))
    grid_search(tmp_path, down, baseline=small, rounding=other, **images(photos))
    with pytest.raises(RunConflict, match="around different bases"):
        load_grid(tmp_path)


# A model of the user's


def test_a_users_function_is_scaled_by_trace(own: str, tmp_path: Path) -> None:
    model = UserModel(f"{own}:build", 16, 3)
    base = model.at(1.0, 1.0, 16)
    module = make(base)
    assert base.cost.params == sum(p.numel() for p in module.parameters())
    assert base.cost.macs == 8 * 8 * (3 * 8 * 9 + 2 * 8 * 8 * 9) + 8 * 3
    assert model.at(1.1, 1.0, 16) == base  # rounds to the same layers
    assert model.at(2.0, 1.0, 16).layers == base.layers + 2
    assert scalable_from(describe(model), model=model.name).at(1.0, 1.0, 16) == base


def test_a_users_model_is_raced_and_scaled_to_a_family(
    photos: Path, own: str, tmp_path: Path
) -> None:
    base: dict[str, Any] = {"model": f"{own}:build", "resolution": 16}
    settings = GridSettings(step=0.25, tolerance=0.3, max_candidates=2, seeds=1, rivals=False)
    run = tmp_path / "r"
    found = grid_search(run, settings, **base, **images(photos))
    assert found.best.growth == pytest.approx(2, rel=0.3)
    with pytest.raises(InvalidSetting, match=f"add --model {own}:build"):
        autoscale.write_family(run, phi="0..1")
    with pytest.raises(InvalidSetting, match="has decided --resolution"):
        autoscale.write_family(run, phi="0..1", **base)
    autoscale.write_family(run, phi="0..1", model=f"{own}:build")
    member = autoscale.load_member(run / "family" / "phi-0.yaml")
    assert member.model == f"{own}:build"
    assert (member.depth, member.width, member.resolution) == (1, 1, 16)
    assert list(pd.read_csv(run / "family" / "family.csv").phi) == [0, 1]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("no_classes", r"answers with shape \(1, 10\), the images have 3 classes"),
        ("broken", "failed: RuntimeError: not today"),
        ("wrong", "cannot call"),
        ("nothing", "gives a NoneType; it must give an nn.Module"),
        ("missing", "has no 'missing'"),
    ],
)
def test_a_function_that_makes_no_such_network_is_refused(
    photos: Path, own: str, tmp_path: Path, function: str, said: str
) -> None:
    base: dict[str, Any] = {"model": f"{own}:{function}", "resolution": 16}
    settings = GridSettings(step=0.5, tolerance=0.5, max_candidates=1, seeds=1, rivals=False)
    with pytest.raises(InvalidSetting, match=said):
        grid_search(tmp_path / "r", settings, **base, **images(photos))


# What is refused


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"trainings": 0}, "trainings must be at least 1"),
        ({"trainings": 3, "race": False}, "--no-race and --trainings 3 exclude each other"),
        ({"max_candidates": 0}, "max_candidates must be at least 1"),
    ],
)
def test_settings_that_make_no_grid(settings: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        GridSettings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"baseline": "resnet-18", "model": "a:b"},
            "--baseline resnet-18 and --model a:b exclude each other",
        ),
        ({"resolution": 32}, "leave --resolution out"),
        ({"baseline": "resnet-18", "resolution": 0}, "resolution must be at least 1, got 0"),
        ({"model": "a:b", "rounding": "tf"}, "leave --rounding out"),
        ({"rounding": "odd"}, "no rounding policy"),
    ],
)
def test_settings_that_make_no_base(settings: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidSetting, match=said):
        GridSettings(**settings)  # type: ignore[arg-type]


def test_images_are_needed_to_train_and_a_searchs_choices_stand(
    tmp_path: Path, photos: Path
) -> None:
    base = {"baseline": "resnet-18"}
    with pytest.raises(InvalidSetting, match="name them with --data"):
        grid_search(tmp_path / "r", **base)
    with pytest.raises(InvalidSetting, match="holds no search"):
        grid_search(tmp_path / "r", epochs=3)
    run = tmp_path / "s"
    autoscale.search_baseline(
        run, data=str(photos), space="tiny", resolution=16, trials=1, epochs=1
    )
    with pytest.raises(InvalidSetting, match="has decided --epochs"):
        grid_search(run, epochs=3)
    with pytest.raises(InvalidSetting, match="holds a search with a baseline of its own"):
        grid_search(run, **base, **images(photos))


def test_a_family_of_a_named_base_needs_coefficients(tmp_path: Path) -> None:
    base = {"baseline": "efficientnet-b0"}
    with pytest.raises(InvalidSetting, match=r"give --coefficients 1\.2,1\.1,1\.15"):
        autoscale.write_family(tmp_path, phi="0", **base)
    family = autoscale.write_family(
        tmp_path, budgets="2x", **base, coefficients=parse_coefficients("1.2,1.1,1.15")
    )
    assert family.members[0].counts.macs <= 2 * 385_814_752
    for options in ({"num_classes": 3}, {"rounding": "tf", "phi": "1"}):
        with pytest.raises(InvalidSetting, match=r"leave --classes out|no finished grid"):
            autoscale.write_family(tmp_path, **{"phi": "0", **options})
    assert parse_coefficients("1, 2,3") == Coefficients(alpha=1, beta=2, gamma=3)
    for text in ("1,2", "a,b,c", ""):
        with pytest.raises(InvalidSetting, match="not coefficients"):
            parse_coefficients(text)
