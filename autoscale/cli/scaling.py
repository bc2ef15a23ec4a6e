"""The commands that scale, `autoscale grid` and `autoscale family`: what they answer."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from autoscale.cli.search import show_references
from autoscale.jobs.grid.settings import FamilySettings, GridSettings
from autoscale.settings.command import Groups
from autoscale.settings.option import option

if TYPE_CHECKING:
    import pandas as pd

    from autoscale.jobs.family.scale import Family
    from autoscale.jobs.grid.plan import Plan
    from autoscale.jobs.grid.result import GridResult

# Jobs are imported where they are used: `autoscale --help` must not wait for torch.


@dataclass(frozen=True, kw_only=True)
class GridOptions(GridSettings):
    """What a grid may be asked for, and how it answers."""

    exclusive: ClassVar[Groups] = (("plan", "plot"),)  # a plan trains nothing

    plan: bool = option(
        False,
        "Show candidates, time and precision; train nothing.",
        binds=False,
        recorded=False,
    )
    plot: Path | None = option(
        None,
        "Draw the race on the surface of equal cost into this .svg, .html or .png file.",
        binds=False,
        recorded=False,
    )


def grid_command(settings: GridOptions, *, run: Path, as_json: bool) -> None:
    """Find how depth, width and resolution should grow, or shrink, together within a budget."""
    from autoscale.cli.terminal import working
    from autoscale.jobs.grid.job import grid_search
    from autoscale.jobs.grid.plan import plan_grid
    from autoscale.report.writing import draw_race

    with working() as listener:
        if settings.plan:
            planned = plan_grid(run, settings, listener=listener)
        else:
            found = grid_search(run, settings, listener=listener)
    if settings.plan:
        _show_plan(planned, as_json)
        return
    if settings.plot is not None:
        draw_race(found, settings.plot)
    _show_grid(found, run, as_json)


def family_command(settings: FamilySettings, *, run: Path, as_json: bool) -> None:
    """Write the family: the base scaled to sizes or budgets, one YAML file a member."""
    from autoscale.cli.terminal import Live
    from autoscale.jobs.family.job import write_family

    found = write_family(run, settings, listener=Live())
    _show_family(found, run, as_json, with_weights=settings.weights is not None)


_NETWORK = ("alpha", "beta", "gamma", "nominal", "measured", "distance", "depth", "width",
            "resolution", "blocks", "channels", "pixels", "macs", "params")  # fmt: skip
EFFECTIVE = "depth, width, resolution: what the multipliers became after rounding"
GROWTH = "growth: of what the budget limits, over the base's"


def _grown(columns: tuple[str, ...], table: pd.DataFrame) -> tuple[str, ...]:
    """The columns, with the growth of what the budget limits in the place of multiply-adds' if that
    is another cost."""
    other = bool((table["growth"] != table["measured"]).any())
    return tuple("growth" if other and name == "measured" else name for name in columns)


def _show_plan(planned: Plan, as_json: bool) -> None:
    from autoscale.cli.terminal import CONVENTION, explain, records, say, show_json, show_table
    from autoscale.listener import duration

    if as_json:
        show_json(
            {
                "convention": CONVENTION,
                "trainings": planned.trainings,
                "all_trainings": planned.all_trainings,
                "reference_trainings": planned.reference_trainings,
                "seconds": planned.seconds,
                "memory": planned.memory,
                "candidates": records(planned.table),
                "precision": records(planned.precision),
                "rounding": records(planned.rounding) if planned.rounding is not None else None,
            }
        )
        return
    columns = _grown((*_NETWORK, "points", "moved", "rules"), planned.table)
    show_table(
        planned.table,
        title="Candidates",
        columns=columns,
        spare=(
            "nominal",
            "depth",
            "width",
            "resolution",
            "points",
            "params",
            "moved",
            "distance",
            "macs",
        ),
    )
    if planned.rounding is not None:
        show_table(
            planned.rounding,
            title="The same grid under other roundings",
            columns=tuple(planned.rounding.columns),
            spare=("kept", "nominal", "median_growth"),
        )
    show_table(
        planned.precision,
        title="What more or fewer seeds would tell (in standard deviations of one training)",
        columns=tuple(planned.precision.columns),
    )
    time = f", about {duration(planned.seconds)}" if planned.seconds is not None else ""
    if planned.memory is not None:
        time += f"; the most expensive needs about {planned.memory / 2**30:.2g} GiB"
    beside = planned.reference_trainings
    more = f" and {beside} of published networks" if beside else ""
    say(
        f"At most {planned.trainings} trainings of {planned.all_trainings}{more}{time}; "
        "nothing was trained."
    )
    explain(CONVENTION)
    if "growth" in columns:
        explain(GROWTH)
    explain(EFFECTIVE)


def _show_grid(found: GridResult, run: Path, as_json: bool) -> None:
    from autoscale.cli.terminal import (
        CONVENTION,
        explain,
        is_brief,
        records,
        say,
        show_json,
        show_table,
    )
    from autoscale.design.measures.macs import MACS
    from autoscale.metrics.names import ACCURACY

    point = found.coefficients
    if as_json:
        show_json(
            {
                "convention": CONVENTION,
                "coefficients": {"alpha": point.alpha, "beta": point.beta, "gamma": point.gamma},
                "verdict": found.sentence,
                **({} if found.quality == ACCURACY else {"quality": found.quality.label}),
                "seed_noise": found.seed_noise,
                "trainings": len(found.observations),
                "candidates": records(found.table),
                "rivals": records(found.rival_table),
                "references": [reference.to_dict() for reference in found.references],
            }
        )
        return
    share = found.quality.column
    every = ("alpha", "beta", "gamma", "nominal", "measured", "distance", "depth", "width",
               "resolution", "pixels", "macs", "rules", "seeds", share, "accuracy_float",
               "estimate", "low", "high")  # fmt: skip
    columns = _grown(tuple(name for name in every if name in found.table), found.table)
    shown = show_table(
        found.table,
        title="Candidates, best estimate first",
        columns=columns,
        spare=(
            "nominal",
            "depth",
            "width",
            "resolution",
            "macs",
            share,
            "accuracy_float",
            "distance",
            "pixels",
        ),
    )
    if len(found.rival_table) and not is_brief():
        show_table(
            found.rival_table,
            title="The pick's lead over simpler ways of growing, at equal cost",
            columns=("rule", "alpha", "beta", "gamma", "growth", share, "seeds", "lead",
                     "low", "high"),
            spare=("seeds", "growth"),
        )  # fmt: skip
    measured = f"measured {found.best.measured:.3f}x"
    if (measure := found.grid.budget.measure) != MACS:
        measured = f"{found.best.growth:.3f}x in {measure.noun}, {measured} in multiply-adds"
    say(
        f"Picked alpha {point.alpha:g}, beta {point.beta:g}, gamma {point.gamma:.4g}: nominal "
        f"{point.nominal:.3f}x, {measured}. Verdict: {found.sentence} -> {run}"
    )
    show_references(found.references)
    of = "" if found.quality == ACCURACY else f" of the {found.quality.label}"
    explain(f"estimate, low, high: what all trainings together suggest{of}, its interval at 90 %")
    if "growth" in columns:
        explain(GROWTH)
    if "macs" in shown:
        explain(CONVENTION)
    if "depth" in shown:
        explain(EFFECTIVE)


def _show_family(found: Family, run: Path, as_json: bool, *, with_weights: bool) -> None:
    from autoscale.cli.terminal import CONVENTION, explain, records, say, show_json, show_table

    if as_json:
        show_json(
            {
                "convention": CONVENTION,
                "members": records(found.table),
                "stalls": found.stalls,
                "left_out": list(found.left_out.values()),
            }
        )
        return
    columns = ("name", "phi", "depth", "width", "resolution", "blocks", "pixels", "macs", "growth",
               "params", "dropout", "drop_path")  # fmt: skip
    show_table(
        found.table,
        title="Family, smallest first",
        columns=columns,
        spare=("dropout", "drop_path", "resolution", "blocks", "phi"),
    )
    say(f"One YAML file a member -> {run / 'family'}")
    if with_weights:
        member = run / "family" / f"{found.members[-1].name}.yaml"
        say(
            "Beside each the weights that it begins with: autoscale train "
            f"{shlex.quote(str(member))} --recipe finetune"
        )
    explain(CONVENTION)
