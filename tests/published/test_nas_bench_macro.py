"""All 6,561 networks of NAS-Bench-Macro: https://github.com/xiusu/NAS-Bench-Macro."""

from __future__ import annotations

import json
import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from autoscale.design.cost import CONVENTIONS
from autoscale.design.space import SearchSpace
from experiments.benchmarks.counting.space_costs import SpaceCosts

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("AUTOSCALE_SHARED", ROOT.parent / "shared"))
FILE = SHARED / "benchmarks" / "nas-bench-macro_cifar10.json"


@pytest.mark.skipif(
    not FILE.exists(),
    reason="nas-bench-macro_cifar10.json is not here; set AUTOSCALE_SHARED to the folder that "
    "holds benchmarks/",
)
def test_all_networks_have_the_benchmarks_parameters_and_flops() -> None:
    benchmark = json.loads(FILE.read_text(encoding="utf-8"))
    text = (ROOT / "search_spaces" / "nas-bench-macro.yaml").read_text(encoding="utf-8")
    points = list(product(range(3), repeat=8))  # a digit is the option of its layer
    assert len(benchmark) == len(points) == 6561
    counted = SpaceCosts(SearchSpace.from_yaml(text))(np.array(points))
    rows = [benchmark["".join(map(str, point))] for point in points]
    assert counted.params.tolist() == [row["params"] for row in rows]
    assert CONVENTIONS["paper"](counted).tolist() == [row["flops"] for row in rows]
