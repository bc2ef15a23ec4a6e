"""A small finished run, with a class whose name is an attack on its page."""

from __future__ import annotations

from pathlib import Path

import pytest

import autoscale
from tests.conftest import draw_photos

ATTACK = "<script>fail('class')<"


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Search, check, grid, family and a member trained beside it, in seconds."""
    folder = tmp_path_factory.mktemp("page")
    photos = draw_photos(folder / "photos")
    (photos / "red").rename(photos / ATTACK)
    here = folder / "run"
    autoscale.search_baseline(
        here, data=str(photos), space="tiny", resolution=16, trials=11, epochs=1, sampler="random",
        confirm=1, kernels="none",
    )  # fmt: skip
    autoscale.check_baseline(here, networks=2, seeds=2)
    # Widths of such networks in steps of 8 would leave candidates whose families do not grow, and
    # after one epoch any of them may be picked.
    autoscale.grid_search(
        here,
        autoscale.GridSettings(tolerance=0.2, max_candidates=4, seeds=2, gamma="1..1.5"),
        rounding="nearest",
    )
    autoscale.write_family(here, phi="-1..2")
    autoscale.write_family(here, budgets="3x")
    return here


@pytest.fixture(scope="session")
def trained(run: Path) -> Path:
    """A member trained in full."""
    from autoscale.jobs.train.job import train

    folder = run.parent / "phi-1"
    train(
        str(run / "family" / "phi-1.yaml"), folder, data=str(run.parent / "photos"), epochs=1,
        kernels="none",
    )  # fmt: skip
    return folder
