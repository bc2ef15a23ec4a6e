"""How to grow, and what grew, as sections of a page: the grid's race and the family."""

from math import sqrt
from typing import Any

import pandas as pd

from autoscale.design.budget import format_count
from autoscale.design.cost import cost
from autoscale.design.published import FAMILIES
from autoscale.report.chart import (
    RIGHT,
    Mark,
    Path,
    Row,
    Scale,
    Shape,
    Tone,
    drawn,
    plot,
    rows,
    words,
    wrapped,
)
from autoscale.report.document import Figure, Section, each_row
from autoscale.report.iso_cost import place
from autoscale.report.searching import percent, whole_percent
from autoscale.runs.contents import FamilyContents, GridContents, Run

#: The triangle of equal cost: corners of depth, width and resolution only.
CORNERS = ((200.0, 34.0), (36.0, 300.0), (364.0, 300.0))
TONES: dict[str, Tone] = {"pick": "pick", "tied": "main", "behind": "quiet", "failed": "bad"}
STANDINGS = {"pick": "the pick", "tied": "tied with it", "behind": "measurably behind",
             "failed": "failed"}  # fmt: skip
#: The published families that a new one is set beside.
BESIDE = ("efficientnet", "mobilenet-v2", "resnet")


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
    return [_grid(grid) for grid in run.grids]


def _grid(grid: GridContents) -> Section:
    ratio = grid.picked["budget"]["limit"] / grid.picked["budget"]["base"]
    title = f"How to {'grow' if ratio >= 1 else 'shrink'} to {ratio:.3g}x the cost"
    figures = [_intervals(grid)]
    missing = ""
    if grid.surface is None:
        missing = "The surface was not kept by the version that made this grid: repeat its command."
    else:
        figures.insert(0, _triangle(grid, grid.surface))
    if len(grid.rivals):
        figures.append(_leads(grid))
    picked = grid.picked
    coefficients = ", ".join(
        f"{name} {value:.4g}"
        for name, value in zip(("alpha", "beta", "gamma"), _pick(grid), strict=True)
    )
    return Section(
        key=grid.name,
        title=title,
        text=(
            f"Picked: {coefficients}; nominally {picked['nominal']:.3f}x, counted after rounding "
            f"{picked['measured']:.3f}x, from {picked['trainings']} trainings.",
            f"Verdict: {picked['verdict']}.",
        ),
        figures=tuple(figures),
        missing=missing,
    )


def _pick(grid: GridContents) -> tuple[float, float, float]:
    first = grid.candidates.iloc[0]
    return float(first.alpha), float(first.beta), float(first.gamma)


def _standing(grid: GridContents) -> pd.Series:
    """What each candidate is to the pick; grids of older versions know the pick alone."""
    if "standing" in grid.candidates:
        return grid.candidates.standing
    told = ["pick", *["tied"] * (len(grid.candidates) - 1)]
    return pd.Series(told, index=grid.candidates.index)


def _name(row: Any) -> str:
    point = f"({row.alpha:.3g}, {row.beta:.3g}, {row.gamma:.3g})"
    return f"{point} {row.rules}".strip()


def _tip(row: Any, standing: str) -> str:
    measured = f"{percent(row.accuracy)}, mean of {row.seeds} seeds" if row.seeds else "not trained"
    return (
        f"{_name(row)}: {STANDINGS[standing]}\n{measured}\nbelieved {percent(row.believed)} "
        f"({percent(row.low)} to {percent(row.high)})\n{row.macs:,} multiply-adds, "
        f"{row.pixels} pixels"
    )


def _misses(candidates: pd.DataFrame) -> str:
    """By how much the candidates miss the budget; "" where an older version did not keep it."""
    if "distance" not in candidates:
        return ""
    off = candidates.distance
    return f"The candidates miss the budget by {off.min():+.1%} to {off.max():+.1%}. "


