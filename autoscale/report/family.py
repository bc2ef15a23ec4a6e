"""What grew, as a section of the page: accuracy by way of growing, size among other families."""

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from autoscale.design.amounts import format_count
from autoscale.design.cost import cost
from autoscale.design.published import FAMILIES
from autoscale.metrics.names import ACCURACY, Quality, quality_of
from autoscale.report.charts.axis import Axis
from autoscale.report.charts.marks import Key, Tone
from autoscale.report.charts.plot import Mark, Path, Plot
from autoscale.report.document import Figure, Section, each_row
from autoscale.report.growing import candidate_tip, standings
from autoscale.report.whole_family import whole_family
from autoscale.report.wording import percent, quality_axis, quality_in, readable
from autoscale.runs.contents import FamilyContents, GridContents, Run, TrainingResult

#: The published families that a new one is set beside.
BESIDE = ("efficientnet", "mobilenet-v2", "resnet")


def family_section(run: Run) -> Section:
    """The members, their accuracy where it is known, and their size among others."""
    scaling = _scaling(run)
    if run.family is None:
        return Section(
            key="family",
            title="The family",
            figures=(scaling,) if scaling else (),
            missing=f"No family yet: `autoscale family --run {run.path} --phi 0..3` writes one.",
        )
    members = run.family.members
    shown = readable(members, "name", "phi", "depth", "width", "resolution", "pixels", "macs",
                     "growth", "params", "dropout", "drop_path")  # fmt: skip
    return Section(
        key="family",
        title="The family",
        text=(
            f"{len(members)} members from {format_count(members.macs.iloc[0])} to "
            f"{format_count(members.macs.iloc[-1])} multiply-adds.",
        ),
        figures=tuple(
            figure for figure in (scaling, whole_family(run), _sizes(run.family)) if figure
        ),
        tables=(("Members", shown),),
        missing=""
        if run.trainings or run.whole
        else f"No member was trained in full yet: `autoscale train {run.path}/family/NAME.yaml "
        f"--data PHOTOS --run runs/NAME`, then `autoscale report --run {run.path} --trained "
        "runs/NAME`. Published networks trained on the same images stand beside them the same "
        "way.",
    )


# Accuracy by way of growing

#: A network whose accuracy is known, under its name as label, and how it was trained.
Trained = tuple[Mark, str]


def _scaling(run: Run) -> Figure | None:
    """Quality of each way of growing, and of what was trained in full; None for one network."""
    grid, quality = (
        next((grid for grid in run.grids if grid.name == "grid"), None),
        run_quality(run),
    )
    start, full = list(_start(run)), list(_in_full(run, quality))
    grown = list(_grown(grid, quality)) if grid else []
    known = [*start, *grown, *full]
    if len(known) < 2:
        return None
    marks = tuple(mark for mark, _ in known)
    ends = [end for mark in marks for end in (mark.y, mark.low, mark.high) if end is not None]
    note = " Not all were trained on the same images." if len(_images(run)) > 1 else ""
    table = [
        {
            "network": mark.label,
            "multiply-adds": int(mark.x),
            quality.label: mark.y,
            "training": how,
        }
        for mark, how in known
    ]
    return Figure(
        key="scaling",
        title=f"{quality.title} by way of growing",
        chart=Plot(
            x=_cost_axis([mark.x for mark in marks]),
            y=quality_axis(ends, quality=quality),
            marks=marks,
            paths=tuple(_scaling_paths(start, grown, full)),
        ),
        legend=tuple(_scaling_legend(grid, {mark.tone for mark, _ in full})),
        caption="Short trainings as in the search, whiskers: 90 % interval. Trainings in full use "
        f"another recipe and are compared among themselves.{note}",
        table=pd.DataFrame(table).round(4),
    )


def _start(run: Run) -> Iterator[Trained]:
    """The baseline of the search."""
    search = run.search
    if search and search.baseline and search.baseline.score and search.mean_judged:
        macs = search.baseline.score.macs
        yield Mark(
            x=macs, y=search.mean_judged, low=min(search.judged), high=max(search.judged),
            label="baseline", tone="pick", shape="diamond",
            tip=f"Baseline\n{percent(search.mean_judged)}\n{macs:,} multiply-adds",
        ), "short"  # fmt: skip


def _grown(grid: GridContents, quality: Quality) -> Iterator[Trained]:
    """The pick, and the candidates that stand for a simpler rule."""
    told = standings(grid.candidates)
    for row, standing in zip(each_row(grid.candidates), told, strict=True):
        picked = standing == "pick"
        if row.seeds and (picked or row.rules):
            yield Mark(
                x=row.macs, y=row.estimate, low=row.low, high=row.high,
                label="pick" if picked else row.rules, tone="pick" if picked else "quiet",
                shape="diamond" if picked else "dot", tip=candidate_tip(row, standing, quality),
            ), "short, estimated"  # fmt: skip


def run_quality(run: Run) -> Quality:
    """What the networks of a run are compared by."""
    records = [run.search.record] if run.search else [grid.record for grid in run.grids]
    return quality_in(records[0]) if records else ACCURACY


def in_full(result: TrainingResult, quality: Quality) -> float | None:
    """The quality of a network trained in full on validation images; None if it is not known."""
    if quality == ACCURACY:
        return result.validation_accuracy
    known = result.metric is not None and quality_of(result.metric) == quality
    return result.validation_quality if known else None


