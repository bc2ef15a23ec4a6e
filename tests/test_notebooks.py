"""The notebooks run from the first cell to the last, in a clean process, on a small run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import autoscale

NOTEBOOKS = sorted((Path(__file__).parents[1] / "experiments" / "notebooks").glob("*.ipynb"))
pytestmark = pytest.mark.timeout(900)  # of a busy machine


def cells(path: Path) -> list[str]:
    held = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in held["cells"] if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search."""
    from tests.conftest import draw_photos

    folder = tmp_path_factory.mktemp("notebooks")
    photos = draw_photos(folder / "photos")
    autoscale.search_baseline(
        folder / "run", data=str(photos), space="tiny", resolution=16, trials=10, epochs=1,
        sampler="random", kernels="none",
    )  # fmt: skip
    return folder / "run"


def place(path: Path, run: Path, tmp_path: Path) -> dict[str, str]:
    """The environment: the Pareto notebook reads a run, the other makes its own."""
    where = run if path.stem == "pareto" else tmp_path / "own"
    return {**os.environ, "AUTOSCALE_RUN": str(where), "OMP_NUM_THREADS": "1"}


def test_there_are_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["pareto", "recipe"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path: Path) -> None:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_only_public_names_are_used(path: Path) -> None:
    code = "\n".join(cells(path))
    assert "from autoscale" not in code
    assert "import autoscale." not in code


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_cells_run_in_order_in_a_new_process(path: Path, run: Path, tmp_path: Path) -> None:
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join(cells(path)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", script], cwd=path.parent,
        env=place(path, run, tmp_path), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(
    find_spec("nbclient") is None or find_spec("ipykernel") is None,
    reason="needs nbclient and ipykernel (extra notebooks)",
)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_run_as_notebooks_and_draw(path: Path, run: Path, tmp_path: Path) -> None:
    script = (
        "import sys, nbclient, nbformat\n"
        "held = nbformat.read(sys.argv[1], as_version=4)\n"
        "nbclient.NotebookClient(held, timeout=800).execute()\n"
        "nbformat.write(held, sys.argv[2])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path, tmp_path / "done.ipynb"], cwd=path.parent,
        env=place(path, run, tmp_path), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    drawn = (tmp_path / "done.ipynb").read_text(encoding="utf-8")
    assert "<svg viewBox" in drawn
    assert "data-tip" in drawn