def _triangle(grid: GridContents, surface: pd.DataFrame) -> Figure:
    low, high = float(surface.believed.min()), float(surface.believed.max())
    side = CORNERS[2][0] - CORNERS[1][0]
    radius = 1.04 * float(surface.step.iloc[0]) * side / sqrt(3)
    body = []
    for row in each_row(surface):
        x, y = place(row.depth, row.width, row.resolution, corners=CORNERS)
        share = (row.believed - low) / (high - low) if high > low else 0.5
        corners = " ".join(
            f"{x + radius * dx:.1f},{y + radius * dy:.1f}"
            for dx, dy in ((0, -1), (0.866, -0.5), (0.866, 0.5), (0, 1), (-0.866, 0.5),
                           (-0.866, -0.5))
        )  # fmt: skip
        body.append(f'<polygon class="tile" style="--share:{share:.0%}" points="{corners}"/>')
    outline = " ".join(f"{x:.0f},{y:.0f}" for x, y in CORNERS)
    body.append(f'<polygon points="{outline}" fill="none" class="axis"/>')
    (top_x, top_y), (left_x, left_y), (right_x, right_y) = CORNERS
    body += [
        words(top_x, top_y - 12, "depth only", kind="label", anchor="middle"),
        words(left_x - 30, left_y + 22, "width only", kind="label"),
        words(right_x + 30, right_y + 22, "resolution only", kind="label", anchor="end"),
        words(RIGHT - 4, 40, "believed accuracy", kind="tick", anchor="end"),
        words(RIGHT - 104, 72, whole_percent(low), kind="tick"),
        words(RIGHT - 4, 72, whole_percent(high), kind="tick", anchor="end"),
    ]
    body += [
        f'<rect class="tile" style="--share:{step * 5}%" x="{RIGHT - 104 + step * 5}" y="46" '
        'width="5.5" height="12"/>'
        for step in range(20)
    ]
    standings = _standing(grid)
    # The pick last, so that nothing covers it.
    for row, standing in reversed(list(zip(each_row(grid.candidates), standings, strict=True))):
        at = place(row.depth, row.width, row.resolution, corners=CORNERS)
        shape: Shape = "diamond" if standing == "pick" else "dot" if row.seeds else "ring"
        body.append(
            drawn(shape, *at, tone=TONES[standing], tip=_tip(row, standing),
                  radius=4.0 + min(int(row.seeds), 5))
        )  # fmt: skip
    shown = surface[["depth", "width", "resolution", "believed", "low", "high"]].round(4)
    return Figure(
        key=f"{grid.name}-surface",
        title="The surface of equal cost",
        svg=wrapped(body, title="The surface of equal cost", height=332),
        legend=_legend(standings),
        caption="Every place costs the same; the corners spend all growth on one dimension. "
        f"{_misses(grid.candidates)}The "
        "shade is the accuracy that all trainings together suggest. Larger marks: more seeds; "
        "hollow: not trained. Positions are what the multipliers became after rounding.",
        table=shown.sort_values("believed", ascending=False),
    )


def _legend(standings: pd.Series) -> tuple[tuple[str, Tone, str], ...]:
    held = [name for name in STANDINGS if (standings == name).any()]
    return tuple(
        ("diamond" if name == "pick" else "dot", TONES[name], STANDINGS[name]) for name in held
    )


def _intervals(grid: GridContents) -> Figure:
    table, standings = grid.candidates, _standing(grid)
    axis = Scale.around(
        [*table.low, *table.high, *table.accuracy.dropna()],
        title="Accuracy on validation images", text=whole_percent, limits=(0, 1),
    )  # fmt: skip
    entries = [
        Row(
            name=f"{_name(row)}  {row.seeds} seed{'' if row.seeds == 1 else 's'}",
            value=row.believed,
            low=row.low,
            high=row.high,
            more=(row.accuracy,) if row.seeds else (),
            tone=TONES[standing],
            shape="diamond" if standing == "pick" else "dot" if row.seeds else "ring",
            tip=_tip(row, standing),
        )
        for row, standing in zip(each_row(table), standings, strict=True)
    ]
    shown = table[["alpha", "beta", "gamma", "rules", "nominal", "measured", "macs", "pixels",
                   "seeds", "accuracy", "believed", "low", "high"]].copy()  # fmt: skip
    shown["standing"] = [STANDINGS[name] for name in standings]
    return Figure(
        key=f"{grid.name}-candidates",
        title="Candidates, believed best first",
        svg=rows(axis, entries, title="Candidates, believed best first"),
        legend=(*_legend(standings), ("whisker", "main", "90 % interval")),
        caption="(alpha, beta, gamma): multipliers of depth, width and resolution. The large mark "
        "is what all trainings together suggest of the network, the small pale dot the mean of its "
        "own scores.",
        table=shown.round(4),
    )


