"""A grid never fails for its tolerance alone: what it takes where too few networks keep it."""

import itertools
import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autoscale
from autoscale.design.rounding import rounding_policy
from autoscale.design.space import SearchSpace
from autoscale.errors import BudgetUnreachable
from autoscale.jobs.grid.candidates import (
    GridRace,
    counted_budget,
    explain,
    grid_around,
    grid_points,
)
from autoscale.jobs.grid.job import grid_search, load_grid
from autoscale.jobs.grid.plan import rounding_table
from autoscale.jobs.grid.result import GridResult, candidate_table
from autoscale.jobs.grid.settings import GridSettings
from autoscale.racing.response_surface import Observation
from autoscale.scaling.budget import Budget
from autoscale.scaling.grid import Candidate, Grid, build_grid
from autoscale.scaling.nearness import FEWEST, WIDE, WIDEST, answering, limits, nearest_beyond
from autoscale.scaling.scalable import Design, cost_of
from tests.conftest import Heard

ROOT = Path(__file__).parents[2]
SPACES = sorted(path.stem for path in (ROOT / "search_spaces").glob("*.yaml"))
BUDGETS = ("0.5x", "0.75x", "1.5x", "2x", "3x", "4x")
ROUNDINGS = ("nearest,divisor=4", "tf", "nearest", "tf,divisor=4")
#: Those of `make demo`.
SOLVED = GridSettings(solve=True, move="resolution,width", max_candidates=6, seeds=2)


def designs(name: str, count: int, *, seed: int = 0) -> Iterator[Design]:
    """Random designs of a shipped space, half of them for small images, in turns rounded."""
    space = SearchSpace.from_yaml((ROOT / "search_spaces" / f"{name}.yaml").read_text())
    rng = random.Random(f"{name} {seed}")
    for number in range(count):
        small = space.for_task(resolution=rng.choice((16, 24, 32)), num_classes=3)
        chosen = (space, small)[number % 2]
        yield Design(chosen.sample(rng), rounding_policy(ROUNDINGS[number % 4]))


def first(name: str, place: int = 0) -> Design:
    return next(itertools.islice(designs(name, place + 1), place, None))


def require_a_race(base: Design, settings: GridSettings) -> str:
    """Check what a grid may hold; the answer says which of the cases it is."""
    budget = counted_budget(settings, base)
    every = [grid_points(base, budget, settings)]
    if settings.moved:
        every.append(grid_points(base, budget, replace(settings, solve=False, move=None)))
    growths = np.concatenate([points.growths for points in every])
    try:
        grid = grid_around(base, budget, settings)
    except BudgetUnreachable:
        assert not answering(growths, budget, WIDEST).any()
        assert (np.abs(budget.distance(growths)) > settings.distance).all()
        return "out of reach"
    networks = [entry.network for entry in grid.candidates]
    assert len(set(networks)) == len(networks)
    others = grid.candidates[grid.within :]
    assert all(grid.keeps(entry) for entry in grid.candidates[: grid.within])
    assert not any(grid.keeps(entry) and entry in every[0].candidates(every[0].near)
                   for entry in others)  # fmt: skip
    assert (grid.widened is None) == (not others)
    if not others and grid.within >= FEWEST:
        return "within"
    offs = [abs(np.log(entry.growth / budget.ratio)) for entry in others]
    assert offs == sorted(offs)
    if others:  # nothing nearer was left out
        nearer = growths[np.abs(np.log(growths / budget.ratio)) < offs[-1] - 1e-12]
        nearer = nearer[answering(nearer, budget, WIDEST)]
        assert set(nearer.tolist()) <= {entry.growth for entry in grid.candidates}
        assert answering(np.array([entry.growth for entry in others]), budget, WIDEST).all()
    if len(networks) < FEWEST:  # because there are no more
        factor = WIDEST if len(networks) < 2 else WIDE
        around = set(growths[answering(growths, budget, factor)].tolist())
        assert around <= {entry.growth for entry in grid.candidates}
    return "race" if len(networks) > 1 else "one"


# The law


@pytest.mark.parametrize("name", SPACES)
def test_every_budget_of_a_small_design_has_a_race(name: str) -> None:
    cases = itertools.cycle(itertools.product((SOLVED, GridSettings()), BUDGETS))
    for number, (base, (settings, budget)) in enumerate(
        zip((base for base in designs(name, 4) for _ in range(3)), cases, strict=False)
    ):
        assert require_a_race(base, replace(settings, budget=budget)) in ("within", "race"), number


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_hundreds_of_designs_have_a_race_at_every_budget(name: str) -> None:
    for base in designs(name, 80, seed=1):
        for settings, budget in itertools.product((SOLVED, GridSettings()), BUDGETS):
            case = require_a_race(base, replace(settings, budget=budget))
            assert case in ("within", "race"), (base, budget, settings.solve)


