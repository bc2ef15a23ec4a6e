"""Members of a family that one command trained, beside their twins that were trained alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from autoscale.design.amounts import format_count
from autoscale.metrics.names import ACCURACY, Quality, quality_of
from autoscale.report.charts.axis import Axis
from autoscale.report.charts.marks import Key, Tone
from autoscale.report.charts.plot import Mark, Path, Plot
from autoscale.report.document import Figure, each_row
from autoscale.report.wording import percent, quality_axis
from autoscale.runs.contents import FamilyTraining, Run, TrainingContents, TrainingResult

#: How members were trained, and the tone of each way.
WAYS: Mapping[str, tuple[str, Tone]] = {
    "nested": ("in one set of weights", "pick"),
    "grown": ("grown, each out of the one before", "main"),
}
ALONE: tuple[str, Tone] = ("trained alone", "good")


def _by(run: Run) -> tuple[str, Quality]:
    """The column of the members' tables by which they are drawn, and what it is called."""
    several = run.whole and all("validation_map" in one.members for one in run.whole)
    return ("validation_map", quality_of("map")) if several else ("validation_accuracy", ACCURACY)


def _of_twin(result: TrainingResult, by: str) -> float | None:
    """The same of a member that was trained alone."""
    if by == "validation_accuracy":
        return result.validation_accuracy
    return result.validation_score if result.metric == "map" else None


def whole_family(run: Run) -> Figure | None:
    """Accuracy of the members by their cost; None where no command trained them together."""
    if not run.whole:
        return None
    by, quality = _by(run)
    twins = [one for one in _twins(run) if _of_twin(one.result, by) is not None]
    lines = [(*WAYS[one.step], _marks(one, by, *WAYS[one.step])) for one in run.whole]
    lines.append((*ALONE, tuple(_twin(training, by) for training in twins)))
    marks = tuple(mark for *_, own in lines for mark in own)
    macs = [mark.x for mark in marks]
    return Figure(
        key="whole-family",
        title="The family in one training",
        chart=Plot(
            x=Axis.around(
                macs, title="Multiply-adds of one image (logarithmic)", text=format_count,
                logarithmic=True,
            ),
            y=quality_axis([mark.y for mark in marks], quality=quality),
            marks=marks,
            paths=tuple(
                Path(points=tuple((mark.x, mark.y) for mark in own), tone=tone)
                for _, tone, own in lines
                if len(own) > 1
            ),
        ),
        legend=tuple(Key(own[0].shape, tone, words) for words, tone, own in lines if own),
        caption=_caption(run, twins, by),
        table=_table(run, twins, by),
    )  # fmt: skip


def _twins(run: Run) -> list[TrainingContents]:
    """Members of the family that were trained alone, the cheapest first."""
    names = {row.name for one in run.whole for row in each_row(one.members)}
    own = [training for training in run.trainings if training.result.name in names]
    return sorted(own, key=lambda training: training.result.macs)


def _marks(one: FamilyTraining, by: str, words: str, tone: Tone) -> tuple[Mark, ...]:
    return tuple(
        Mark(
            x=row.macs,
            y=getattr(row, by),
            label=row.name,
            tone=tone,
            tip=f"{row.name}, {words}\n{percent(getattr(row, by))} on validation images\n"
            f"{row.macs:,} multiply-adds, {row.params:,} parameters",
        )
        for row in each_row(one.members)
    )


def _twin(training: TrainingContents, by: str) -> Mark:
    words, tone = ALONE
    result = training.result
    reached = _of_twin(result, by) or 0.0
    return Mark(
        x=result.macs,
        y=reached,
        label="",
        tone=tone,
        shape="diamond",
        tip=f"{result.name}, {words} ({result.epochs} epochs)\n"
        f"{percent(reached)} on validation images",
    )


def _caption(run: Run, twins: list[TrainingContents], by: str) -> str:
    what = "Accuracies" if by == "validation_accuracy" else "Mean average precisions"
    said = [f"{what} are those of validation images."]
    if twins:
        said += [*_behind(run, twins, by)]
    else:
        said.append(
            "No member was trained alone to compare with: `autoscale train` one, then `autoscale "
            f"report --run {run.path} --trained` its run."
        )
    if len({one.images for one in run.whole} | {one.images for one in twins}) > 1:
        said.append("Not all were trained on the same images.")
    return " ".join(said)


def _behind(run: Run, twins: list[TrainingContents], by: str) -> Iterator[str]:
    """How far each way is from members trained alone, on the mean over those there are."""
    alone = {one.result.name: _of_twin(one.result, by) for one in twins}
    for one in run.whole:
        own = one.members[one.members.name.isin(list(alone))]
        if own.empty:
            continue
        gap = 100 * float((own[by] - own.name.map(alone)).mean())
        side = "ahead of" if gap >= 0 else "behind"
        yield (
            f"Members {WAYS[one.step][0]} are on average {abs(gap):.1f} points {side} their twins "
            f"trained alone ({len(own)} of {len(one.members)})."
        )


def _table(run: Run, twins: list[TrainingContents], by: str) -> pd.DataFrame:
    """One row a member, one column a way of training it."""
    columns = {WAYS[one.step][0]: one.members.set_index("name")[by] for one in run.whole}
    if twins:
        columns[ALONE[0]] = pd.Series({one.result.name: _of_twin(one.result, by) for one in twins})
    sizes = pd.concat([one.members.set_index("name").macs for one in run.whole])
    sizes = sizes[~sizes.index.duplicated()].sort_values()
    table = pd.DataFrame(columns).reindex(sizes.index)
    table.insert(0, "multiply-adds", sizes.astype(int))
    return table.round(4).reset_index(names="network")
