"""What a page holds as plain data."""

import math

import pandas as pd

from autoscale.report.charts.axis import Axis
from autoscale.report.page import _rows


def test_what_is_missing_or_has_no_bound_is_told_as_nothing() -> None:
    table = pd.DataFrame({"low": [1.0, -math.inf, math.nan], "rule": ["paper", None, "depth"]})
    assert _rows(table) == [[1.0, "paper"], [None, None], [None, "depth"]]


def test_an_axis_ends_where_finite_values_do() -> None:
    axis = Axis.around([0.5, -math.inf, 0.7, math.inf], title="lead", text="{:g}".format)
    assert 0.4 < axis.low < 0.5
    assert 0.7 < axis.high < 0.8
    assert (axis.share(-math.inf), axis.share(math.inf)) == (0, 1)
