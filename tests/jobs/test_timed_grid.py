"""Latency as a budget, with a clock that is known."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from autoscale.design.cost import Cost, cost
from autoscale.design.measures.latency import Latency, LatencyLine
from autoscale.design.published import NETWORKS
from autoscale.devices.timing import latency
from autoscale.errors import BudgetUnreachable, InvalidSetting, RunConflict
from autoscale.jobs.grid import timed as timed_grid
from autoscale.jobs.grid.candidates import GridRace, grid_around
from autoscale.jobs.grid.plan import plan_grid
from autoscale.jobs.grid.scaling_base import scalable_of
from autoscale.jobs.grid.settings import FamilySettings, GridSettings
from autoscale.jobs.grid.stopwatch import NoTimings, Stopwatch
from autoscale.listener import Silent
from autoscale.network.build import build
from autoscale.network.measuring.trace import traced_cost
from autoscale.runs.store import Journal
from autoscale.scaling.budget import Budget
from autoscale.scaling.grid import Grid
from tests.designs import two_stages


class Clock:
    """Times networks by a formula, and counts how many it was asked for."""

    def __init__(self) -> None:
        self.asked = 0
        self.speed = 1.0  # how much slower the machine is just now

    def __call__(
        self, networks: Sequence[Any], *, resolution: Sequence[int], **conditions: Any
    ) -> list[Any]:
        self.asked += len(networks)
        found = [
            traced_cost(
                network if isinstance(network, nn.Module) else build(network), resolution=pixels
            )
            for network, pixels in zip(networks, resolution, strict=True)
        ]
        return [
            SimpleNamespace(
                steady_ms=self.speed * (0.1 + c.macs * 1e-6 + (c.activations / 1e5) ** 1.2)
            )
            for c in found
        ]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(latency, "measure_latencies", made)
    return made


@pytest.fixture
def base(tmp_path: Path) -> FamilySettings:
    (tmp_path / "small.yaml").write_text(two_stages(10))
    return FamilySettings(baseline=str(tmp_path / "small.yaml"), rounding="tf,divisor=4")


SETTINGS = GridSettings(budget="2x", measure="latency", max_candidates=4, step=0.1, tolerance=0.08)


def test_every_candidate_and_rival_takes_what_the_budget_says(
    clock: Clock, base: FamilySettings, tmp_path: Path
) -> None:
    scalable = scalable_of(base, tmp_path, num_classes=None)
    root = scalable.at(1.0, 1.0, 16)
    watch = Stopwatch(root, NoTimings(), Silent())
    study = GridRace.of(scalable, SETTINGS, watch)
    assert len(study.grid.candidates) >= 2
    assert study.required
    for entry in study.field:
        (milliseconds,) = watch([entry.network])
        assert entry.growth == pytest.approx(milliseconds / watch.base_ms)
        assert abs(entry.growth / 2 - 1) <= 0.08
    assert study.grid.budget.text.endswith("ms")


def test_timings_that_were_kept_are_not_taken_again_and_lead_to_the_same_study(
    clock: Clock, base: FamilySettings, tmp_path: Path
) -> None:
    scalable = scalable_of(base, tmp_path, num_classes=None)
    root = scalable.at(1.0, 1.0, 16)
    journal = Journal(tmp_path / "timings.jsonl")
    first = GridRace.of(scalable, SETTINGS, Stopwatch(root, journal, Silent()))
    asked = clock.asked
    again = GridRace.of(scalable, SETTINGS, Stopwatch(root, journal, Silent()))
    assert clock.asked == asked
    assert first.field == again.field
    lines = journal.path.read_text().splitlines(keepends=True)
    journal.path.write_text("".join(lines[:5]))
    clock.speed = 3.0  # another hour, a busier machine
    broken = GridRace.of(scalable, SETTINGS, Stopwatch(root, journal, Silent()))
    assert [c.network for c in broken.field] == [c.network for c in first.field]


def test_an_absolute_latency_is_read_in_its_unit(
    clock: Clock, base: FamilySettings, tmp_path: Path
) -> None:
    scalable = scalable_of(base, tmp_path, num_classes=None)
    watch = Stopwatch(scalable.at(1.0, 1.0, 16), NoTimings(), Silent())
    limit = f"{2 * watch.base_ms:.6f}ms"
    settings = GridSettings(
        budget=limit, measure="latency", max_candidates=2, step=0.1, tolerance=0.08, rivals=False
    )
    study = GridRace.of(scalable, settings, watch)
    assert study.grid.budget.ratio == pytest.approx(2, rel=1e-3)
    with pytest.raises(InvalidSetting, match="not a latency: '5M'"):
        GridRace.of(scalable, GridSettings(budget="5M", measure="latency"), watch)


def test_a_latency_that_nothing_meets_names_the_nearest(
    clock: Clock, base: FamilySettings, tmp_path: Path
) -> None:
    scalable = scalable_of(base, tmp_path, num_classes=None)
    watch = Stopwatch(scalable.at(1.0, 1.0, 16), NoTimings(), Silent())
    settings = GridSettings(budget="90x", measure="latency", max_candidates=2, step=0.5)
    with pytest.raises(BudgetUnreachable, match="of 90x; the nearest"):
        GridRace.of(scalable, settings, watch)


def test_a_latency_that_no_network_keeps_takes_the_nearest_that_were_timed(
    clock: Clock, base: FamilySettings, tmp_path: Path
) -> None:
    scalable = scalable_of(base, tmp_path, num_classes=None)
    watch = Stopwatch(scalable.at(1.0, 1.0, 16), NoTimings(), Silent())
    study = GridRace.of(scalable, replace(SETTINGS, tolerance=1e-9, rivals=False), watch)
    assert study.grid.within == 0
    assert len(study.grid.candidates) == 3
    assert study.grid.admitted == 0
    offs = [abs(np.log(c.growth / 2)) for c in study.grid.candidates]
    assert offs == sorted(offs)
    for entry in study.field:
        (milliseconds,) = watch([entry.network])
        assert entry.growth == pytest.approx(milliseconds / watch.base_ms)
        assert abs(entry.growth / 2 - 1) <= (study.grid.widened or 0)


def test_timed_networks_stay_when_a_corrected_line_foretells_no_others(
    clock: Clock, base: FamilySettings, tmp_path: Path
) -> None:
    scalable = scalable_of(base, tmp_path, num_classes=None)
    watch = Stopwatch(scalable.at(1.0, 1.0, 16), NoTimings(), Silent())
    budget = Budget(2 * watch.base_ms, watch.base_ms, Latency())
    asked: list[Budget] = []

    def build(predicted: Budget) -> Grid:
        asked.append(predicted)
        if len(asked) > 1:
            raise BudgetUnreachable("the line foretells nothing near 2x")
        return grid_around(scalable, predicted, replace(SETTINGS, tolerance=1e-9))

    grid = timed_grid.timed_grid(scalable, watch, budget, build, most=4)
    assert len(asked) == 2
    assert len(grid.candidates) >= 2


def test_a_plan_of_a_latency_budget_writes_nothing(
    clock: Clock, base: FamilySettings, tmp_path: Path
) -> None:
    plan = plan_grid(tmp_path / "r", SETTINGS, baseline=base.baseline, rounding=base.rounding)
    assert len(plan.table) >= 2
    assert not (tmp_path / "r").exists()


def test_damaged_timings_are_refused(base: FamilySettings, tmp_path: Path) -> None:
    path = tmp_path / "timings.jsonl"
    path.write_text('{"network": "x"}\n')
    root = scalable_of(base, tmp_path, num_classes=None).at(1.0, 1.0, 16)
    with pytest.raises(RunConflict, match="timings is damaged"):
        Stopwatch(root, Journal(path), Silent())


# The line


def test_a_line_finds_the_weights_that_made_the_times() -> None:
    costs = [cost(network) for network in list(NETWORKS.values())[:12]]
    times = [0.3 + 2e-8 * c.macs + 5e-7 * c.activations for c in costs]
    line = LatencyLine.fit(costs, times)
    assert [float(line.count(c)) for c in costs] == pytest.approx(times)


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=12))
def test_a_line_never_foretells_a_larger_network_to_be_faster(times: list[float]) -> None:
    costs = [cost(network) for network in list(NETWORKS.values())[: len(times)]]
    line = LatencyLine.fit(costs, times)
    assert min(line.weights) >= 0
    more = Cost(macs=10, params=10, activations=10)
    assert np.all(line.count(costs[0] + more) >= line.count(costs[0]))
