"""The command that shows: `autoscale report`."""

from pathlib import Path
from typing import Annotated

import typer


def report_command(
    run: Annotated[
        Path, typer.Option(help="Run directory; the page tells what its steps have left.")
    ] = Path("runs/default"),
    output: Annotated[
        Path | None, typer.Option(help="The page's file. \\[default: report.html in the run]")
    ] = None,
    trained: Annotated[
        list[Path] | None,
        typer.Option(
            help="Run directory of an `autoscale train`: a member, or another network on the same "
            "images, to stand beside the family. May be given several times."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Write a run as one HTML page that works without a network."""
    from autoscale.cli.terminal import say, show_json
    from autoscale.report.writing import write_report

    file = write_report(run, output, trained=trained or ())
    size = file.stat().st_size
    if as_json:
        show_json({"file": str(file), "bytes": size})
        return
    say(f"{run} as a page of {size / 1000:,.0f} kB -> {file}")
