"""What a page holds as plain data."""

import math

import pandas as pd

from autoscale.report.page import _rows


def test_what_is_missing_or_has_no_bound_is_told_as_nothing() -> None:
    table = pd.DataFrame({"low": [1.0, -math.inf, math.nan], "rule": ["paper", None, "depth"]})
    assert _rows(table) == [[1.0, "paper"], [None, None], [None, "depth"]]