def _in_full(run: Run, quality: Quality) -> Iterator[Trained]:
    """Members and other networks that were trained in full, the cheapest first; those alone whose
    quality is known."""
    own = set(run.family.names) if run.family else set()
    results = (training.result for training in run.trainings)
    for one in sorted(results, key=lambda result: result.macs):
        share = in_full(one, quality)
        if share is None:
            continue
        tested = ""
        if quality == ACCURACY and one.test_accuracy is not None:
            tested = f", {percent(one.test_accuracy)} on test images"
        yield Mark(
            x=one.macs, y=share, label=one.name,
            tone="good" if one.name in own else "other",
            tip=f"{one.name}, trained in full ({one.epochs} epochs)\n"
            f"{percent(share)} on validation images{tested}\n"
            f"{one.macs:,} multiply-adds, {one.params:,} parameters",
        ), f"in full, {one.epochs} epochs"  # fmt: skip


def _scaling_paths(
    start: list[Trained], grown: list[Trained], full: list[Trained]
) -> Iterator[Path]:
    """From the baseline to each way of growing, and along the members trained in full."""
    for base, _ in start:
        for mark, _ in grown:
            points = ((base.x, base.y), (mark.x, mark.y))
            yield Path(points=points, tone=mark.tone, dashed=mark.tone != "pick")
    members = tuple((mark.x, mark.y) for mark, _ in full if mark.tone == "good")
    if len(members) > 1:
        yield Path(points=members, tone="good")


def _scaling_legend(grid: GridContents | None, in_full: set[Tone]) -> Iterator[Key]:
    if grid is not None:
        yield Key("diamond", "pick", "baseline and the pick")
        yield Key("dot", "quiet", "one dimension or another rule")
    if "good" in in_full:
        yield Key("dot", "good", "members trained in full")
    if "other" in in_full:
        yield Key("dot", "other", "other networks trained in full")


def _images(run: Run) -> set[str]:
    """Fingerprints of the images of all trainings."""
    found = {one.images for one in run.trainings}
    return found | {str(run.search.record["settings"]["images"])} if run.search else found


# Size among published networks


def _sizes(family: FamilyContents) -> Figure:
    networks = pd.DataFrame([*_published(), *_alternatives(family), *_members(family)])
    marks = [
        Mark(
            x=row.macs,
            y=row.params,
            tone=row.tone,
            shape="diamond" if row.tone == "pick" else "dot",
            label=row.label,
            tip=f"{row.told}\n{row.macs:,} multiply-adds\n{row.params:,} parameters",
        )
        for row in each_row(networks)
        if row.tone != "other" or row.label  # of what was not written, the largest alone
    ]
    paths = [
        Path(points=tuple(zip(own.macs, own.params, strict=True)), tone=own.tone.iloc[0],
             dashed=own.tone.iloc[0] == "other")
        for _, own in networks.groupby("series", sort=False)
    ]  # fmt: skip
    return Figure(
        key="sizes",
        title="Size among published networks",
        chart=Plot(
            x=_cost_axis([*networks.macs]),
            y=Axis.around([*networks.params], title="Parameters (logarithmic)", text=format_count,
                          logarithmic=True),
            marks=tuple(marks),
            paths=tuple(paths),
        ),
        legend=(
            Key("diamond", "pick", "this family"),
            Key("line", "other", "the base grown in one dimension"),
            Key("line", "quiet", "published, for ImageNet"),
        ),
        caption="What growing costs in memory for weights. Accuracies of published networks belong "
        "to ImageNet and say nothing of these images; train one here to compare.",
        table=readable(networks, "series", "network", "macs", "params"),
    )  # fmt: skip


class Network(NamedTuple):
    """A network among others of its family, or of one way of growing."""

    series: str
    network: str
    macs: int
    params: int
    tone: Tone
    told: str  # what the page says at the pointer, besides its size
    label: str


def _published() -> Iterator[Network]:
    for name in BESIDE:
        for number, (network, design) in enumerate(FAMILIES[name].items()):
            counted, label = cost(design), "" if number else name
            yield Network(name, network, counted.macs, counted.params, "quiet",
                          told=f"{network} (1000 classes)", label=label)  # fmt: skip


def _alternatives(family: FamilyContents) -> Iterator[Network]:
    for rule, own in family.alternatives.groupby("rule", sort=False):
        for row in each_row(own):
            yield Network(str(rule), f"{rule} x {row.growth:g}", row.macs, row.params, "other",
                          told=f"{rule}, {row.growth:.3g} times",
                          label=str(rule) if row.growth == own.growth.iloc[-1] else "")  # fmt: skip


def _members(family: FamilyContents) -> Iterator[Network]:
    members = family.members.sort_values("macs")
    for row in each_row(members):
        yield Network("family", row.name, row.macs, row.params, "pick",
                      told=f"{row.name}: {row.pixels} pixels, {row.growth:.3g}x",
                      label=row.name if row.macs == members.macs.max() else "")  # fmt: skip


def _cost_axis(macs: list[float]) -> Axis:
    title = "Multiply-adds of one image (logarithmic)"
    return Axis.around(macs, title=title, text=format_count, logarithmic=True)