@pytest.mark.parametrize("measure", ["macs", "params", "activations", "memory"])
@pytest.mark.parametrize("budget", ["0.5x", "2x"])
def test_a_budget_of_any_measure_has_a_race(measure: str, budget: str) -> None:
    for move in (None, "resolution,width", "depth"):
        settings = GridSettings(
            budget=budget, measure=measure, solve=bool(move), move=move, tolerance=1e-6
        )
        assert require_a_race(first("tiny"), settings) in ("within", "race", "out of reach")


# What is taken


def far(move: str | None = None) -> tuple[Design, GridSettings]:
    return first("tiny"), GridSettings(tolerance=1e-6, solve=bool(move), move=move, rivals=False)


@pytest.mark.parametrize("move", [None, "resolution,width"])
def test_a_grid_without_networks_within_its_tolerance_takes_the_nearest(move: str | None) -> None:
    base, settings = far(move)
    grid = grid_around(base, counted_budget(settings, base), settings)
    assert grid.within == 0
    assert grid.admitted == 0
    assert len(grid.candidates) >= FEWEST
    distances = [abs(entry.growth / 2 - 1) for entry in grid.candidates]
    assert grid.widened == max(distances) > grid.tolerance
    wide = grid_around(base, grid.budget, replace(settings, tolerance=0.5))
    assert {entry.network for entry in grid.candidates} <= {c.network for c in wide.candidates} | {
        c.network for c in grid.candidates if c.moved
    }


def test_a_grid_with_enough_networks_is_not_widened() -> None:
    base, settings = first("mnasnet"), GridSettings()
    grid = grid_around(base, counted_budget(settings, base), settings)
    assert grid.widened is None
    assert grid.within == len(grid.candidates) >= FEWEST
    asked = replace(settings, max_candidates=1, tolerance=1e-9)
    assert len(grid_around(base, grid.budget, asked).candidates) == 1


def test_a_network_within_the_tolerance_comes_before_the_nearest_others() -> None:
    base, settings = far()
    grid = grid_around(base, counted_budget(settings, base), settings)
    nearest = abs(grid.budget.distance(grid.candidates[0].growth))
    one = grid_around(base, grid.budget, replace(settings, tolerance=float(nearest)))
    assert 1 <= one.within < FEWEST
    assert {c.network for c in one.candidates} == {c.network for c in grid.candidates}


@given(st.floats(0.05, 30), st.floats(0.05, 30), st.sampled_from([1.0, WIDE, WIDEST]))
def test_what_answers_for_a_budget_is_nearer_to_it_than_to_the_base(
    growth: float, ratio: float, factor: float
) -> None:
    budget = Budget(ratio, 1)
    answers = bool(answering(np.array(growth), budget, factor))
    if answers and ratio != 1:
        assert abs(np.log(growth / ratio)) < abs(np.log(growth))
    low, high = limits(budget, factor)
    assert low <= high
    if low * (1 + 1e-9) < growth < high * (1 - 1e-9):
        assert answers
    if not low * (1 - 1e-9) < growth < high * (1 + 1e-9):
        assert not answers


@given(
    st.lists(st.floats(0.2, 8), min_size=1, max_size=12),
    st.sampled_from([0.5, 0.75, 1.0, 1.5, 2.0, 4.0]),
    st.integers(0, 3),
)
def test_the_nearest_are_taken_and_no_more_than_are_needed(
    values: list[float], ratio: float, found: int
) -> None:
    budget = Budget(ratio, 1)
    growths = np.array(values)
    taken = nearest_beyond(growths, lambda growth: [growth], budget, found=found)
    assert len(taken) <= max(0, FEWEST - found)
    assert bool(answering(np.array(taken), budget, WIDEST).all())
    offs = [abs(np.log(growth / ratio)) for growth in taken]
    assert offs == sorted(offs)
    if found + len(taken) < FEWEST:
        left = set(values) - set(taken)
        factor = WIDEST if found + len(taken) < 2 else WIDE
        assert not answering(np.array(sorted(left)), budget, factor).any()


# What cannot be helped


def test_ranges_that_change_nothing_are_refused() -> None:
    base = first("tiny")
    budget = Budget(2 * cost_of(base.base).macs, cost_of(base.base).macs)
    with pytest.raises(
        BudgetUnreachable, match=r"no point of the ranges \(1\) .* widen the ranges"
    ) as one:
        build_grid(base, budget, alphas=(1.0,), betas=(1.0,), gammas=(1.0,), tolerance=0.05)
    assert "\n" not in str(one.value)
    params = GridSettings(budget="2x", measure="params", alpha="1", beta="1")
    with pytest.raises(BudgetUnreachable, match="changes the base's parameters"):
        grid_around(base, counted_budget(params, base), params)


@pytest.mark.parametrize("budget", ["90x", "0.001x"])
@pytest.mark.parametrize("solve", [False, True])
def test_ranges_that_do_not_reach_a_budget_are_refused(budget: str, solve: bool) -> None:
    base, settings = first("mnasnet"), GridSettings(budget=budget, solve=solve)
    with pytest.raises(BudgetUnreachable, match=r"the nearest .* outside the .* widen the ranges"):
        grid_around(base, counted_budget(settings, base), settings)