def _leads(grid: GridContents) -> Figure:
    others = grid.rivals[(grid.rivals.low != 0) | (grid.rivals.high != 0)]
    ends = [0.0, *grid.rivals.low, *grid.rivals.high]
    axis = Scale.around(
        ends, title="Lead of the pick, points of accuracy", text=lambda v: f"{100 * v:+.3g}"
    )
    entries = [
        Row(
            name=f"{row.rule} ({row.alpha:.3g}, {row.beta:.3g}, {row.gamma:.3g})",
            value=row.lead,
            low=row.low,
            high=row.high,
            tone="good" if row.low > 0 else "quiet",
            tip=f"{row.rule}: the pick leads by {100 * row.lead:.1f} points\n"
            f"({100 * row.low:.1f} to {100 * row.high:.1f} at 90 %)\n{row.seeds} seeds shared",
        )
        for row in each_row(others)
    ]
    same = grid.rivals[~grid.rivals.index.isin(others.index)].rule
    note = f" The pick is itself: {', '.join(same)}." if len(same) else ""
    return Figure(
        key=f"{grid.name}-leads",
        title="Lead over simpler ways of growing",
        svg=rows(axis, entries, title="Lead over simpler ways of growing", zero=0.0)
        if entries
        else wrapped([], title="No other way of growing was raced", height=1),
        legend=(
            ("dot", "good", "ahead: the 90 % interval lies above 0"),
            ("dot", "quiet", "not separated"),
        ),
        caption="Each rule was brought to the same counted cost within 2 % and trained with the "
        f"same seeds.{note}",
        table=grid.rivals[["rule", "alpha", "beta", "gamma", "growth", "accuracy", "seeds", "lead",
                           "low", "high"]].round(4),
    )  # fmt: skip


def family_section(run: Run) -> Section:
    """The members, their accuracy where it is known, and their size among others."""
    title = "The family"
    scaling = _scaling(run)
    if run.family is None:
        return Section(
            key="family",
            title=title,
            figures=(scaling,) if scaling else (),
            missing=f"No family yet: `autoscale family --run {run.path} --phi 0..3` writes one.",
        )
    missing = ""
    if not run.trainings:
        missing = (
            f"No member was trained in full yet: `autoscale train {run.path}/family/NAME.yaml "
            f"--data PHOTOS --run runs/NAME`, then `autoscale report --run {run.path} --trained "
            "runs/NAME`. Published networks trained on the same images stand beside them the same "
            "way."
        )
    members = run.family.members
    least, most = members.iloc[0], members.iloc[-1]
    shown = members[["name", "phi", "depth", "width", "resolution", "pixels", "macs", "growth",
                     "params", "dropout", "drop_path"]]  # fmt: skip
    return Section(
        key="family",
        title=title,
        text=(
            f"{len(members)} members from {format_count(least.macs)} to {format_count(most.macs)} "
            "multiply-adds.",
        ),
        figures=tuple(f for f in (scaling, _sizes(run, run.family)) if f),
        tables=(("Members", shown),),
        missing=missing,
    )


def _scaling(run: Run) -> Figure | None:
    """Accuracy of each way of growing, and of what was trained in full."""
    marks: list[Mark] = []
    paths: list[Path] = []
    table: list[dict[str, object]] = []

    def add(name: str, macs: float, accuracy: float, how: str) -> None:
        table.append({"network": name, "multiply-adds": int(macs), "accuracy": round(accuracy, 4),
                      "training": how})  # fmt: skip

    start: tuple[float, float] | None = None
    if run.search and run.search.baseline and run.search.baseline.score and run.search.accuracy:
        start = (float(run.search.baseline.score.macs), run.search.accuracy)
        marks.append(
            Mark(x=start[0], y=start[1], shape="diamond", tone="pick", label="baseline",
                 low=min(run.search.accuracies), high=max(run.search.accuracies),
                 tip=f"Baseline\n{percent(start[1])}\n{start[0]:,.0f} multiply-adds")
        )  # fmt: skip
        add("baseline", *start, "short")
    grid = next((grid for grid in run.grids if grid.name == "grid"), None)
    if grid is not None:
        for number, row in enumerate(each_row(grid.candidates)):
            if not row.seeds or not (number == 0 or row.rules):
                continue
            name = "pick" if number == 0 else str(row.rules)
            tone: Tone = "pick" if number == 0 else "quiet"
            marks.append(
                Mark(x=row.macs, y=row.believed, low=row.low, high=row.high, tone=tone,
                     shape="diamond" if number == 0 else "dot", label=name,
                     tip=_tip(row, _standing(grid).iloc[number]))
            )  # fmt: skip
            add(name, row.macs, row.believed, "short, believed")
            if start:
                paths.append(Path(points=(start, (float(row.macs), float(row.believed))),
                                  tone=tone, dashed=number > 0))  # fmt: skip
    own = set(run.family.names) if run.family else set()
    trained = sorted((one.result for one in run.trainings), key=lambda one: one.macs)
    for one in trained:
        ours = one.name in own
        marks.append(
            Mark(x=one.macs, y=one.validation_accuracy, tone="good" if ours else "other",
                 label=one.name,
                 tip=f"{one.name}, trained in full ({one.epochs} epochs)\n"
                 f"{percent(one.validation_accuracy)} on validation images"
                 + (f", {percent(one.test_accuracy)} on test images"
                    if one.test_accuracy is not None else "")
                 + f"\n{one.macs:,} multiply-adds, {one.params:,} parameters")
        )  # fmt: skip
        add(one.name, one.macs, one.validation_accuracy, f"in full, {one.epochs} epochs")
    members = tuple((float(o.macs), o.validation_accuracy) for o in trained if o.name in own)
    if len(members) > 1:
        paths.append(Path(points=members, tone="good"))
    if len(marks) < 2:
        return None
    x = Scale.around(
        [mark.x for mark in marks], title="Multiply-adds of one image (logarithmic)",
        text=format_count, logarithmic=True,
    )  # fmt: skip
    ends = [v for mark in marks for v in (mark.y, mark.low, mark.high) if v is not None]
    y = Scale.around(ends, title="Accuracy on validation images", text=whole_percent, limits=(0, 1))
    legend: list[tuple[str, Tone, str]] = []
    if grid is not None:
        legend += [("diamond", "pick", "baseline and the pick"), ("dot", "quiet", "one dimension "
                   "or another rule")]  # fmt: skip
    if members:
        legend.append(("dot", "good", "members trained in full"))
    if len(trained) > len(members):
        legend.append(("dot", "other", "other networks trained in full"))
    different = {one.images for one in run.trainings}
    if run.search:
        different.add(str(run.search.record["settings"]["images"]))
    note = " Not all were trained on the same images." if len(different) > 1 else ""
    return Figure(
        key="scaling",
        title="Accuracy by way of growing",
        svg=plot(x, y, marks, paths, title="Accuracy by way of growing"),
        legend=tuple(legend),
        caption="Short trainings as in the search, whiskers: 90 % interval. Trainings in full use "
        f"another recipe and are compared among themselves.{note}",
        table=pd.DataFrame(table),
    )


