"""The picture of a family that one command trained."""

from __future__ import annotations

from pathlib import Path

import pytest

import autoscale
from autoscale.inspection.read_run import load_run
from autoscale.report.charts.plot import Plot
from autoscale.report.page import figures, page
from autoscale.report.whole_family import whole_family
from tests.conftest import draw_photos
from tests.families import MEMBERS, family


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A family trained in one set of weights, and grown; a twin of one member lies beside it."""
    folder = tmp_path_factory.mktemp("whole-family")
    photos, here = draw_photos(folder / "photos"), family(folder / "run")
    asked = {"data": str(photos), "epochs": 1, "batch_size": 8, "kernels": "torch"}
    autoscale.train_family(here, recipe="proxy", **asked)
    autoscale.train_family(here, recipe="proxy", grow=True, **asked)
    autoscale.train(str(here / "family" / "phi-1.yaml"), folder / "twin", recipe="proxy", **asked)
    return here


def test_each_way_is_a_curve_and_twins_stand_beside_it(run: Path) -> None:
    found = load_run(run, trained=[run.parent / "twin"])
    figure = whole_family(found)
    assert figure is not None
    table = figure.table.set_index("network")
    assert list(table.index) == MEMBERS
    nested, grown = found.whole
    assert (nested.step, grown.step) == ("nested", "grown")
    for one, column in ((nested, "in one set of weights"),
                        (grown, "grown, each out of the one before")):  # fmt: skip
        assert list(table[column]) == [round(v, 4) for v in one.members.validation_accuracy]
    (twin,) = found.trainings
    assert table["trained alone"].to_dict()["phi-1"] == round(twin.result.validation_accuracy, 4)
    assert table["trained alone"].isna().tolist() == [True, False, True]
    own = nested.members.set_index("name").validation_accuracy["phi-1"]
    gap = 100 * (own - twin.result.validation_accuracy)
    side = "ahead of" if gap >= 0 else "behind"
    assert (
        f"are on average {abs(gap):.1f} points {side} their twins trained alone (1 of 3)"
        in figure.caption
    )
    assert [key.meaning for key in figure.legend] == [*table.columns[1:]]
    assert isinstance(figure.chart, Plot)
    assert len(figure.chart.paths) == 2


def test_without_twins_the_page_says_how_to_have_some(run: Path) -> None:
    found = load_run(run)
    assert "--trained" in figures(found)["whole-family"].caption
    assert "The family in one training" in page(found)


def test_a_family_that_no_command_trained_has_no_such_picture(tmp_path: Path) -> None:
    assert whole_family(load_run(family(tmp_path / "run"))) is None