def test_a_rounding_that_cannot_reach_the_budget_is_a_row_without_networks() -> None:
    base = first("mnasnet")
    settings = GridSettings(budget="90x")
    table = rounding_table(base, settings).set_index("rounding")
    assert (table.points == 0).all()
    assert len(table) == 4


# What is said


def heard(study: GridRace) -> str:
    listener = Heard()
    explain(study, listener)
    (warning,) = [line for line in listener.notices if "needed for a race" in line]
    return warning


def test_a_widened_grid_says_so_and_how_far_each_network_is() -> None:
    base, settings = far()
    study = GridRace.of(base, settings)
    said = heard(study)
    assert said.startswith("warning: no network within 1e-06 of 2x, 3 are needed for a race")
    for entry in study.grid.candidates:
        assert f"{entry.growth:.4g}x ({entry.growth / 2 - 1:+.1%})" in said
    table = candidate_table(study.field, study.grid.budget)
    assert table.distance.to_numpy() == pytest.approx(table.growth / 2 - 1, abs=1e-4)
    assert table.distance.abs().max() == pytest.approx(study.grid.widened, abs=1e-4)


def test_a_grid_of_too_few_networks_says_why() -> None:
    base = first("mnasnet")
    point = GridSettings(alpha="1.2", beta="1.1", gamma="1.15", tolerance=0.3, rivals=False)
    said = heard(GridRace.of(base, point))
    assert "1 network within 0.3 of 2x" in said
    assert "nothing else is between 1.414x and 3x" in said


def test_rivals_may_be_as_far_as_the_farthest_candidate_of_a_widened_grid() -> None:
    for base in designs("tiny", 3):
        study = GridRace.of(base, replace(SOLVED, budget="1.5x"))
        widest = max(0.02, study.grid.widened or 0.0)
        for place in study.required:
            off = study.grid.budget.distance(study.field[place].growth)
            assert abs(off) <= widest
        assert study.rival_distance == widest
        for line in study.missing:
            off = re.search(r"\(([+-][\d.]+)%\)", line)
            assert off is not None
            assert abs(float(off[1])) / 100 > widest - 0.0005


# What is concluded


def raced(growths: list[float], best: int) -> GridResult:
    """A race of three of B0's relatives at these growths, in which one is always ahead."""
    base = first("mnasnet")
    settings = GridSettings(budget="2x", tolerance=0.01, max_candidates=3)
    grid = grid_around(base, counted_budget(settings, base), settings)
    entries: list[Candidate] = [
        replace(entry, growth=growth)
        for entry, growth in zip(grid.candidates[:3], growths, strict=True)
    ]
    scores = [
        Observation(place, seed, 0.5 + 0.3 * (place == best) + 0.001 * ((seed + place) % 2))
        for place in range(3)
        for seed in range(3)
    ]
    faked: Grid = replace(grid, candidates=tuple(entries))
    return GridResult.of(faked, entries, scores)


def test_a_costlier_pick_is_not_silently_called_better() -> None:
    found = raced([2.0, 2.05, 2.2], best=2)
    assert found.index == 2
    assert found.distance == pytest.approx(0.1)
    assert "it costs 2.2x, +10.0% of the 2x asked for" in found.sentence
    assert "up to 10.0% more than those it is compared with" in found.sentence


def test_a_cheaper_pick_says_its_cost_and_no_more() -> None:
    found = raced([2.0, 2.05, 1.8], best=2)
    assert "it costs 1.8x, -10.0%" in found.sentence
    assert "compared with" not in found.sentence


def test_a_pick_of_the_cost_that_was_asked_says_nothing_of_it() -> None:
    assert "it costs" not in raced([2.0, 2.01, 1.99], best=1).sentence
    # The others are cheaper than the tolerance allows: that is said of a pick that keeps it.
    assert "it costs up to 5.3% more" in raced([2.0, 1.95, 1.9], best=0).sentence


def test_a_widened_grid_is_raced_written_and_scaled_to_a_family(
    photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(first("tiny", 1).base.to_yaml())
    settings = GridSettings(
        baseline=str(tmp_path / "small.yaml"),
        rounding="nearest",
        data=str(photos),
        epochs=1,
        tolerance=1e-6,
        max_candidates=2,
        seeds=1,
        rivals=False,
    )
    run = tmp_path / "r"
    found = grid_search(run, settings)
    picked = json.loads((run / "grid" / "coefficients.json").read_text())
    assert picked["within_tolerance"] is False
    assert picked["tolerance"] == 1e-6
    assert picked["distance"] == found.distance == found.best.growth / 2 - 1
    assert picked["growth"] == found.best.growth
    assert "it costs" in picked["verdict"]
    table = pd.read_csv(run / "grid" / "grid.csv")
    assert table.distance[0] == round(found.distance, 4)
    assert load_grid(run)[1].up == found.coefficients
    family = autoscale.write_family(run, phi="0..1")
    assert family.members[1].counts.macs == found.best.cost.macs
    assert family.table.growth[1] == pytest.approx(found.best.measured, abs=1e-4)
