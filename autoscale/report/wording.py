"""How the page writes numbers, and names columns in the words of the field."""

from typing import Any

import pandas as pd

from autoscale.metrics.names import ACCURACY, USUAL, Quality, quality_of
from autoscale.report.charts.axis import Axis
from autoscale.runs.contents import Record

#: Of the networks as they were trained, where those in int8 are scored.
FLOAT = "accuracy_float"

#: Columns of a run's files, as the page names them.
COLUMNS = {
    "macs": "multiply-adds",
    "params": "parameters",
    "on_front": "on the front",
    "cause": "reason",
    "nominal": "nominal cost ratio",
    "measured": "cost ratio",
    "growth": "cost ratio",
    "accuracy_float": "accuracy in float",
    "low": "90 % low",
    "high": "90 % high",
    "drop_path": "drop path",
}


def quality_in(record: Record) -> Quality:
    """What a step's networks are compared by, by its `settings.json`."""
    settings = record.get("settings") or {}
    return quality_of((settings.get("metric") or {}).get("name", USUAL))


def readable(table: pd.DataFrame, *columns: str, quality: Quality = ACCURACY) -> pd.DataFrame:
    """The columns of a table under their names on the page, accuracies and ratios rounded.

    Where int8 networks were scored, the accuracy in float stands beside theirs.

    Args:
        quality: what networks are compared by.
    """
    held = [
        name
        for column in columns
        for name in ([column, FLOAT] if column == "accuracy" and FLOAT in table else [column])
    ]
    names = COLUMNS | {quality.column: quality.label, "estimate": f"estimated {quality.label}"}
    return table[held].rename(columns=names).round(4)


def percent(share: float) -> str:
    """A share as people read it: 0.7654 is "76.5 %"."""
    return f"{100 * share:.1f} %"


def in_float(row: Any) -> str:
    """Of a row whose accuracy is that in int8, the one in float; else nothing."""
    share = getattr(row, FLOAT, None)
    return "" if share is None or pd.isna(share) else f" in int8, {percent(share)} in float"


def tick(share: float) -> str:
    """A share on an axis: 0.75 is "75 %"."""
    return f"{100 * share:.3g} %"


def points(share: float) -> str:
    """A difference of shares in points: 0.0294 is "+2.9"."""
    return f"{100 * share:+.1f}"


def quality_axis(
    shares: list[float], *, split: str = "validation", quality: Quality = ACCURACY
) -> Axis:
    """An axis for accuracies, or another quality, on the images of a split."""
    title = f"{quality.title} on {split} images"
    return Axis.around(shares, title=title, text=tick, limits=(0, 1))
