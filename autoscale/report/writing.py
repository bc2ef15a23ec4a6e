"""Pages and pictures of what the jobs found, written into files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from autoscale.inspection.commands import commands
from autoscale.inspection.read_run import load_run
from autoscale.jobs.grid.result import GridResult
from autoscale.report.charts import triangle
from autoscale.report.growing import surface_chart
from autoscale.report.page import page
from autoscale.report.size_accuracy import NOTE, TITLE, size_chart
from autoscale.runs.picture import write_picture
from autoscale.runs.store import write_text


def write_report(
    run: str | Path, output: str | Path | None = None, *, trained: Sequence[str | Path] = ()
) -> Path:
    """Write everything that a run holds as one HTML page that works without a network.

    Args:
        run: the run directory, finished or not.
        output: the page's file; `report.html` in the run directory if not given.
        trained: run directories of `train`: members, or other networks on the same images, to stand
            beside the family.

    Returns:
        The page's file.

    Raises:
        InvalidSetting: if there is no run.
        RunConflict: if a file of it is damaged.
        StorageProblem: if the disk does not take the page.
    """
    found = load_run(run, trained=trained)
    file = found.path / "report.html" if output is None else Path(output)
    write_text(file, page(found, commands(found.path)))
    return file


def draw_sizes(table: pd.DataFrame, file: str | Path) -> None:
    """Draw model size against accuracy.

    Args:
        table: what `compare` gave.
        file: ends in .svg, .html, or .png, which needs the program rsvg-convert.

    Raises:
        InvalidSetting: for another ending, or if no network of the table has an accuracy.
        StorageProblem: if the disk does not take it.
    """
    write_picture(Path(file), size_chart(table).draw(TITLE).standalone(NOTE))


def draw_race(found: GridResult, file: str | Path) -> None:
    """Draw a grid's race on the surface of equal cost.

    Args:
        found: what `grid_search` gave.
        file: ends in .svg, .html, or .png, which needs the program rsvg-convert.

    Raises:
        InvalidSetting: for another ending.
        StorageProblem: if the disk does not take it.
    """
    title = f"How to grow to {found.grid.budget.ratio:.3g}x the cost"
    chart = surface_chart(found.table, found.surface(), triangle.SHEET, found.quality)
    write_picture(Path(file), chart.draw(title).standalone(found.sentence))
