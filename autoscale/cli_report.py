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
    from autoscale.report.page import page
    from autoscale.runs.store import write_text
    from autoscale.terminal import say, show_json
    from autoscale.workflows.load import load_run
    from autoscale.workflows.repeat import commands

    found = load_run(run, trained=trained or ())
    file = output or run / "report.html"
    text = page(found, commands(found))
    write_text(file, text)
    if as_json:
        show_json({"file": str(file), "bytes": len(text.encode())})
        return
    say(f"{run} as a page of {len(text.encode()) / 1000:,.0f} kB -> {file}")
