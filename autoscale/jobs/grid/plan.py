"""What a grid would train, how long that would take, and what it could tell."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from autoscale.design.rounding import PAPER, compound, rounding_policy
from autoscale.jobs.costs import cost_from
from autoscale.jobs.grid.candidates import GridRace, GridSettings, explain, root_of
from autoscale.jobs.grid.result import candidate_table
from autoscale.jobs.grid.scaling_base import ImageSettings, ScalingBase, class_count, images_of
from autoscale.jobs.grid.timed import NoTimings, Stopwatch
from autoscale.jobs.workers.memory import training_bytes
from autoscale.jobs.workers.pool import WorkerSettings
from autoscale.jobs.workers.proxy import Trainer
from autoscale.listener import Listener, Silent
from autoscale.scaling.scalable import Design, cost_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a grid would train, how long that would take, and what it could tell."""

    table: pd.DataFrame  # as `candidate_table`
    trainings: int  # at most
    all_trainings: int  # without a race
    seconds: float | None  # None where no images are named
    memory: int | None  # bytes of the dearest training, foretold; None likewise
    precision: pd.DataFrame  # as `precision_table`
    rounding: pd.DataFrame | None  # as `rounding_table`; None for a user's model


def plan_grid(
    run: str | Path,
    settings: GridSettings | None = None,
    *,
    base: ScalingBase | None = None,
    images: ImageSettings | None = None,
    device: str = "cpu",
    threads: int = 1,
    staff: WorkerSettings | None = None,
    listener: Listener | None = None,
) -> Plan:
    """Candidates, time and precision of `grid_search` with the same arguments; nothing is trained.

    Without images a named base is counted with its own number of classes, and time is not known.

    Raises:
        AutoscaleError: one of its kinds, for anything that cannot be done.
    """
    settings, listener = settings or GridSettings(), listener or Silent()
    base, images, run = base or ScalingBase(), images or ImageSettings(), Path(run)
    task = images.task(run, base, device=device)
    scalable = base.scalable(run, num_classes=class_count(base, task))
    watch = Stopwatch(root_of(scalable), NoTimings(), listener, device=device, threads=threads)
    study = GridRace.of(scalable, settings, watch)
    explain(study, listener)
    each = None
    if task is not None:
        loaded = images_of(run, base, task, size=study.largest, listener=listener)
        trainer = Trainer(
            images=loaded, recipe=task.recipe, device=device, threads=threads, kernels=task.kernels
        )
        each = trainer.estimate_seconds([c.network for c in study.field]) / len(study.field)
        each /= (staff or WorkerSettings()).workers
    return Plan(
        table=candidate_table(study.field, study.grid.budget),
        trainings=study.most_trainings,
        all_trainings=study.all_trainings,
        seconds=None if each is None else each * study.most_trainings,
        memory=None
        if task is None
        else max(
            training_bytes(entry.network, task.recipe.batch_size, kernels=task.kernels)
            for entry in study.field
        ),
        precision=precision_table(study, each),
        rounding=rounding_table(scalable, settings)
        if isinstance(scalable, Design) and cost_from(settings.measure).counted
        else None,
    )


def precision_table(study: GridRace, seconds: float | None) -> pd.DataFrame:
    """What a smaller or larger budget of trainings would lose or buy.

    Columns: seeds; trainings (at most); minutes (missing where time is not known);
    distinguishable: the difference, in standard deviations of one training, at which two candidates
    with so many shared seeds each are told apart with 90 % confidence (normal distribution).
    """
    rows = []
    for seeds in range(1, max(5, study.settings.seeds) + 1):
        other = replace(study, settings=replace(study.settings, seeds=seeds, trainings=None))
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
    plain = replace(settings, solve="")
    for name in dict.fromkeys((base.rounding.name, *others)):
        other = Design(base.base, rounding_policy(name))
        budget = plain.budget_of(other)
        points = plain.grid_points(other, budget)
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