def _sizes(run: Run, family: FamilyContents) -> Figure:
    marks: list[Mark] = []
    paths: list[Path] = []
    table: list[dict[str, object]] = []

    def add(series: str, name: str, macs: float, params: float) -> None:
        table.append({"series": series, "network": name, "multiply-adds": int(macs),
                      "parameters": int(params)})  # fmt: skip

    for name in BESIDE:
        points = []
        for network, design in FAMILIES[name].items():
            counted = cost(design)
            points.append((float(counted.macs), float(counted.params)))
            marks.append(
                Mark(x=counted.macs, y=counted.params, tone="quiet",
                     label=name if len(points) == 1 else "",
                     tip=f"{network} (1000 classes)\n{counted.macs:,} multiply-adds\n"
                     f"{counted.params:,} parameters")
            )  # fmt: skip
            add(name, network, *points[-1])
        paths.append(Path(points=tuple(points), tone="quiet"))
    for rule, own in family.alternatives.groupby("rule", sort=False):
        points = [(float(m), float(p)) for m, p in zip(own.macs, own.params, strict=True)]
        paths.append(Path(points=tuple(points), tone="other", dashed=True))
        last = own.iloc[-1]
        marks.append(
            Mark(x=last.macs, y=last.params, tone="other", label=str(rule),
                 tip=f"{rule}, {last.growth:.3g} times\n{last.macs:,} multiply-adds\n"
                 f"{last.params:,} parameters")
        )  # fmt: skip
        for row in each_row(own):
            add(str(rule), f"{rule} x {row.growth:g}", row.macs, row.params)
    members = family.members.sort_values("macs")
    paths.append(Path(points=tuple(zip(members.macs, members.params, strict=True)), tone="pick"))
    for row in each_row(members):
        marks.append(
            Mark(x=row.macs, y=row.params, tone="pick", shape="diamond",
                 label=str(row.name) if row.macs == members.macs.max() else "",
                 tip=f"{row.name}: {row.pixels} pixels\n{row.macs:,} multiply-adds "
                 f"({row.growth:.3g}x)\n{row.params:,} parameters")
        )  # fmt: skip
        add("family", str(row.name), row.macs, row.params)
    x = Scale.around([m.x for m in marks], title="Multiply-adds of one image (logarithmic)",
                     text=format_count, logarithmic=True)  # fmt: skip
    y = Scale.around([m.y for m in marks], title="Parameters (logarithmic)", text=format_count,
                     logarithmic=True)  # fmt: skip
    return Figure(
        key="sizes",
        title="Size among published networks",
        svg=plot(x, y, marks, paths, title="Size among published networks"),
        legend=(
            ("diamond", "pick", "this family"),
            ("line", "other", "the base grown in one dimension"),
            ("line", "quiet", "published, for ImageNet"),
        ),
        caption="What growing costs in memory for weights. Accuracies of published networks belong "
        "to ImageNet and say nothing of these images; train one here to compare.",
        table=pd.DataFrame(table),
    )
