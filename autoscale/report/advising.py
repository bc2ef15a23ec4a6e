"""An advice as a section of the page: what more images, epochs, network or pixels would buy."""

from __future__ import annotations

from typing import Any

import pandas as pd

from autoscale.metrics.names import Quality, quality_of
from autoscale.report.charts.axis import Axis
from autoscale.report.charts.marks import Key
from autoscale.report.charts.rows import Row, Rows
from autoscale.report.document import Figure, Section
from autoscale.report.wording import points
from autoscale.runs.contents import Record, Run


def advice_section(run: Run) -> Section | None:
    """What efforts are believed to buy; None where the run has no advice."""
    found = run.advice
    if found is None:
        return None
    known = [one for one in found["gains"] if one["gain"] is not None]
    return Section(
        key="advice",
        title="What would more images, epochs, network or pixels buy?",
        text=(_trained(found), *found["sentences"]),
        figures=(_gains(known, quality_of(found["metric"])),) if known else (),
    )


def _trained(found: Record) -> str:
    base = found["base"]
    return (
        f"Around {found['network']}, trained on {base['images']:,} images for "
        f"{base['epochs']:,} epochs, {found['trainings']} short trainings with fewer images, other "
        "epochs and other sizes tell how the error falls."
    )


def _gains(known: list[Any], quality: Quality) -> Figure:
    ends = [value for one in known for value in (one["low"], one["high"], 0.0)]
    rows = tuple(
        Row(
            name=one["words"],
            value=one["gain"],
            low=one["low"],
            high=one["high"],
            tone="pick" if one["tells"] else "quiet",
            tip=f"{one['words']}: {points(one['gain'])} points\n90 %: {points(one['low'])} to "
            f"{points(one['high'])}",
        )
        for one in known
    )
    axis = Axis.around(ends, title=f"Points of {quality.label} gained", text=points)
    table = pd.DataFrame(
        [
            {
                "effort": one["words"],
                "gain": one["gain"],
                "90 % low": one["low"],
                "90 % high": one["high"],
                "chance of best": one["chance_best"],
            }
            for one in known
        ]
    ).round(4)
    return Figure(
        key="advice",
        title="What efforts are believed to buy",
        chart=Rows(axis=axis, rows=rows, zero=0.0),
        caption="Each row is an effort; the whisker is its interval at 90 %. Where it holds 0, the "
        "trainings cannot tell.",
        table=table,
        legend=(
            Key("dot", "pick", "the interval leaves 0 out"),
            Key("dot", "quiet", "cannot be told"),
        ),
    )
