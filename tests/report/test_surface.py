"""The picture of a race on the surface of equal cost."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

from autoscale.design.cost import cost
from autoscale.design.published import EFFICIENTNET_B0
from autoscale.design.rounding import rounding_policy
from autoscale.jobs.grid.result import GridResult
from autoscale.racing.response_surface import Observation
from autoscale.report.charts.triangle import SHEET, shares_of
from autoscale.report.growing import surface_chart
from autoscale.scaling.budget import parse_budget
from autoscale.scaling.grid import axis, build_grid
from autoscale.scaling.scalable import Design

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def found() -> GridResult:
    """A race around B0 in which deeper networks are better."""
    base = Design(EFFICIENTNET_B0, rounding_policy("tf"))
    grid = build_grid(
        base,
        parse_budget("2x", base=cost(EFFICIENTNET_B0).macs),
        alphas=axis("1..2", step=0.05),
        betas=axis("1..1.5", step=0.05),
        gammas=axis("1..1.5", step=0.05),
        tolerance=0.05,
    )
    rng = np.random.default_rng(0)
    scores = [
        Observation(place, seed, 0.5 + 0.1 * np.log(entry.effective.depth) + 0.001 * rng.normal())
        for place, entry in enumerate(grid.candidates[:-1])
        for seed in range(2)
    ]
    return GridResult.of(grid, grid.candidates, scores)


def test_the_corners_are_growth_in_one_dimension() -> None:
    assert shares_of((2, 1, 1)) == pytest.approx((1, 0, 0))
    assert shares_of((1, 2**0.5, 1)) == pytest.approx((0, 1, 0))
    assert shares_of((1, 1, 2**0.5)) == pytest.approx((0, 0, 1))
    assert shares_of((0.5, 1, 1)) == pytest.approx((1, 0, 0))  # shrinking too
    for growth, corner in zip(((2, 1, 1), (1, 2, 1), (1, 1, 2)), SHEET.corners, strict=True):
        assert SHEET.place(growth) == pytest.approx(corner)


def test_the_surface_learns_what_was_good(found: GridResult) -> None:
    surface = found.surface()
    assert surface.estimate.idxmax() == surface.depth.idxmax()
    nominal = surface.depth * surface.width**2 * surface.resolution**2
    assert nominal.to_numpy() == pytest.approx(2)
    assert ((surface.low <= surface.estimate) & (surface.estimate <= surface.high)).all()


def test_every_candidate_is_drawn_where_it_grew_with_its_figures(found: GridResult) -> None:
    chart = surface_chart(found.table, found.surface(), SHEET)
    root = ET.fromstring(chart.draw("A <race>").standalone("x " * 200))
    drawn = [one for one in root.iter() if "mark" in one.get("class", "").split()]
    assert len(drawn) == len(found.field)
    x, y = SHEET.place(tuple(found.best.effective))
    left, top = re.findall(r"[\d.]+", drawn[-1].attrib["d"])[:2]
    assert "diamond" in drawn[-1].attrib["class"]  # the pick, above all others
    assert float(left) == pytest.approx(x, abs=0.1)
    assert float(top) == pytest.approx(y - (chart.spots[-1].radius + 3), abs=0.1)
    told = drawn[-1].findtext(f"{SVG}title") or ""
    assert f"estimated {100 * found.table.estimate[0]:.1f} %" in told
    assert "ring" in drawn[0].attrib["class"]  # the candidate without a training
    assert root.findtext(f"{SVG}title") == "A <race>"
    assert any(text.text == "pick" for text in root.iter(f"{SVG}text"))


def test_a_surface_without_differences_is_drawn_too() -> None:
    flat = pd.DataFrame(
        {"depth": [2.0], "width": [1.0], "resolution": [1.0], "estimate": [0.5], "step": [0.5]}
    )
    table = flat.assign(
        alpha=2, beta=1, gamma=1, seeds=1, accuracy=0.5, low=0.4, high=0.6, rules="", macs=9,
        pixels=32,
    )  # fmt: skip
    assert "<polygon" in surface_chart(table, flat).draw("t").standalone("")
