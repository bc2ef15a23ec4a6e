"""The check of a search, as a section of the page: the baseline against random networks."""

from collections.abc import Sequence
from statistics import mean

import pandas as pd

from autoscale.design.amounts import format_count
from autoscale.metrics.names import ACCURACY, USUAL, Quality, quality_of
from autoscale.report.charts.marks import Key, Tone
from autoscale.report.charts.plot import Mark
from autoscale.report.charts.rows import Row, Rows
from autoscale.report.document import Figure, Section
from autoscale.report.references import reference_figure, verdicts
from autoscale.report.wording import percent, points, quality_axis
from autoscale.runs.contents import Record, Run


def check_section(run: Run) -> Section | None:
    """The baseline against random networks; None where the run has no search."""
    title, check = "Better than a random network?", run.check
    if run.search is None:
        return None
    if check is None:
        return Section(
            key="check",
            title=title,
            missing=f"Not checked yet: `autoscale check-baseline --run {run.path}` compares the "
            "baseline with random networks of its cost on images that no search has seen.",
        )
    quality = _quality_of(check)
    by = "" if quality == ACCURACY else f" in {quality.label}"
    verdict = (
        f"On {check['split']} images the margin{by} is {points(check['margin'])} points "
        f"± {100 * check['margin_error']:.1f} (standard error): {check['verdict']}."
    )
    references = check.get("references", [])
    beside = _beside_published(check, references)
    return Section(
        key="check",
        title=title,
        text=(verdict, *verdicts(references)),
        figures=(_against_random(check), *([beside] if beside else [])),
    )


def _quality_of(check: Record) -> Quality:
    """What a check's networks are compared by."""
    return quality_of(check.get("metric", USUAL))


def _beside_published(check: Record, references: Sequence[Record]) -> Figure | None:
    if not references:  # so that these are judged by accuracy
        return None
    scores = zip(check.get("each_random_macs", ()), check["random"], strict=False)
    others = [
        Mark(
            x=macs,
            y=accuracy,
            tone="quiet",
            tip=f"Random network: {percent(accuracy)}\n{macs:,} multiply-adds",
        )
        for macs, accuracy in scores
    ]
    own = Mark(
        x=check["baseline_macs"],
        y=mean(check["baseline"]),
        low=min(check["baseline"]),
        high=max(check["baseline"]),
        tone="pick",
        shape="diamond",
        label="baseline",
        tip=f"Baseline: {percent(mean(check['baseline']))}, mean of {len(check['baseline'])} "
        f"trainings\n{check['baseline_macs']:,} multiply-adds",
    )
    return reference_figure(
        "check-published",
        references,
        [*others, own],
        split=check["split"],
        legend=(
            Key("diamond", "pick", "baseline, whisker: its trainings"),
            Key("dot", "quiet", "random networks"),
        ),
    )


def _against_random(check: Record) -> Figure:
    quality = _quality_of(check)
    groups: tuple[tuple[str, list[float], float, Tone], ...] = (
        ("Baseline, new seeds", check["baseline"], check["baseline_macs"], "pick"),
        ("Random networks, on average", check["random"], check["random_macs"], "quiet"),
    )
    rows = [
        Row(
            name=f"{name}: {format_count(macs)} multiply-adds",
            value=mean(scores),
            more=tuple(scores),
            tone=tone,
            shape="diamond",
            tip=f"{name}: mean {percent(mean(scores))} of {len(scores)} trainings",
        )
        for name, scores, macs, tone in groups
    ]
    return Figure(
        key="against-random",
        title="Baseline and random networks",
        chart=Rows(
            axis=quality_axis(
                [*check["baseline"], *check["random"]], split=check["split"], quality=quality
            ),
            rows=tuple(rows),
        ),
        caption="Small dots are trainings, the diamond is their mean. Seeds are new ones, so no "
        "luck of the search counts.",
        table=pd.DataFrame(
            [
                {"network": name, "multiply-adds": macs, quality.label: score}
                for name, scores, macs, _ in groups
                for score in scores
            ]
        ),
    )
