"""What a grid would train, how long that would take, and what it could tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from autoscale.design.rounding import PAPER, compound, rounding_policy
from autoscale.jobs.costs import cost_from
from autoscale.jobs.grid.candidates import (
    GridRace,
    counted_budget,
    explain,
    grid_points,
    is_timed,
    root_of,
    where_timed,
)
from autoscale.jobs.grid.result import candidate_table
from autoscale.jobs.grid.scaling_base import require_no_search, require_scorable, scalable_of
from autoscale.jobs.grid.settings import GONE, BaseImageSettings, GridSettings
from autoscale.jobs.grid.stopwatch import NoTimings, Stopwatch
from autoscale.jobs.groups.training import TransferSettings
from autoscale.jobs.reference.settings import ReferenceSettings
from autoscale.listener import Listener, Silent
from autoscale.scaling.scalable import Design, cost_of
from autoscale.settings.command import settings_of
from autoscale.settings.function import takes_settings

if TYPE_CHECKING:
    from autoscale.jobs.grid.forecast import Forecast

#: Settings that say something of trainings; without any, a named design is only counted.
_OF_TRAININGS = (BaseImageSettings, TransferSettings, ReferenceSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a grid would train, how long that would take, and what it could tell."""

    table: pd.DataFrame  # as `candidate_table`
    trainings: int  # at most
    all_trainings: int  # without a race
    reference_trainings: int  # of published networks beside them, each as long as a candidate's
    seconds: float | None  # None where no images are named
    memory: int | None  # bytes of the most expensive training, predicted; None where no images are
    precision: pd.DataFrame  # as `precision_table`
    rounding: pd.DataFrame | None  # as `rounding_table`; None for a user's model


@takes_settings(GridSettings, gone=GONE)
def plan_grid(run: str | Path, settings: GridSettings, *, listener: Listener | None = None) -> Plan:
    """Candidates, time and precision of `grid_search` with the same arguments; nothing is trained.

    Without images a named base is counted with its own number of classes, and time is not known.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    run, listener = Path(run), listener or Silent()
    forecast = _forecast(run, settings)
    base = scalable_of(settings, run, num_classes=None if forecast is None else forecast.classes)
    if forecast is not None:
        forecast = forecast.around(base, listener)
    dtype = (settings.dtype or "float32") if forecast is None else forecast.dtype
    require_scorable(run, base, settings, dtype, listener)
    settings = where_timed(run, settings, dtype)
    watch = None
    if is_timed(settings):
        asked = settings.timing(dtype, settings.device, settings.threads)
        watch = Stopwatch(root_of(base), NoTimings(), listener, asked)
    padding = "symmetric" if forecast is None else forecast.padding
    race = GridRace.of(base, settings, watch, padding=padding)
    explain(race, listener)
    beside, each, once, memory = 0, None, 0.0, None
    if forecast is not None:
        beside = forecast.references(race, listener) * settings.seeds
        each, once, memory = forecast.of_trainings(race, listener)
    return Plan(
        table=candidate_table(race.field, race.grid.budget),
        trainings=race.most_trainings,
        all_trainings=race.all_trainings,
        reference_trainings=beside,
        seconds=None if each is None else once + each * (race.most_trainings + beside),
        memory=memory,
        precision=precision_table(race, each),
        rounding=rounding_table(base, settings)
        if isinstance(base, Design) and cost_from(settings.cost_measure).counted
        else None,
    )


def _forecast(run: Path, settings: GridSettings) -> Forecast | None:
    """What can be known of trainings; None where nothing is said of any, and torch is not needed.

    Raises:
        AutoscaleError: one of its kinds, if there is no such base, or no such weights.
    """
    said = [setting for group in _OF_TRAININGS for setting in settings_of(group)]
    if settings.baseline is not None and all(
        getattr(settings, setting.name) == setting.default for setting in said
    ):
        require_no_search(run)
        return None
    from autoscale.jobs.grid.forecast import Forecast

    return Forecast.of(run, settings)


def precision_table(race: GridRace, seconds: float | None) -> pd.DataFrame:
    """What a smaller or larger budget of trainings would lose or buy.

    Columns: seeds; trainings (at most); minutes (missing where time is not known);
    distinguishable: the difference, in standard deviations of one training, at which two candidates
    with so many shared seeds each are told apart with 90 % confidence (normal distribution).
    """
    rows = []
    for seeds in range(1, max(5, race.settings.seeds) + 1):
        other = replace(race, settings=replace(race.settings, seeds=seeds, trainings=None))
        rows.append(
            {
                "seeds": seeds,
                "trainings": other.most_trainings,
                "minutes": None if seconds is None else seconds * other.most_trainings / 60,
                "distinguishable": 1.645 * (2 / seeds) ** 0.5,
            }
        )
    return pd.DataFrame(rows)


def rounding_table(base: Design, settings: GridSettings) -> pd.DataFrame:
    """What other rounding policies would do to the same grid.

    Columns: rounding; points (within the tolerance by count); networks (distinct ones); nominal
    (points whose alpha * beta**2 * gamma**2 is within the tolerance); kept (those of them that the
    count confirms); median_growth (their measured median); paper (measured growth of the paper's
    coefficients).
    """
    rows = []
    others = ("tf", "nearest", "tf,fixed-ends", "nearest,divisor=4")
    plain = replace(settings, solve=False, move=None)
    for name in dict.fromkeys((base.rounding.name, *others)):
        other = Design(base.base, rounding_policy(name))
        budget = counted_budget(plain, other)
        points = grid_points(other, budget, plain)
        size = points.depth * points.width**2 * points.gamma**2
        nominal = np.flatnonzero(np.abs(budget.distance(size)) <= plain.distance)
        paper = compound(base.base, PAPER, rounding=other.rounding)
        rows.append(
            {
                "rounding": name,
                "points": points.near.size,
                "networks": len(points.candidates(points.near)),
                "nominal": nominal.size,
                "kept": np.intersect1d(nominal, points.near).size,
                "median_growth": float(np.median(points.growths[nominal]))
                if nominal.size
                else None,
                "paper": cost_of(paper).macs / cost_of(base.base).macs,
            }
        )
    return pd.DataFrame(rows)
