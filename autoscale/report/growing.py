"""How to grow: the grid's race as a section of the page, and its surface as a picture."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from autoscale.metrics.names import ACCURACY, Quality
from autoscale.report.charts import triangle
from autoscale.report.charts.axis import Axis
from autoscale.report.charts.marks import Key, Shape, Tone
from autoscale.report.charts.plot import Mark
from autoscale.report.charts.rows import Row, Rows
from autoscale.report.charts.triangle import Spot, Triangle, TriangleFrame
from autoscale.report.document import Figure, Section, each_row
from autoscale.report.references import reference_figure, verdicts
from autoscale.report.wording import (
    in_float,
    percent,
    points,
    quality_axis,
    quality_in,
    readable,
    tick,
)
from autoscale.runs.contents import GridContents, Record, Run

#: What a candidate is to the pick: its tone and its meaning.
STANDINGS: dict[str, tuple[Tone, str]] = {
    "pick": ("pick", "the pick"),
    "tied": ("main", "tied with it"),
    "behind": ("quiet", "measurably behind"),
    "failed": ("bad", "failed"),
}


def grid_sections(run: Run) -> list[Section]:
    """One section for each grid; one that says how to make one if there is none."""
    if not run.grids:
        return [
            Section(
                key="grid",
                title="How to grow",
                missing=f"No grid yet: `autoscale grid --run {run.path} --flops-budget 2x` finds "
                "how depth, width and resolution should grow together.",
            )
        ]
    return [_section(grid) for grid in run.grids]


def _section(grid: GridContents) -> Section:
    picked, first = grid.picked, grid.candidates.iloc[0]
    ratio = picked["budget"]["limit"] / picked["budget"]["base"]
    references = picked.get("references", [])
    drawn = (_surface(grid), _candidates(grid), _leads(grid), _beside_published(grid, references))
    return Section(
        key=grid.name,
        title=f"How to {'grow' if ratio >= 1 else 'shrink'} to {ratio:.3g}x the cost",
        text=(
            f"Picked: alpha {first.alpha:.4g}, beta {first.beta:.4g}, gamma {first.gamma:.4g}; "
            f"nominally {picked['nominal']:.3f}x, counted after rounding "
            f"{picked['measured']:.3f}x, from {picked['trainings']} trainings.",
            f"Verdict: {picked['verdict']}.",
            *verdicts(references),
        ),
        figures=tuple(figure for figure in drawn if figure is not None),
        missing="The surface was not kept by the version that made this grid: repeat its command."
        if grid.surface is None
        else "",
    )


def standings(candidates: pd.DataFrame) -> pd.Series:
    """What each candidate is to the pick; grids of older versions know the pick alone."""
    if "standing" in candidates:
        return candidates.standing
    told = ["pick", *["tied"] * (len(candidates) - 1)]
    return pd.Series(told, index=candidates.index)


def candidate_name(row: Any) -> str:
    """The multipliers of a candidate and the rules that it stands for."""
    return f"({row.alpha:.3g}, {row.beta:.3g}, {row.gamma:.3g}) {row.rules}".strip()


def candidate_tip(row: Any, standing: str, quality: Quality = ACCURACY) -> str:
    """What the page says of a candidate at the pointer."""
    measured = "not trained"
    if row.seeds:
        share = percent(getattr(row, quality.column))
        measured = f"{share}{in_float(row)}, mean of {row.seeds} seeds"
    return (
        f"{candidate_name(row)}: {STANDINGS[standing][1]}\n{measured}\n"
        f"estimated {percent(row.estimate)} ({percent(row.low)} to {percent(row.high)})\n"
        f"{row.macs:,} multiply-adds, {row.pixels} pixels"
    )


def _shape(row: Any, standing: str) -> Shape:
    return "diamond" if standing == "pick" else "dot" if row.seeds else "ring"


def _legend(candidates: pd.DataFrame) -> Iterator[Key]:
    held = set(standings(candidates))
    for name, (tone, meaning) in STANDINGS.items():
        if name in held:
            yield Key("diamond" if name == "pick" else "dot", tone, meaning)


# The surface of equal cost


def surface_chart(
    candidates: pd.DataFrame,
    surface: pd.DataFrame,
    frame: TriangleFrame = triangle.PAGE,
    quality: Quality = ACCURACY,
) -> Triangle:
    """Where on the surface of equal cost the quality is high, and where the candidates lie.

    Args:
        candidates: as `GridResult.table`, the pick first.
        surface: as `GridResult.surface`.
        frame: where it is drawn.
        quality: what the candidates are compared by.
    """
    told = list(zip(each_row(candidates), standings(candidates), strict=True))
    return Triangle(
        tiles=tuple(
            ((row.depth, row.width, row.resolution), row.estimate) for row in each_row(surface)
        ),
        step=float(surface.step.iloc[0]),
        # The pick last, so that nothing covers it.
        spots=tuple(_spot(row, standing, quality) for row, standing in reversed(told)),
        quantity=f"estimated {quality.label}",
        ends=(tick(surface.estimate.min()), tick(surface.estimate.max())),
        frame=frame,
    )


def _spot(row: Any, standing: str, quality: Quality) -> Spot:
    named = ["pick"] if standing == "pick" else []
    return Spot(
        growth=(row.depth, row.width, row.resolution),
        tip=candidate_tip(row, standing, quality),
        tone=STANDINGS[standing][0],
        shape=_shape(row, standing),
        radius=4.0 + min(int(row.seeds), 5),
        label=": ".join([*named, *([row.rules] if row.rules else [])]),
    )


def _surface(grid: GridContents) -> Figure | None:
    if grid.surface is None:
        return None
    quality = quality_in(grid.record)
    names = ("depth", "width", "resolution", "estimate", "low", "high")
    table = readable(grid.surface, *names, quality=quality)
    return Figure(
        key=f"{grid.name}-surface",
        title="The surface of equal cost",
        chart=surface_chart(grid.candidates, grid.surface, quality=quality),
        legend=tuple(_legend(grid.candidates)),
        caption="Every place costs the same; the corners spend all growth on one dimension. "
        f"{_misses(grid.candidates)}The "
        f"shade is the {quality.label} that all trainings together suggest. Larger marks: more "
        "seeds; hollow: not trained. Positions are what the multipliers became after rounding.",
        table=table.sort_values(f"estimated {quality.label}", ascending=False),
    )


def _misses(candidates: pd.DataFrame) -> str:
    """By how much the candidates miss the budget; "" where an older version did not keep it."""
    if "distance" not in candidates:
        return ""
    off = candidates.distance
    return f"The candidates miss the budget by {off.min():+.1%} to {off.max():+.1%}. "


# The candidates, and the simpler ways of growing


def _candidates(grid: GridContents) -> Figure:
    table, told = grid.candidates, standings(grid.candidates)
    quality = quality_in(grid.record)
    rows = [
        Row(
            name=f"{candidate_name(row)}  {row.seeds} seed{'' if row.seeds == 1 else 's'}",
            value=row.estimate,
            low=row.low,
            high=row.high,
            more=(getattr(row, quality.column),) if row.seeds else (),
            tone=STANDINGS[standing][0],
            shape=_shape(row, standing),
            tip=candidate_tip(row, standing, quality),
        )
        for row, standing in zip(each_row(table), told, strict=True)
    ]
    shown = readable(table, "alpha", "beta", "gamma", "rules", "nominal", "measured", "macs",
                     "pixels", "seeds", quality.column, "estimate", "low", "high",
                     quality=quality)  # fmt: skip
    return Figure(
        key=f"{grid.name}-candidates",
        title="Candidates, the best estimate first",
        chart=Rows(
            axis=quality_axis(
                [*table.low, *table.high, *table[quality.column].dropna()], quality=quality
            ),
            rows=tuple(rows),
        ),
        legend=(*_legend(table), Key("whisker", "main", "90 % interval")),
        caption="(alpha, beta, gamma): multipliers of depth, width and resolution. The large mark "
        "is what all trainings together suggest of the network, the small pale dot the mean of its "
        "own scores.",
        table=shown.assign(standing=[STANDINGS[name][1] for name in told]),
    )


def _leads(grid: GridContents) -> Figure | None:
    """The pick against each rule; None where no other rule was raced."""
    quality = quality_in(grid.record)
    others = grid.rivals[(grid.rivals.low != 0) | (grid.rivals.high != 0)]
    if others.empty:
        return None
    same = grid.rivals[~grid.rivals.index.isin(others.index)].rule
    note = f" The pick is itself: {', '.join(same)}." if len(same) else ""
    return Figure(
        key=f"{grid.name}-leads",
        title="Lead over simpler ways of growing",
        chart=Rows(
            axis=Axis.around(
                [0.0, *grid.rivals.low, *grid.rivals.high],
                title=f"Lead of the pick, points of {quality.label}",
                text=lambda share: f"{100 * share:+.3g}",
            ),
            rows=tuple(_lead_rows(each_row(others))),
            zero=0.0,
        ),
        legend=(
            Key("dot", "good", "ahead: the 90 % interval lies above 0"),
            Key("dot", "quiet", "not separated"),
        ),
        caption="Each rule was brought to the same counted cost within 2 % and trained with the "
        f"same seeds.{note}",
        table=readable(grid.rivals, "rule", "alpha", "beta", "gamma", "growth",
                       quality.column, "seeds", "lead", "low", "high", quality=quality),
    )  # fmt: skip


def _beside_published(grid: GridContents, references: Sequence[Record]) -> Figure | None:
    if not references:  # so that these are judged by accuracy
        return None
    told = list(zip(each_row(grid.candidates), standings(grid.candidates), strict=True))
    own = [
        Mark(
            x=row.macs,
            y=row.accuracy,
            tone=STANDINGS[standing][0],
            shape=_shape(row, standing),
            label=standing if standing == "pick" else "",
            tip=candidate_tip(row, standing),
        )
        for row, standing in reversed(told)
        if row.seeds
    ]
    return reference_figure(
        f"{grid.name}-published",
        references,
        own,
        split="validation",
        legend=tuple(_legend(grid.candidates)),
    )


def _lead_rows(rivals: Iterator[Any]) -> Iterator[Row]:
    for row in rivals:
        yield Row(
            name=f"{row.rule} ({row.alpha:.3g}, {row.beta:.3g}, {row.gamma:.3g})",
            value=row.lead,
            low=row.low,
            high=row.high,
            tone="good" if row.low > 0 else "quiet",
            tip=f"{row.rule}: the pick leads by {points(row.lead)} points\n"
            f"({points(row.low)} to {points(row.high)} at 90 %)\n{row.seeds} seeds shared",
        )
