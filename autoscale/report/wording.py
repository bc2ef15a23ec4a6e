"""How the page writes numbers, and names columns in the words of the field."""

from typing import Any

import pandas as pd

from autoscale.report.charts.axis import Axis

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
    "estimate": "estimated accuracy",
    "low": "90 % low",
    "high": "90 % high",
    "drop_path": "drop path",
}


def readable(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The columns of a table under their names on the page, accuracies and ratios rounded.

    Where int8 networks were scored, the accuracy in float stands beside theirs.
    """
    held = [
        name
        for column in columns
        for name in ([column, FLOAT] if column == "accuracy" and FLOAT in table else [column])
    ]
    return table[held].rename(columns=COLUMNS).round(4)


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


def accuracy_axis(shares: list[float], *, split: str = "validation") -> Axis:
    """An axis for accuracies on the images of a split."""
    return Axis.around(shares, title=f"Accuracy on {split} images", text=tick, limits=(0, 1))
